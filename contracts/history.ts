/**
 * The history as it is handed to Postgres: rows of one session and the store that keeps them. Pure types.
 * A five-line fake satisfies `HistoryStore`. Times are milliseconds since 1970, ids UUIDs.
 */
import * as z from "zod";
import type { BranchStart } from "./branches.ts";
import type { CacheVerdict } from "./chat.ts";
import type { Result } from "./errors.ts";
import type { UsageRecord } from "./ledger.ts";

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
  /** Places up to it hold nothing any more. */
  forgottenSeq: number;
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
  /** What the answers among them cost, for the ledger. */
  usage?: UsageRecord[];
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

/** What a turn has left: its newest message, in its session. */
export interface FoundTurn {
  sessionId: string;
  message: MessageRow;
}

export interface SessionRemains {
  /** Its user is there. */
  user: boolean;
  session: boolean;
  messages: number;
}

/** Sessions whose last change or message is older than `beforeMs`, by id. */
export interface IdleQuery {
  beforeMs: number;
  /** Those after this id; undefined: from the first on. */
  after: string | undefined;
  limit: number;
}

/** Sessions that have got a message since then, by their newest ones. */
export interface UsedQuery {
  sinceMs: number;
  /** Those after this message's id; undefined: from the time on. */
  after: string | undefined;
  limit: number;
}

export interface UsedSession {
  id: string;
  userId: string;
  /** Of its newest message. */
  newestId: string;
}

/** A session with old messages: all before this place are, and there are some. */
export interface AgedSession {
  id: string;
  userId: string;
  keepFrom: number;
}

export interface AgedPage {
  sessions: AgedSession[];
  /** The id of the last old message that was looked at: where the next page begins. */
  last: string | undefined;
  /** There may be more. */
  isFull: boolean;
}

/** Messages of a session before a place. */
export interface ForgetQuery {
  sessionId: string;
  userId: string;
  keepFrom: number;
}

export interface ErasedRows {
  sessions: number;
  messages: number;
  deadLetters: number;
}

export interface DeadLetter {
  sessionId: string;
  seq: number;
  code: string;
  usage?: UsageRecord[];
}

/** The bytes of what is attached to a session's messages, in base64. */
export interface AttachmentRow {
  sessionId: string;
  userId: string;
  sha256: string;
  mimeType: string;
  data: string;
}

/** Fails with `db_unavailable` or `db_timeout`: try again later, the same batch is safe to repeat. Each call is one request. */
export interface HistoryStore {
  /** All or nothing. A session of another user is never changed: poison. */
  saveBatch(batch: HistoryBatch): Promise<Result<SaveReport>>;
  /** undefined, here and in the next two: the user has no such session. */
  readSession(sessionId: string, userId: string): Promise<Result<StoredSession | undefined>>;
  readMessages(query: MessageQuery): Promise<Result<StoredPage | undefined>>;
  readWindow(query: WindowQuery): Promise<Result<SessionWindow | undefined>>;
  /** undefined: the user has no message of such a turn. */
  findTurn(query: { turnId: string; userId: string }): Promise<Result<FoundTurn | undefined>>;
  /** Once a session; twice is once. Nothing is kept for a session that the user does not have. */
  saveAttachment(row: AttachmentRow): Promise<Result<void>>;
  /** undefined: the user has no such session, or it no such attachment. */
  readAttachment(
    key: Pick<AttachmentRow, "sessionId" | "userId" | "sha256">,
  ): Promise<Result<AttachmentRow | undefined>>;
  /** Notes a message that can never be stored, and what it cost; twice is once. */
  setAside(letter: DeadLetter): Promise<Result<void>>;
  ping(): Promise<Result<{ latencyMs: number }>>;
  countDeadLetters(): Promise<Result<number>>;
  /** Removes a session of this user with its messages and dead letters; nothing to remove is fine. */
  eraseSession(sessionId: string, userId: string): Promise<Result<ErasedRows>>;
  /** Of all users. */
  idleSessions(query: IdleQuery): Promise<Result<{ id: string; userId: string }[]>>;
  usedSessions(query: UsedQuery): Promise<Result<UsedSession[]>>;
  /** Of all users: `after` is a message's id, and `limit` counts messages. */
  agedMessages(query: IdleQuery): Promise<Result<AgedPage>>;
  /** Says how many there were. What is attached to no other message goes too. */
  forgetMessages(query: ForgetQuery): Promise<Result<number>>;
  /** What is left of a session there; `messages`: how many from place `from` on. */
  inspectSession(query: { sessionId: string; userId: string; from: number }): Promise<Result<SessionRemains>>;
  /** The last applied migration; 0 before the first. */
  schemaVersion(): Promise<Result<number>>;
}

/** What sessions owe to Postgres after failed attempts, as far as it has been told within the last minutes. */
const OutboxHealth = z.strictObject({
  sessions: z.int(),
  messages: z.int(),
  /** 0: nothing is owed. */
  oldest_seconds: z.number(),
});
export type OutboxHealth = z.infer<typeof OutboxHealth>;

/** Can the history be reached, is its schema the one expected, and what could not be stored. */
export const HistoryHealth = z
  .strictObject({
    status: z.enum(["healthy", "degraded", "unhealthy"]),
    latency_ms: z.number().nullable(),
    schema: z.strictObject({ found: z.int().nullable(), expected: z.int() }),
    /** Messages that Postgres can never take. */
    dead_letters: z.int().nullable(),
    /** null: it could not be asked for. */
    outbox: OutboxHealth.nullable(),
  })
  .meta({ id: "HistoryHealth" });
export type HistoryHealth = z.infer<typeof HistoryHealth>;
