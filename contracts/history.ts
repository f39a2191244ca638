/**
 * The history as it is handed to Postgres: rows of one session and the store that keeps them. Pure types.
 * A five-line fake satisfies `HistoryStore`. Times are milliseconds since 1970, ids UUIDs.
 */
import * as z from "zod";
import type { CacheVerdict } from "./chat.ts";
import type { Result } from "./errors.ts";

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
  createdAtMs: number;
  updatedAtMs: number;
}

/** A message; its session is the batch's. */
export interface MessageRow {
  id: string;
  /** Its place in the session: unique there, rising. */
  seq: number;
  /** The message it answers or replaces; null for the first. */
  parentId: string | null;
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

/** Fails with `db_unavailable` or `db_timeout`: try again later, the same batch is safe to repeat. */
export interface HistoryStore {
  /** All or nothing. A session of another user is never changed: poison. */
  saveBatch(batch: HistoryBatch): Promise<Result<SaveReport>>;
  /** Notes a message that can never be stored; twice is once. */
  setAside(letter: { sessionId: string; seq: number; code: string }): Promise<Result<void>>;
  ping(): Promise<Result<{ latencyMs: number }>>;
  countDeadLetters(): Promise<Result<number>>;
  /** Removes a session of this user with its messages; nothing to remove is fine. */
  eraseSession(sessionId: string, userId: string): Promise<Result<void>>;
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

/** A session that was deleted; `erased` false: Postgres is away, and what is there goes when it is back. */
export const ErasedSession = z
  .strictObject({ session_id: z.uuidv7(), erased: z.boolean() })
  .meta({ id: "ErasedSession" });
export type ErasedSession = z.infer<typeof ErasedSession>;
