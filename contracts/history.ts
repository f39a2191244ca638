/**
 * The history as it is handed to Postgres: rows of one session and the store that keeps them. Pure types.
 * A five-line fake satisfies `HistoryStore`. Times are milliseconds since 1970, ids UUIDs.
 */
import * as z from "zod";
import { Id } from "./params.ts";
import type { BranchStart } from "./branches.ts";
import { type CacheVerdict, ChatReply, ChatRequest, ModelName, ModelType, VisibleText } from "./chat.ts";
import type { Result } from "./errors.ts";
import { hasVisibleText } from "./text.ts";

export const MESSAGE_ROLES = ["system", "user", "assistant", "tool"] as const;
export type MessageRole = (typeof MESSAGE_ROLES)[number];

/** `interrupted`: cut by trouble; `cancelled`: cut by the user. */
export const MESSAGE_STATUSES = ["complete", "interrupted", "cancelled"] as const;
export type MessageStatus = (typeof MESSAGE_STATUSES)[number];

export interface SessionRow {
  id: string;
  userId: string;
  title: string;
  modelType: string | null;
  modelName: string | null;
  /** false: archived. */
  isActive: boolean;
  createdAtMs: number;
  /** A change of the row or a message. A row that is older than the one that is stored changes nothing of it. */
  updatedAtMs: number;
}

/** A session as Postgres has it. */
export interface StoredSession extends SessionRow {
  /** The place of its newest message; 0 before the first. */
  newestSeq: number;
}

/** A message; its session is the batch's. */
export interface MessageRow {
  id: string;
  /** Its place in the session: unique there, rising. */
  seq: number;
  /** The message it answers or follows; null for the first. */
  parentId: string | null;
  /** null: it follows the message before it. Else the place of the message that it follows; 0: none. */
  branchFrom: number | null;
  role: MessageRole;
  content: string;
  status: MessageStatus;
  /** What it cost: 0 for a user's message and for an answer from the cache. */
  tokensUsed: number;
  promptTokens: number;
  completionTokens: number;
  /** null: no price is known. Of an answer from the cache: what is saved. */
  costUsd: number | null;
  cache: CacheVerdict | null;
  modelUsed: string | null;
  provider: string | null;
  mcpToolsUsed: string[];
  metaInfo: Record<string, unknown>;
  turnId: string | null;
  createdAtMs: number;
}

/** What one round trip writes: a session and messages of it. */
export interface HistoryBatch {
  session: SessionRow;
  messages: MessageRow[];
}

export type SaveReport =
  /** Written. `conflicts`: ids of messages that are not stored, because another message has their id or their place. */
  | { poison: false; inserted: number; conflicts: string[] }
  /** Nothing written: one row can never be. Retry row by row to find it. `reason`: an SQLSTATE, or "unencodable". */
  | { poison: true; reason: string };

/** Messages of one session of one user: the newest below `before`, or the first above `after`, which are given oldest first. */
export interface MessageQuery {
  sessionId: string;
  userId: string;
  before?: number | undefined;
  after?: number | undefined;
  limit: number;
}

export interface StoredPage {
  /** Those of users and models; newest first, or with `after` oldest first. */
  messages: MessageRow[];
  /** Branches that start above the oldest of them, newest first. */
  starts: BranchStart[];
  /** The session's newest place. */
  newestSeq: number;
}

/** The newest messages of a session, within both limits. */
export interface WindowQuery {
  sessionId: string;
  userId: string;
  messages: number;
  bytes: number;
}

export interface SessionWindow {
  session: StoredSession;
  /** Oldest first. `parentSeq`: null for a first message, and where Postgres does not have the parent. */
  messages: (MessageRow & { parentSeq: number | null })[];
}

export interface SessionRemains {
  /** Its user is there. */
  user: boolean;
  session: boolean;
  messages: number;
}

export interface ErasedRows {
  sessions: number;
  messages: number;
  deadLetters: number;
}

/** Fails with `db_unavailable` or `db_timeout`: try again later, the same batch is safe to repeat. Each call is one request. */
export interface HistoryStore {
  /** All or nothing. A session of another user is never changed: poison. */
  saveBatch(batch: HistoryBatch): Promise<Result<SaveReport>>;
  /** undefined, here and in the next two: the user has no such session. */
  readSession(sessionId: string, userId: string): Promise<Result<StoredSession | undefined>>;
  readMessages(query: MessageQuery): Promise<Result<StoredPage | undefined>>;
  readWindow(query: WindowQuery): Promise<Result<SessionWindow | undefined>>;
  /** Notes a message that can never be stored; twice is once. */
  setAside(letter: { sessionId: string; seq: number; code: string }): Promise<Result<void>>;
  ping(): Promise<Result<{ latencyMs: number }>>;
  countDeadLetters(): Promise<Result<number>>;
  /** Removes a session of this user with its messages and dead letters; nothing to remove is fine. */
  eraseSession(sessionId: string, userId: string): Promise<Result<ErasedRows>>;
  /** What is left of a session there; `messages`: how many from place `from` on. */
  inspectSession(query: { sessionId: string; userId: string; from: number }): Promise<Result<SessionRemains>>;
  /** The last applied migration; 0 before the first. */
  schemaVersion(): Promise<Result<number>>;
}

