/**
 * /chat: one turn as JSON or as a stream, and watching a turn. The turn itself runs in its session's object;
 * these routes say who asks for what and hand the object's answer on.
 */
import { Hono } from "hono";
import * as z from "zod";
import { ChatRequest } from "../../../contracts/chat.ts";
import { AppError } from "../../../contracts/errors.ts";
import type { ResolvedChat, SessionCommand } from "../../../contracts/session.ts";
import { readJson } from "../http/body.ts";
import type { AppContext } from "../http/context.ts";
import type { MiddlewareHandler } from "hono";

export interface ChatRoutesDeps {
  requireUser: MiddlewareHandler<AppContext>;
  /** Fills in what a request leaves out. */
  resolve(request: ChatRequest): ResolvedChat;
  /** Sends a command to the object that holds a session or turn of this id. */
  send(sessionOrTurnId: string, command: SessionCommand): Promise<Response>;
  newId: () => string;
}

const TurnId = z.uuidv7();
const EventNumber = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

export function chatRoutes({ requireUser, resolve, send, newId }: ChatRoutesDeps) {
  const start = async (request: Request, asker: Asker, view: "json" | "stream"): Promise<Response> => {
    const chat = await readJson(request, ChatRequest);
    const create = chat.session_id === undefined;
    const sessionId = chat.session_id ?? newId();
    return send(sessionId, { kind: "start", sessionId, create, view, chat: resolve(chat), ...asker });
  };

  return new Hono<AppContext>()
    .get("/health", (context) => context.json({ status: "healthy" }))
    .use(requireUser)
    .post("/", (context) => start(context.req.raw, askerOf(context.var), "json"))
    .post("/stream", (context) => start(context.req.raw, askerOf(context.var), "stream"))
    .get("/turns/:turn_id/stream", (context) => {
      const turnId = TurnId.safeParse(context.req.param("turn_id"));
      if (!turnId.success) throw new AppError("invalid_request", "turn_id must be a UUIDv7");
      const after = EventNumber.safeParse(context.req.header("last-event-id") ?? context.req.query("after") ?? "0");
      if (!after.success) throw new AppError("invalid_request", "Last-Event-ID and after must be an event's number");
      return send(turnId.data, { kind: "watch", turnId: turnId.data, after: after.data, ...askerOf(context.var) });
    });
}

type Asker = Pick<SessionCommand, "userId" | "requestId">;

function askerOf({ user, requestId }: AppContext["Variables"]): Asker {
  return { userId: user.id, requestId };
}
