/**
 * /chat: turns as JSON or as a stream, watching, stopping and branching them. A turn itself runs in its session's object;
 * these routes say who asks for what and hand the object's answer on.
 */
import { Hono, type MiddlewareHandler } from "hono";
import * as z from "zod";
import { ApprovalsRequest } from "../../../contracts/approvals.ts";
import { ChatRequest, EditRequest, RegenerateRequest } from "../../../contracts/chat.ts";
import { AppError } from "../../../contracts/errors.ts";
import { newId } from "../../../contracts/ids.ts";
import type { Branch, Idempotency, ResolvedChat, SessionCommand, StartTurn } from "../../../contracts/session.ts";
import { readJson } from "../http/body.ts";
import type { AppContext } from "../http/context.ts";
import { bytesOfKey, readIdempotency } from "../http/idempotency.ts";
import { parseId } from "../http/params.ts";

/** Sends a command to the object that holds a session or turn of this id. */
export type SendToSession = (sessionOrTurnId: string, command: SessionCommand) => Promise<Response>;

export interface ChatRoutesDeps {
  requireUser: MiddlewareHandler<AppContext>;
  /** Fills in what a request leaves out. */
  resolve(request: ChatRequest): ResolvedChat;
  send: SendToSession;
  newId: () => string;
  now: () => number;
}

const EventNumber = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

export function chatRoutes(deps: ChatRoutesDeps) {
  const { requireUser, send } = deps;

  return new Hono<AppContext>()
    .use(requireUser)
    .get("/health", (context) => context.json({ status: "healthy" }))
    .post("/", (context) => chat(deps, callOf(context.req, context.var), "json"))
    .post("/stream", (context) => chat(deps, callOf(context.req, context.var), "stream"))
    .post("/sessions/:session_id/regenerate", async (context) => {
      const { message_id: messageId, stream, ...options } = await readJson(context.req.raw, RegenerateRequest);
      const sessionId = parseId(context.req.param("session_id"), "session_id");
      // From the cache it would be the same answer again.
      const cache = options.cache ?? ({ mode: "no-cache" } as const);
      const request = { ...options, cache, prompt: "again", session_id: sessionId };
      const branch = { kind: "regenerate", messageId } as const;
      const view = stream ? "stream" : "json";
      return start(deps, callOf(context.req, context.var), {
        ...{ request, branch, view, body: { messageId, options } },
        route: branch.kind,
      });
    })
    .post("/sessions/:session_id/edit", async (context) => {
      const { message_id: messageId, stream, ...options } = await readJson(context.req.raw, EditRequest);
      const sessionId = parseId(context.req.param("session_id"), "session_id");
      const request = { ...options, session_id: sessionId };
      const branch = { kind: "edit", messageId } as const;
      const view = stream ? "stream" : "json";
      return start(deps, callOf(context.req, context.var), {
        ...{ request, branch, view, body: { messageId, options } },
        route: branch.kind,
      });
    })
    .get("/turns/:turn_id", (context) => inspect(send, callOf(context.req, context.var), context.req.param("turn_id")))
    .post("/turns/:turn_id/cancel", (context) =>
      inspect(send, callOf(context.req, context.var), context.req.param("turn_id"), true),
    )
    .post("/turns/:turn_id/approvals", async (context) => {
      const turnId = parseId(context.req.param("turn_id"), "turn_id");
      const { decisions } = await readJson(context.req.raw, ApprovalsRequest);
      const { userId, requestId } = callOf(context.req, context.var);
      return send(turnId, { kind: "approve", turnId, decisions, userId, requestId });
    })
    .get("/turns/:turn_id/stream", (context) => {
      const turnId = parseId(context.req.param("turn_id"), "turn_id");
      const after = EventNumber.safeParse(context.req.header("last-event-id") ?? context.req.query("after") ?? "0");
      if (!after.success) throw new AppError("invalid_request", "Last-Event-ID and after must be an event's number");
      const { userId, requestId } = callOf(context.req, context.var);
      return send(turnId, { kind: "watch", turnId, after: after.data, userId, requestId });
    });
}

/** What a handler needs of a request. */
export interface Call {
  raw: Request;
  path: string;
  key: string | undefined;
  userId: string;
  requestId: string;
}

export function callOf(
  req: { raw: Request; path: string; header(name: string): string | undefined },
  { user, requestId }: AppContext["Variables"],
): Call {
  return { raw: req.raw, path: req.path, key: req.header("idempotency-key"), userId: user.id, requestId };
}

async function chat(deps: ChatRoutesDeps, call: Call, view: StartTurn["view"]): Promise<Response> {
  const request = await readJson(call.raw, ChatRequest);
  return start(deps, call, {
    ...{ request, view, branch: { kind: "end" }, body: request },
    route: view === "stream" ? "chat-stream" : "chat",
  });
}

interface Start {
  request: ChatRequest;
  view: StartTurn["view"];
  route: StartTurn["route"];
  branch: Branch;
  /** What an idempotency key is bound to. */
  body: unknown;
}

async function start(
  deps: ChatRoutesDeps,
  call: Call,
  { request, view, route, branch, body }: Start,
): Promise<Response> {
  const { userId, requestId } = call;
  const idempotency = readIdempotency({ userId, route: call.path, key: call.key, body });
  const own = request.session_id;
  if (idempotency && own) await claimKey(deps, call, idempotency);
  const sessionId = own ?? newSessionId(deps, idempotency);
  const chatToStart = deps.resolve(request);
  return deps.send(sessionId, {
    ...{ kind: "start", sessionId, create: own === undefined, view, route, branch, chat: chatToStart },
    ...{ userId, requestId, idempotency },
  });
}

/** A key that comes with a session is claimed at the object that it leads to without one: it means one request everywhere. */
async function claimKey(deps: ChatRoutesDeps, call: Call, idempotency: Idempotency): Promise<void> {
  const { userId, requestId } = call;
  const keyHolder = newSessionId(deps, idempotency);
  const claimed = await deps.send(keyHolder, { kind: "claim", idempotency, userId, requestId });
  if (claimed.status === 422) {
    throw new AppError("idempotency_mismatch", "this Idempotency-Key came with another body before");
  }
  if (!claimed.ok)
    throw new AppError("overloaded", "the Idempotency-Key could not be checked", { retryAfterSeconds: 2 });
}

function newSessionId(deps: ChatRoutesDeps, idempotency: Idempotency | undefined): string {
  return idempotency ? newId(deps.now(), () => bytesOfKey(idempotency)) : deps.newId();
}

function inspect(send: SendToSession, call: Call, id: string, cancel = false): Promise<Response> {
  const turnId = parseId(id, "turn_id");
  return send(turnId, { kind: "inspect", turnId, cancel, userId: call.userId, requestId: call.requestId });
}