export const MessageView = z
  .strictObject({
    id: z.uuidv7(),
    /** Its place in the session. */
    seq: z.int().min(1),
    /** The message it answers or follows; two messages of one parent are branches. */
    parent_id: z.uuidv7().nullable(),
    /** On the branch that the next turn goes on from. */
    active: z.boolean(),
    /** null: it was saved without a turn. */
    turn_id: z.uuidv7().nullable(),
    role: z.enum(["user", "assistant"]),
    content: z.string(),
    status: z.enum(MESSAGE_STATUSES),
    tokens_used: z.int().min(0),
    created_at: z.iso.datetime(),
  })
  .meta({ id: "Message" });
export type MessageView = z.infer<typeof MessageView>;

/** A page of a session's messages: newest first, or oldest first with `after`. It may be shorter than its limit before the last one. */
export const MessagePage = z
  .strictObject({
    session_id: z.uuidv7(),
    messages: z.array(MessageView),
    /** `before` of the next page; null on the last one, and oldest first. */
    next_before: z.int().nullable(),
    /** `after` of the next page; null on the last one, and newest first. */
    next_after: z.int().nullable(),
  })
  .meta({ id: "MessagePage" });
export type MessagePage = z.infer<typeof MessagePage>;

/** Can the history be reached, is its schema the one expected, and what could not be stored. */
export const HistoryHealth = z
  .strictObject({
    status: z.enum(["healthy", "degraded", "unhealthy"]),
    latency_ms: z.number().nullable(),
    schema: z.strictObject({ found: z.int().nullable(), expected: z.int() }),
    /** Messages that Postgres can never take. */
    dead_letters: z.int().nullable(),
  })
  .meta({ id: "HistoryHealth" });
export type HistoryHealth = z.infer<typeof HistoryHealth>;

/** A session as its routes show it. */
export const SessionView = z
  .strictObject({
    id: z.uuidv7(),
    title: z.string(),
    /** What it began with; null: an import did not say it. */
    model_type: z.string().nullable(),
    model_name: z.string().nullable(),
    /** false: archived. */
    is_active: z.boolean(),
    created_at: z.iso.datetime(),
    /** Its last change or message. */
    updated_at: z.iso.datetime(),
    /** Messages of all branches. */
    message_count: z.int().min(0),
    /** The turn that has not ended. */
    turn: z.strictObject({ turn_id: z.uuidv7(), state: z.enum(["running", "waiting"]) }).nullable(),
  })
  .meta({ id: "Session" });
export type SessionView = z.infer<typeof SessionView>;

const MAX_TITLE_CHARS = 200;

/** One line that a person can see. Kept as it is, byte for byte. */
const Title = z
  .string()
  .refine((text) => [...text].length <= MAX_TITLE_CHARS, `must have ${MAX_TITLE_CHARS} characters at most`)
  .refine((text) => !/\p{Cc}/u.test(text), "must not contain control characters")
  .refine((text) => text.isWellFormed(), "must not contain half a surrogate pair")
  .refine(hasVisibleText, "must contain visible text");

export const SessionRequest = z.strictObject({
  /** Left out: made of what is said first. */
  title: Title.optional(),
  model: ModelName.optional(),
  model_type: ModelType.optional(),
  /** One's own. */
  user_id: Id.optional(),
});

export const SessionPatch = z
  .strictObject({ title: Title.optional(), is_active: z.boolean().optional() })
  .refine((patch) => Object.keys(patch).length > 0, "must change something");

/** A message that is saved without a turn. */
export const MessageRequest = z.strictObject({
  session_id: Id,
  role: z.enum(["user", "assistant"]),
  content: VisibleText,
});

/** A chat request that is answered with the end of its session's history as well. */
export const HistoryChatRequest = ChatRequest.safeExtend({
  /** How many messages of the session the reply shows at most, the turn's own among them. */
  history_limit: z.int().min(0).max(100).default(20),
}).meta({ id: "HistoryChatRequest" });

export const HistoryChatReply = z
  .strictObject({
    ...ChatReply.shape,
    /** The session's newest messages after the turn, oldest first. */
    history: z.array(MessageView),
  })
  .meta({ id: "HistoryChatReply" });
export type HistoryChatReply = z.infer<typeof HistoryChatReply>;

const counts = <T extends string>(...names: T[]) =>
  z.strictObject(Object.fromEntries(names.map((name) => [name, z.int().min(0)])) as Record<T, z.ZodInt>); // one each

/** A session that was deleted; `erased` false: Postgres or the cache is away, and what is there goes when it is back. */
export const ErasedSession = z
  .strictObject({
    session_id: z.uuidv7(),
    erased: z.boolean(),
    removed: z.strictObject({
      object: counts("messages", "turns", "events", "checkpoints"),
      /** null: Postgres is away. */
      postgres: counts("sessions", "messages", "dead_letters").nullable(),
      /** null: the cache is away. */
      cache_entries: z.int().min(0).nullable(),
    }),
  })
  .meta({ id: "ErasedSession" });
export type ErasedSession = z.infer<typeof ErasedSession>;
