/**
 * What main asks of a session's object, as JSON over its fetch, so that a stream's bytes and its reader's leaving cross natively.
 * Pure types: both ends are ours and of one version.
 */
import type { Credential } from "./accounts.ts";
import type { Decision } from "./approvals.ts";
import type { CachedRoute } from "./cache.ts";
import type { ChatRequest, ModelType, ResponseFormat } from "./chat.ts";
import type { ModelRequest } from "./llm.ts";
import type { AskedResponse } from "./openai-responses.ts";
import type { AttachedFile, SaidMessage } from "./parts.ts";
import type { ToolRound } from "./rounds.ts";
import type { Preferences, Scope } from "./users.ts";

/** A chat request with everything decided: preferences and defaults are filled in. */
export interface ResolvedChat {
  request: ChatRequest;
  model: string;
  modelType: ModelType;
  /** No provider of another type may serve it. Left out: the model's routes say who does. */
  onlyType?: ModelType;
  temperature: number | undefined;
  maxTokens: number | undefined;
  /** Tools that the user has switched off. Left out: by a turn of before there were such. */
  disabledTools?: string[];
  /** Tokens of the session that the model is shown, at most. Left out by an earlier version of this code. */
  contextTokens?: number;
  client?: ClientOptions;
}

/** What a client of OpenAI's API brings to a turn, and to this turn alone. */
export interface ClientOptions extends Pick<ModelRequest, "toolChoice" | "parallelToolCalls" | "topP"> {
  instructions?: string;
  /** Its own tools: calls of them end the turn, and the client goes on with their results. */
  tools?: NonNullable<ModelRequest["tools"]>;
}

/** What a turn keeps of it: how to answer. What was said is a message of the session. */
export type AnswerOptions = Omit<ResolvedChat, "request"> & {
  request: Pick<ChatRequest, "tools" | "response_format" | "cache">;
};

/** A key that a client repeats with a retry: SHA-256 of user, route and key, and of the body. Hex. */
export interface Idempotency {
  key: string;
  bodyHash: string;
}

interface Asker {
  userId: string;
  requestId: string;
  /** The trace that the request belongs to (W3C); left out by an earlier version of this code. */
  traceparent?: string | undefined;
}

/** What a client's own tool gave. */
export interface CallOutput {
  callId: string;
  content: string;
}

/**
 * Where a turn goes on: at the end of the session, from an answer to be made again, from a question to be put anew, behind a
 * message (null: at the start), or after an earlier turn, which stands for its session too; with the results of the calls that it ended with.
 * `given`: calls and results that come behind what is said.
 */
export type Branch =
  | { kind: "end"; given?: ToolRound[] }
  | { kind: "regenerate"; messageId: string | undefined }
  | { kind: "edit"; messageId: string }
  | { kind: "follow"; messageId: string | null }
  | { kind: "after"; turnId: string; outputs: CallOutput[] };

/** May bring a session into its object that rests: its user's account is asked again before that. */
interface Keeping extends Asker {
  credential: Credential;
}

export interface StartTurn extends Keeping {
  kind: "start";
  /** Of a turn that goes on after another one, that turn's. */
  sessionId: string;
  /** Make the session; otherwise it must be there. */
  create: boolean;
  /** Make it if it is not there. */
  makeIfMissing?: boolean;
  /** How to answer: the events as they come, or one reply at the end. */
  view: "stream" | "json";
  /** What its cache entries are said to come from. */
  route: CachedRoute;
  branch: Branch;
  request: ChatRequest;
  client?: ClientOptions;
  /** Of a response. */
  asked?: AskedResponse;
  /** In place of the request's own messages, where something is attached to them or stands before them. */
  said?: SaidMessage[];
  /** The bytes of what is attached, each once. */
  files?: AttachedFile[];
  /** What the credential must be good for. */
  scope: Scope;
  /** What main believes the user's preferences to be; the account's word counts. */
  preferences: Preferences;
  idempotency?: Idempotency | undefined;
}

/** Claims an idempotency key for a turn of another session. */
export interface ClaimKey extends Asker {
  kind: "claim";
  idempotency: Idempotency;
}

/** Watch or resume a turn: its events after number `after`. */
export interface WatchTurn extends Asker {
  kind: "watch";
  turnId: string;
  after: number;
  /** Asked about again while it watches. */
  credential: Credential;
}

/**
 * What there is of a turn now, also of one whose events are gone, and of one whose session rests: what its answer tells of them. With `cancel`
 * it is stopped first.
 */
export interface RecallTurn extends Asker {
  kind: "recall";
  turnId: string;
  cancel: boolean;
}

