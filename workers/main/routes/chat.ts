/**
 * /chat: turns as JSON or as a stream, watching, stopping and branching them. A turn itself runs in its session's object;
 * these routes say who asks for what and hand the object's answer on.
 */
import * as z from "zod";
import { ApprovalsRequest } from "../../../contracts/approvals.ts";
import { ChatReply, ChatRequest, EditRequest, RegenerateRequest, TurnView } from "../../../contracts/chat.ts";
import { AppError, type ErrorCode } from "../../../contracts/errors.ts";
import { SessionPath, TurnPath } from "../../../contracts/params.ts";
import { asker, type Call, type Route, route } from "../http/route.ts";
import { KEY_HEADER, type SendToSession, start, type StartDeps, TURN_FAILS } from "./start-turn.ts";

const EventNumber = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const Health = z.strictObject({ status: z.literal("healthy") });
const TURN_HEADERS = {
  ...KEY_HEADER,
  "Cache-Control": "no-cache, no-store, only-if-cached or max-age; joined with the body's cache",
};
const JSON_TURN = { 200: ChatReply, 202: TurnView } as const;
/** With `stream: true` the request asks for events. */
const EITHER_TURN = { 200: [ChatReply, "text/event-stream"], 202: TurnView } as const;

export function chatRoutes(deps: StartDeps): Route[] {
  return [...startRoutes(deps), ...branchRoutes(deps), ...turnRoutes(deps)];
}

function startRoutes(deps: StartDeps): Route[] {
  const shared = {
    method: "POST",
    access: "user",
    checkedBy: "session",
    body: ChatRequest,
    takesAttachments: true,
    headers: TURN_HEADERS,
    fails: TURN_FAILS,
  } as const;
  return [
    route(
      { method: "GET", path: "/chat/health", summary: "Does main run", access: "user", answers: { 200: Health } },
      () => Response.json({ status: "healthy" }),
    ),
    route({ ...shared, path: "/chat", summary: "One turn, answered as JSON at its end", answers: JSON_TURN }, (call) =>
      start(deps, call, {
        ...{ request: call.body, view: "json", route: "chat", branch: { kind: "end" }, body: call.body },
      }),
    ),
    route(
      {
        ...{ ...shared, path: "/chat/stream", summary: "The same turn as server-sent events" },
        answers: { 200: "text/event-stream" },
      },
      (call) =>
        start(deps, call, {
          ...{ request: call.body, view: "stream", route: "chat-stream", branch: { kind: "end" }, body: call.body },
        }),
    ),
  ];
}

function branchRoutes(deps: StartDeps): Route[] {
  const shared = {
    ...({ method: "POST", access: "user", checkedBy: "session", params: SessionPath } as const),
    ...{ headers: TURN_HEADERS, answers: EITHER_TURN, fails: TURN_FAILS },
  };
  return [
    route(
      {
        ...{ ...shared, path: "/chat/sessions/{session_id}/regenerate", body: RegenerateRequest },
        summary: "An answer made again, as a branch beside the first one",
      },
      (call) => {
        const { message_id: messageId, stream, ...options } = call.body;
        // From the cache it would be the same answer again.
        const cache = options.cache ?? ({ mode: "no-cache" } as const);
        const request = { ...options, cache, prompt: "again", session_id: call.params.session_id };
        const view = stream ? "stream" : "json";
        const branch = { kind: "regenerate", messageId } as const;
        return start(deps, call, { request, branch, view, route: branch.kind, body: { messageId, options } });
      },
    ),
    route(
      {
        ...{ ...shared, path: "/chat/sessions/{session_id}/edit", body: EditRequest },
        summary: "A question put anew, as a branch beside the old one",
      },
      (call) => {
        const { message_id: messageId, stream, ...options } = call.body;
        const request = { ...options, session_id: call.params.session_id };
        const view = stream ? "stream" : "json";
        const branch = { kind: "edit", messageId } as const;
        return start(deps, call, { request, branch, view, route: branch.kind, body: { messageId, options } });
      },
    ),
  ];
}

function turnRoutes({ send }: StartDeps): Route[] {
  const shared = {
    access: "user",
    params: TurnPath,
    fails: ["not_found", "overloaded"] satisfies ErrorCode[],
  } as const;
  const inspect = (call: Call<{ turn_id: string }>, cancel: boolean): Promise<Response> => {
    const { turn_id: turnId } = call.params;
    return send(turnId, { kind: "inspect", turnId, cancel, ...asker(call) });
  };
  return [
    route(
      {
        ...shared,
        method: "GET",
        path: "/chat/turns/{turn_id}",
        summary: "A turn's state",
        answers: { 200: TurnView },
      },
      (call) => inspect(call, false),
    ),
    route(
      {
        ...{ ...shared, method: "POST", path: "/chat/turns/{turn_id}/cancel", answers: { 200: TurnView } },
        summary: "Stops a turn from any device, and keeps what was shown",
      },
      (call) => inspect(call, true),
    ),
    route(
      {
        ...{ ...shared, method: "POST", path: "/chat/turns/{turn_id}/approvals", body: ApprovalsRequest },
        ...{ answers: { 202: TurnView }, fails: ["not_found", "conflict", "overloaded"] },
        summary: "Decides on what a waiting turn asks",
      },
      (call) => {
        const { turn_id: turnId } = call.params;
        return send(turnId, { kind: "approve", turnId, decisions: call.body.decisions, ...asker(call) });
      },
    ),
    watchRoute(send),
  ];
}

function watchRoute(send: SendToSession): Route {
  return route(
    {
      ...{ method: "GET", path: "/chat/turns/{turn_id}/stream", access: "user", answers: { 200: "text/event-stream" } },
      ...{ params: TurnPath, query: z.strictObject({ after: z.string().optional() }) },
      headers: { "Last-Event-ID": "the number of the last event that was seen" },
      summary: "Watch or resume a turn: the events after a number",
      fails: ["not_found", "turn_expired", "overloaded"],
    },
    (call) => {
      const { turn_id: turnId } = call.params;
      const after = EventNumber.safeParse(call.raw.headers.get("last-event-id") ?? call.query.after ?? "0");
      if (!after.success) throw new AppError("invalid_request", "Last-Event-ID and after must be an event's number");
      const { credential } = call.user;
      return send(turnId, { kind: "watch", turnId, after: after.data, credential, ...asker(call) });
    },
  );
}
