/**
 * The messages of a session in its object's SQLite.
 * `seq` rises by one from 1 and orders a session for good. A row is never changed once it is written, but for its parent that is forgotten.
 */
import type { BranchStart } from "../../../contracts/branches.ts";
import type { MessageStatus } from "../../../contracts/history.ts";
import type { AskedResponse } from "../../../contracts/openai-responses.ts";
import type { Attachment, Prelude } from "../../../contracts/parts.ts";
import type { ToolRound } from "../../../contracts/rounds.ts";
import type { BilledUsage, CacheVerdict, Usage } from "../../../contracts/chat.ts";

export interface MessageDetails {
  model?: string;
  provider?: string;
  /** Without a cost: by an earlier version of this code. */
  usage?: Usage | BilledUsage;
  cache?: CacheVerdict;
  finish_reason?: string;
  /** The id of its parent, where that is in Postgres only. */
  parent_id?: string;
  /** What is attached to a user's message; the bytes are in attachments.ts. */
  attachments?: Attachment[];
  /** What its client has put before it. */
  before?: Prelude[];
  /** Of a response's answer. */
  asked?: AskedResponse;
  /** What the model did with tools before the answer in `content`. */
  rounds?: ToolRound[];
}

export interface Message {
  seq: number;
  id: string;
  /** The message it answers or follows; null for a first one. Two messages of one parent are branches. */
  parentSeq: number | null;
  /** null: it was saved without a turn. */
  turnId: string | null;
  role: "user" | "assistant";
  content: string;
  status: MessageStatus;
  /** Tokens that this message cost: 0 for a user's message and for a cache hit. */
  tokens: number;
  details: MessageDetails;
  createdAtMs: number;
}

interface MessageRow extends Record<string, SqlStorageValue> {
  seq: number;
  id: string;
  parent_seq: number | null;
  turn_id: string;
  role: string;
  content: string;
  status: string;
  tokens: number;
  details: string;
  created_at: number;
}

/** Appends a message and returns its `seq`. */
export function appendMessage(sql: SqlStorage, message: Omit<Message, "seq">): number {
  return insertMessage(sql, { ...message, seq: null });
}

/** Writes a message at its place; null: the next one, also behind messages of which none is left. */
export function insertMessage(sql: SqlStorage, message: Omit<Message, "seq"> & { seq: number | null }): number {
  const { seq } = sql
    .exec<{ seq: number }>(
      `INSERT INTO messages (seq, id, parent_seq, turn_id, role, content, status, tokens, details, created_at)
       VALUES (ifnull(?, (SELECT 1 + max(ifnull((SELECT max(seq) FROM messages), 0), ifnull((SELECT forgotten_seq FROM session), 0)))), ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING seq`,
      message.seq,
      message.id,
      message.parentSeq,
      message.turnId ?? "",
      message.role,
      message.content,
      message.status,
      message.tokens,
      JSON.stringify(message.details),
      message.createdAtMs,
    )
    .one();
  return seq;
}

/** Up to `limit` messages with a `seq` above `seq`, in order. */
export function messagesAfter(sql: SqlStorage, seq: number, limit: number): Message[] {
  return sql
    .exec<MessageRow>("SELECT * FROM messages WHERE seq > ? ORDER BY seq LIMIT ?", seq, limit)
    .toArray()
    .map(toMessage);
}

/** The place of the oldest message that is here; null before the first. */
export function oldestSeq(sql: SqlStorage): number | null {
  return sql.exec<{ seq: number | null }>("SELECT min(seq) AS seq FROM messages").one().seq;
}

/** The place of the oldest message that was said at this time or later. */
export function firstSince(sql: SqlStorage, ms: number): number | null {
  return sql.exec<{ seq: number | null }>("SELECT min(seq) AS seq FROM messages WHERE created_at >= ?", ms).one().seq;
}

/** Forgets the messages before a place; one that followed one of them is a first one. */
export function deleteBefore(sql: SqlStorage, seq: number): void {
  sql.exec("DELETE FROM messages WHERE seq < ?", seq);
  sql.exec("UPDATE messages SET parent_seq = NULL WHERE parent_seq < ?", seq);
}

export function countMessages(sql: SqlStorage): number {
  return sql.exec<{ count: number }>("SELECT count(*) AS count FROM messages").one().count;
}