/** What a response tells again of, as its turn holds it. */
export interface RequestOfResponse {
  asked?: AskedResponse;
  client?: ClientOptions;
  format?: ResponseFormat | undefined;
}

export interface RecalledTurn extends RequestOfResponse {
  sessionId: string;
  /** Frames of its events. */
  events: string;
  /** false: they are fewer than there were. */
  areWhole: boolean;
}

/** A turn's state; with `cancel` it is stopped first. */
export interface InspectTurn extends Asker {
  kind: "inspect";
  turnId: string;
  cancel: boolean;
}

/** Answers what a waiting turn asks. */
export interface AnswerApproval extends Asker {
  kind: "approve";
  turnId: string;
  decisions: Decision[];
}

/** Messages of the session: newest first, from below place `before`; or oldest first, from above place `after`. */
export interface ListMessages extends Asker {
  kind: "messages";
  sessionId: string;
  before?: number | undefined;
  after?: number | undefined;
  limit: number;
}

/** The bytes of something that is attached to a message. */
export interface ReadAttachment extends Asker {
  kind: "attachment";
  sessionId: string;
  sha256: string;
}

/** Keeps a file for messages to come: it is the session's from then on. The one that is there already stays as it is. */
export interface UploadAttachment extends Keeping {
  kind: "upload";
  sessionId: string;
  file: AttachedFile;
}

/** Makes a session without a turn. The one that is there already is shown. */
export interface CreateSession extends Asker {
  kind: "create";
  sessionId: string;
  title: string | undefined;
  /** What it begins with; the rest is filled in. */
  model: Pick<ChatRequest, "model" | "model_type">;
  preferences: Preferences;
}

export interface ViewSession extends Asker {
  kind: "view";
  sessionId: string;
}

/** Renames a session, archives it or takes it back. */
export interface ChangeSession extends Keeping {
  kind: "change";
  sessionId: string;
  title?: string | undefined;
  isActive?: boolean | undefined;
}

/** Saves a message without a turn. */
export interface AppendMessage extends Keeping {
  kind: "append";
  sessionId: string;
  /** Of the message, so that a command that comes twice saves one. */
  messageId: string;
  role: "user" | "assistant";
  content: string;
  idempotency?: Idempotency | undefined;
}

/** Deletes a session here and in Postgres. */
export interface EraseSession extends Asker {
  kind: "erase";
  sessionId: string;
  /** Only if nobody has used it since, in milliseconds since 1970; else it is a conflict. */
  unusedSinceMs?: number;
}

/** Deletes what is older than it is kept of a session's messages, here and in Postgres: at most those before a place. A conflict while it is in use. */
export interface ForgetMessages extends Asker {
  kind: "forget";
  sessionId: string;
  /** In milliseconds since 1970. */
  beforeMs: number;
  /** In Postgres every message before this place is that old. */
  keepFrom: number;
}

export interface ForgottenMessages {
  messages: number;
}

/** Counts what the object holds of turns that ended before a time and need not be kept; deletes nothing. */
export interface CountExpired extends Asker {
  kind: "expired";
  sessionId: string;
  beforeMs: number;
}

/** In turns: with a log, and with checkpoints. */
export interface ExpiredCounts {
  turnLogs: number;
  checkpoints: number;
}

/**
 * The events of a turn from the first on, for a turn of another session that asks the same: refused unless it makes an answer for all
 * under this cache key, since this count of purges. Comes from a session's object, never from a route.
 */
export interface FollowTurn {
  kind: "follow";
  turnId: string;
  key: string;
  since: number;
  requestId: string;
}

/** Deletes what the object holds of a session, and leaves Postgres alone: its user is being erased there. */
export interface DiscardSession extends Asker {
  kind: "discard";
  sessionId: string;
}

/** What the cache would say to a turn that was started like this; nothing is started or written. */
export interface ExplainTurn extends Asker {
  kind: "explain";
  sessionId: string;
  create: boolean;
  request: ChatRequest;
  said?: NonNullable<StartTurn["said"]>;
  preferences: Preferences;
}

export type SessionCommand =
  | StartTurn
  | FollowTurn
  | ExplainTurn
  | ClaimKey
  | WatchTurn
  | RecallTurn
  | InspectTurn
  | AnswerApproval
  | ListMessages
  | ReadAttachment
  | UploadAttachment
  | CreateSession
  | ViewSession
  | ChangeSession
  | AppendMessage
  | EraseSession
  | ForgetMessages
  | CountExpired
  | DiscardSession;

/** What was deleted of an object, in rows. */
export interface ObjectCounts {
  messages: number;
  turns: number;
  events: number;
  checkpoints: number;
}
