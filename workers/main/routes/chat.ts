/**
 * /chat: turns as JSON or as a stream, watching, stopping and branching them. A turn itself runs in its session's object;
 * these routes say who asks for what and hand the object's answer on.
 */
import * as z from "zod";
import { ApprovalsRequest } from "../../../contracts/approvals.ts";
import {
  ChatReply,
  ChatRequest,
  EditRequest,
  RegenerateRequest,
  requestMessages,
  TurnView,
} from "../../../contracts/chat.ts";
import { AppError, type ErrorCode, orThrow } from "../../../contracts/errors.ts";
import { newId, type Residency, withResidency } from "../../../contracts/ids.ts";
import type { AskedResponse } from "../../../contracts/openai-responses.ts";
import { SessionPath, TurnPath } from "../../../contracts/params.ts";
import type { Prelude, SaidMessage } from "../../../contracts/parts.ts";
import type { Branch, ClientOptions, Idempotency, SessionCommand, StartTurn } from "../../../contracts/session.ts";
import type { Accounts } from "../accounts/client.ts";
import { withCacheControl } from "../http/cache-control.ts";
import { takeAttachments } from "../media/take.ts";
import { bytesOfKey, readIdempotency } from "../http/idempotency.ts";
import { type Call, type Route, route } from "../http/route.ts";
import type { Ahead, LookAhead } from "../session/ahead.ts";
import { hintFor } from "../session/placement.ts";

/** Sends a command to the object that holds a session or turn of this id. */
export type SendToSession = (
  sessionOrTurnId: string,
  command: SessionCommand,
  near?: DurableObjectLocationHint,
  ahead?: Promise<Ahead>,
) => Promise<Response>;

export interface ChatRoutesDeps {
  send: SendToSession;
  lookAhead: LookAhead;
  accounts: Accounts;
  newId: () => string;
  now: () => number;
  /** Whose images a provider may be told to fetch. */
  attachmentHosts: readonly string[];
  /** Of sessions whose request says nothing. */
  residency: Residency | undefined;
}

const EventNumber = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const Health = z.strictObject({ status: z.literal("healthy") });
export const KEY_HEADER = {
  "Idempotency-Key":
    "1 to 255 printable ASCII characters; a retry with the same key and body shows the first one's turn",
};
const TURN_HEADERS = {
  ...KEY_HEADER,
  "Cache-Control": "no-cache, no-store, only-if-cached or max-age; joined with the body's cache",
};
/** What can go wrong with a turn, from its request to the provider. */
export const TURN_FAILS: ErrorCode[] = [
  ...(["not_found", "conflict", "turn_in_progress", "idempotency_mismatch", "model_not_found"] as const),
  ...(["unsupported_modality", "context_length_exceeded", "invalid_model_output"] as const),
  ...(["turn_expired", "session_deleted", "cancelled", "rate_limited"] as const),
  ...(["upstream_error", "upstream_auth", "upstream_truncated", "tool_loop_limit", "overloaded"] as const),
  "budget_exceeded",
  ...(["interrupted", "upstream_timeout", "cache_miss"] as const),
];
const JSON_TURN = { 200: ChatReply, 202: TurnView } as const;
/** With `stream: true` the request asks for events. */
const EITHER_TURN = { 200: [ChatReply, "text/event-stream"], 202: TurnView } as const;

export function chatRoutes(deps: ChatRoutesDeps): Route[] {
  return [...startRoutes(deps), ...branchRoutes(deps), ...turnRoutes(deps)];
}

