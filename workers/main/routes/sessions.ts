/**
 * /history/sessions and /history/messages: sessions as records, their messages, and deleting them. All of it is done by the session's
 * object; these routes say who asks for what.
 */
import * as z from "zod";
import { ChatReply, TurnView } from "../../../contracts/chat.ts";
import { AppError, type ErrorCode } from "../../../contracts/errors.ts";
import {
  ErasedSession,
  HistoryChatReply,
  HistoryChatRequest,
  MessagePage,
  MessageRequest,
  MessageView,
  SessionPatch,
  SessionRequest,
  SessionView,
} from "../../../contracts/sessions.ts";
import { withResidency } from "../../../contracts/ids.ts";
import { count, SessionPath } from "../../../contracts/params.ts";
import { asker, type Call, type Route, route } from "../http/route.ts";
import { claimedKey, KEY_HEADER, nearOf, start, TURN_FAILS, type StartDeps } from "./start-turn.ts";

const PAGE = 50;
const MAX_PAGE = 200;
/** Places are 32-bit numbers in Postgres. */
const MAX_PLACE = 2 ** 31 - 1;
const PageQuery = z
  .strictObject({
    limit: count(1, MAX_PAGE).default(PAGE),
    before: count(1, MAX_PLACE).optional(),
    after: count(0, MAX_PLACE).optional(),
  })
  .refine(({ before, after }) => before === undefined || after === undefined, "give before or after, not both");

/** What the session's object does not hold is read from Postgres. */
const FAILS: ErrorCode[] = ["not_found", "overloaded", "db_timeout", "db_unavailable"];
const shared = { access: "user", params: SessionPath, fails: FAILS } as const;
const PATH = "/history/sessions/{session_id}";

export function sessionRoutes(deps: StartDeps): Route[] {
  return [...recordRoutes(deps), ...messageRoutes(deps), chatRoute(deps)];
}

function recordRoutes({ send, newId, ...deps }: StartDeps): Route[] {
  return [
    route(
      {
        ...{ method: "POST", path: "/history/sessions", access: "user", body: SessionRequest },
        ...{ answers: { 201: SessionView }, fails: ["not_found", "overloaded", "model_not_found"] },
        summary: "Makes a session without a turn",
      },
      (call) => {
        const { title, user_id: owner, model, model_type, residency = deps.residency } = call.body;
        if (owner !== undefined && owner !== call.user.id) throw new AppError("not_found", "there is no such user");
        const sessionId = withResidency(newId(), residency);
        const { preferences } = call.user;
        const chosen = { title, model: { model, model_type }, preferences };
        return send(sessionId, { kind: "create", sessionId, ...chosen, ...asker(call) }, nearOf(call, residency));
      },
    ),
    route({ ...shared, method: "GET", path: PATH, summary: "A session", answers: { 200: SessionView } }, (call) => {
      const { session_id: sessionId } = call.params;
      return send(sessionId, { kind: "view", sessionId, ...asker(call) });
    }),
    route(
      {
        ...{ ...shared, method: "PATCH", path: PATH, body: SessionPatch, answers: { 200: SessionView } },
        summary: "Renames a session, archives it (`is_active` false) or takes it back",
      },
      (call) => {
        const { session_id: sessionId } = call.params;
        const { title, is_active: isActive } = call.body;
        const { credential } = call.user;
        return send(sessionId, { kind: "change", sessionId, title, isActive, credential, ...asker(call) });
      },
    ),
    route(
      {
        ...{ ...shared, method: "DELETE", path: PATH, answers: { 200: ErasedSession, 202: ErasedSession } },
        // The cache of a session that only Postgres has: nothing is deleted then.
        fails: [...FAILS, "upstream_error"],
        summary: "Stops the session's turn and deletes the session, and says what was removed",
      },
      (call) => {
        const { session_id: sessionId } = call.params;
        return send(sessionId, { kind: "erase", sessionId, ...asker(call) });
      },
    ),
  ];
}

function messageRoutes(deps: StartDeps): Route[] {
  return [
    route(
      {
        ...{ ...shared, method: "GET", path: `${PATH}/messages`, query: PageQuery, answers: { 200: MessagePage } },
        summary: "A session's messages of all branches: newest first, or oldest first with `after`",
      },
      (call) => {
        const { session_id: sessionId } = call.params;
        return deps.send(sessionId, { kind: "messages", sessionId, ...call.query, ...asker(call) });
      },
    ),
    route(
      {
        ...{ method: "POST", path: "/history/messages", access: "user", body: MessageRequest, headers: KEY_HEADER },
        ...{ answers: { 201: MessageView }, fails: [...FAILS, "turn_in_progress", "idempotency_mismatch"] },
        summary: "Saves a message in a session, without a turn",
      },
      async (call) => {
        const { session_id: sessionId, role, content } = call.body;
        const idempotency = await claimedKey(deps, call, { body: call.body, sessionId });
        const { credential } = call.user;
        const message = { messageId: deps.newId(), role, content, idempotency, credential };
        return deps.send(sessionId, { kind: "append", sessionId, ...message, ...asker(call) });
      },
    ),
  ];
}

function chatRoute(deps: StartDeps): Route {
  return route(
    {
      ...{ method: "POST", path: "/history/chat/with-history", access: "user", scope: "chat", checkedBy: "session" },
      ...{
        body: HistoryChatRequest,
        takesAttachments: true,
        headers: KEY_HEADER,
        answers: { 200: HistoryChatReply, 202: TurnView },
      },
      ...{ fails: TURN_FAILS },
      summary: "One turn, answered as JSON at its end, with the newest messages of its session",
    },
    async (call) => {
      const { history_limit: limit, ...request } = call.body;
      const turn = { request, view: "json", route: "with-history", branch: { kind: "end" }, body: call.body } as const;
      const response = await start(deps, call, turn);
      if (response.status !== 200) return response;
      const reply = ChatReply.parse(await response.json());
      const history = limit === 0 ? [] : await readNewest(deps, call, { sessionId: reply.session_id, limit });
      // The turn's own headers stay: its ids, and what the cache had to say.
      return new Response(JSON.stringify({ ...reply, history } satisfies HistoryChatReply), response);
    },
  );
}

/** Oldest first. */
async function readNewest(
  { send }: StartDeps,
  call: Call,
  { sessionId, limit }: { sessionId: string; limit: number },
): Promise<MessageView[]> {
  const response = await send(sessionId, { kind: "messages", sessionId, limit, ...asker(call) });
  // Whoever deletes the session meanwhile is not shown it any more.
  if (!response.ok) throw new AppError("not_found", "there is no such session");
  return MessagePage.parse(await response.json()).messages.toReversed();
}
