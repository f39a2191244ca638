/**
 * How routes start a turn: what a request says becomes a command for the object of its session, once for each idempotency key. No state.
 */
import { type ChatRequest, requestMessages } from "../../../contracts/chat.ts";
import { AppError, type ErrorCode, orThrow } from "../../../contracts/errors.ts";
import { newId, type Residency, withResidency } from "../../../contracts/ids.ts";
import type { AskedResponse } from "../../../contracts/openai-responses.ts";
import type { Prelude, SaidMessage } from "../../../contracts/parts.ts";
import type { Branch, ClientOptions, Idempotency, SessionCommand, StartTurn } from "../../../contracts/session.ts";
import type { Accounts } from "../accounts/client.ts";
import { withCacheControl } from "../http/cache-control.ts";
import { bytesOfKey, readIdempotency } from "../http/idempotency.ts";
import { asker, type Call } from "../http/route.ts";
import { takeAttachments } from "../media/take.ts";
import { fillUploads } from "../media/uploads.ts";
import type { Ahead, LookAhead } from "../session/ahead.ts";
import { hintFor } from "../session/placement.ts";

/** Sends a command to the object that holds a session or turn of this id. */
export type SendToSession = (
  sessionOrTurnId: string,
  command: SessionCommand,
  near?: DurableObjectLocationHint,
  ahead?: Promise<Ahead>,
) => Promise<Response>;

export interface StartDeps {
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

export const KEY_HEADER = {
  "Idempotency-Key":
    "1 to 255 printable ASCII characters; a retry with the same key and body shows the first one's turn",
};
/** What can go wrong with a turn, from its request to the provider. */
export const TURN_FAILS: ErrorCode[] = [
  ...(["not_found", "conflict", "turn_in_progress", "idempotency_mismatch", "model_not_found"] as const),
  ...(["unsupported_modality", "context_length_exceeded", "payload_too_large", "invalid_model_output"] as const),
  ...(["turn_expired", "session_deleted", "cancelled", "rate_limited"] as const),
  ...(["upstream_error", "upstream_auth", "upstream_truncated", "tool_loop_limit", "overloaded"] as const),
  "budget_exceeded",
  ...(["interrupted", "upstream_timeout", "cache_miss"] as const),
];

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
export async function start(deps: StartDeps, call: Call, { request, body, before, ...turn }: Start): Promise<Response> {
  const own = turn.branch.kind === "after" ? turn.branch.turnId : request.session_id;
  const filled = await fillUploads(request, (sha256) => readUpload(deps, call, request.session_id, sha256));
  const taken = takeAttachments(filled, deps.attachmentHosts);
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

/** An upload is its session's: a request that names one goes on in that session. */
async function readUpload({ send }: StartDeps, call: Call, sessionId: string | undefined, sha256: string) {
  if (sessionId === undefined)
    throw new AppError("invalid_request", "an upload needs the session_id that it was made to");
  const response = await send(sessionId, { kind: "attachment", sessionId, sha256, ...asker(call) });
  if (response.status === 404) throw new AppError("not_found", "the session has no such attachment");
  if (!response.ok) throw new AppError("overloaded", "an attachment could not be read", { retryAfterSeconds: 2 });
  return { mimeType: response.headers.get("content-type") ?? "", bytes: new Uint8Array(await response.arrayBuffer()) };
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
export function withoutInput(request: ChatRequest, [first]: SaidMessage[]): ChatRequest {
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

type KeyDeps = Pick<StartDeps, "send" | "accounts" | "newId" | "now" | "residency">;

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