/** Branches that start above place `seq`, newest first: as many rows as there are such branches. */
export function branchStarts(sql: SqlStorage, seq: number): BranchStart[] {
  return sql
    .exec<{ seq: number; from: number }>(
      `SELECT seq, ifnull(parent_seq, 0) AS "from" FROM messages INDEXED BY branch_starts
       WHERE seq > 1 AND parent_seq IS NOT seq - 1 AND seq > ? ORDER BY seq DESC`,
      seq,
    )
    .toArray();
}

/** The newest message's place; null before the first. The newest message is also the end of the active branch. */
export function newestSeq(sql: SqlStorage): number | null {
  return sql.exec<{ seq: number | null }>("SELECT max(seq) AS seq FROM messages").one().seq;
}

/** Up to `limit` messages below place `before`, newest first. */
export function messagesBefore(sql: SqlStorage, before: number | undefined, limit: number): Message[] {
  return sql
    .exec<MessageRow>(
      "SELECT * FROM messages WHERE seq < ? ORDER BY seq DESC LIMIT ?",
      before ?? Number.MAX_SAFE_INTEGER,
      limit,
    )
    .toArray()
    .map(toMessage);
}

export function readMessage(sql: SqlStorage, seq: number): Message | undefined {
  return sql.exec<MessageRow>("SELECT * FROM messages WHERE seq = ?", seq).toArray().map(toMessage)[0];
}

/** The id of the message that this one follows. A parent that is in Postgres only is named by the oldest of its children. */
export function parentId(sql: SqlStorage, { parentSeq }: Pick<Message, "parentSeq">): string | null {
  if (parentSeq === null) return null;
  const parent = readMessage(sql, parentSeq);
  if (parent !== undefined) return parent.id;
  const [child] = sql
    .exec<MessageRow>("SELECT * FROM messages WHERE parent_seq = ? ORDER BY seq LIMIT 1", parentSeq)
    .toArray();
  return child === undefined ? null : (toMessage(child).details.parent_id ?? null);
}

/** The oldest message of a role that is here. */
export function firstOf(sql: SqlStorage, role: Message["role"]): Message | undefined {
  const query = "SELECT * FROM messages WHERE role = ? ORDER BY seq LIMIT 1";
  return sql.exec<MessageRow>(query, role).toArray().map(toMessage)[0];
}

/** By its id, which no index serves: newest first, since that is what people go back to. */
export function findMessage(sql: SqlStorage, id: string): Message | undefined {
  return sql
    .exec<MessageRow>("SELECT * FROM messages WHERE id = ? ORDER BY seq DESC LIMIT 1", id)
    .toArray()
    .map(toMessage)[0];
}

/** The newest message of a turn: its answer, or the question that got none. */
export function newestOfTurn(sql: SqlStorage, turnId: string): Message | undefined {
  return sql
    .exec<MessageRow>("SELECT * FROM messages WHERE turn_id = ? ORDER BY seq DESC LIMIT 1", turnId)
    .toArray()
    .map(toMessage)[0];
}

/** The path from message `seq` back to the first one, newest first, read as far as it is iterated. */
export function* pathFrom(sql: SqlStorage, seq: number | null): Generator<Message> {
  if (seq === null) return;
  const rows = sql.exec<MessageRow>(
    `WITH RECURSIVE path AS (
       SELECT * FROM messages WHERE seq = ?
       UNION ALL
       SELECT messages.* FROM messages JOIN path ON messages.seq = path.parent_seq
     ) SELECT * FROM path`,
    seq,
  );
  for (const row of rows) yield toMessage(row);
}

/** Calls that a turn ended with have no results there: the next turn has both. */
export function isSettled({ calls, results }: ToolRound): boolean {
  return results.length === calls.length;
}

function toMessage(row: MessageRow): Message {
  return {
    seq: row.seq,
    id: row.id,
    parentSeq: row.parent_seq,
    turnId: row.turn_id || null,
    role: row.role as Message["role"], // written by appendMessage
    content: row.content,
    status: row.status as MessageStatus, // written by appendMessage
    tokens: row.tokens,
    details: JSON.parse(row.details) as MessageDetails, // written by appendMessage
    createdAtMs: row.created_at,
  };
}