function startRoutes(deps: ChatRoutesDeps): Route[] {
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

function branchRoutes(deps: ChatRoutesDeps): Route[] {
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

function turnRoutes({ send }: ChatRoutesDeps): Route[] {
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

/** On whose behalf a session is asked. */
export function asker({ user, requestId, traceparent }: Call) {
  return { userId: user.id, requestId, traceparent };
}

export interface Start {
  request: ChatRequest;
  client?: ClientOptions;
  asked?: AskedResponse;
  /** What stands before each message; of a request that says nothing, none. */
  before?: Prelude[][];
  view: StartTurn["view"];
  route: StartTurn["route"];
  branch: Branch;
  makeIfMissing?: boolean;
  /** What an idempotency key is bound to. */
  body: unknown;
}

/** Starts a turn; the answer is the object's. */
export async function start(
  deps: ChatRoutesDeps,
  call: Call,
  { request, body, before, ...turn }: Start,
): Promise<Response> {
  const own = turn.branch.kind === "after" ? turn.branch.turnId : request.session_id;
  const taken = takeAttachments(request, deps.attachmentHosts);
  const said = before === undefined ? taken?.said : withBefore(taken?.said ?? requestMessages(request), before);
  const residency = request.residency ?? deps.residency;
  const idempotency = await claimedKey(deps, call, { body, sessionId: own, residency });
  const sessionId = own ?? newSessionId(deps, idempotency, residency);
  const near = own === undefined || turn.makeIfMissing ? nearOf(call, residency) : undefined;
  const cache = withCacheControl(request.cache, call.raw.headers.get("cache-control"));
  const { credential, preferences } = call.user;
  const command: StartTurn = {
    ...{ kind: "start", sessionId, create: own === undefined, ...turn },
    request: { ...(said ? withoutInput(request, said) : request), ...(cache && { cache }) },
    ...{ ...taken, ...(said && { said }) },
    ...asker(call),
    ...{ idempotency, credential, preferences, scope: "chat" },
  };
  // Bytes that a user attaches are large to send in pieces, and their answers are seldom in the cache.
  const isAhead = command.create && !taken?.files.length;
  return deps.send(sessionId, command, near, isAhead ? deps.lookAhead(command) : undefined);
}

function withBefore(said: SaidMessage[], before: Prelude[][]): SaidMessage[] {
  return before.flatMap((one, at) => {
    const message = said[at];
    return message === undefined ? [] : { ...message, ...(one.length > 0 && { before: one }) };
  });
}

/** Where the one who calls is. */
export function nearOf({ raw }: Call, residency: Residency | undefined): DurableObjectLocationHint | undefined {
  return hintFor(raw.cf, residency);
}

/** What is said goes apart from it: it may be more than a request holds. */
function withoutInput(request: ChatRequest, [first]: SaidMessage[]): ChatRequest {
  const { prompt: _prompt, parts: _parts, messages: _messages, ...options } = request;
  return { ...options, prompt: first?.content ?? "" };
}

interface Keyed {
  /** What a key is bound to. */
  body: unknown;
  /** The session that the request is for; undefined: one that is yet to be made. */
  sessionId: string | undefined;
  /** Of that one. */
  residency?: Residency | undefined;
}

type KeyDeps = Pick<ChatRoutesDeps, "send" | "accounts" | "newId" | "now" | "residency">;

/** The request's idempotency key, if it has one, claimed wherever it could meet itself. */
export async function claimedKey(
  deps: KeyDeps,
  call: Call,
  { body, sessionId, residency }: Keyed,
): Promise<Idempotency | undefined> {
  const key = call.raw.headers.get("idempotency-key") ?? undefined;
  const keyed = { userId: call.user.id, route: new URL(call.raw.url).pathname, key, body };
  const idempotency = readIdempotency(keyed);
  const isElsewhere = sessionId !== undefined || residency !== deps.residency;
  if (idempotency && isElsewhere) await claimKey(deps, call, idempotency);
  return idempotency;
}

/** A key that comes with a session, or a residency, is claimed at the object that it leads to without: it means one request everywhere. */
async function claimKey(deps: KeyDeps, call: Call, idempotency: Idempotency): Promise<void> {
  const keyHolder = newSessionId(deps, idempotency, deps.residency);
  // At once, for the time's sake; whoever is refused is not told what the key has come with.
  const [claimed, standing] = await Promise.all([
    deps.send(keyHolder, { kind: "claim", idempotency, ...asker(call) }),
    deps.accounts.check(call.user.credential),
  ]);
  orThrow(standing);
  if (claimed.status === 422) {
    throw new AppError("idempotency_mismatch", "this Idempotency-Key came with another body before");
  }
  if (!claimed.ok)
    throw new AppError("overloaded", "the Idempotency-Key could not be checked", { retryAfterSeconds: 2 });
}

function newSessionId(deps: KeyDeps, idempotency: Idempotency | undefined, residency: Residency | undefined): string {
  const id = idempotency ? newId(deps.now(), () => bytesOfKey(idempotency)) : deps.newId();
  return withResidency(id, residency);
}
