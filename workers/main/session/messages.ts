/**
 * The messages of a session in its object's SQLite, and the window of them that a model is shown.
 * `seq` rises by one from 1 and orders a session for good. A row is never changed once it is written.
 */
import type { BranchStart } from "../../../contracts/branches.ts";
import type { ModelMessage } from "../../../contracts/llm.ts";
import type { MessageStatus } from "../../../contracts/history.ts";
import type { Attachment, ModelAttachment } from "../../../contracts/parts.ts";
import { estimateMessage, roundMessages, type ToolRound } from "../../../contracts/rounds.ts";
import type { CacheVerdict, Usage } from "../../../contracts/chat.ts";

export interface MessageDetails {
  model?: string;
  provider?: string;
  usage?: Usage;
  cache?: CacheVerdict;
  finish_reason?: string;
  /** The id of its parent, where that is in Postgres only. */
  parent_id?: string;
  /** What is attached to a user's message; the bytes are in attachments.ts. */
  attachments?: Attachment[];
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

/** Writes a message at its place; null: the next one. */
export function insertMessage(sql: SqlStorage, message: Omit<Message, "seq"> & { seq: number | null }): number {
  const { seq } = sql
    .exec<{ seq: number }>(
      `INSERT INTO messages (seq, id, parent_seq, turn_id, role, content, status, tokens, details, created_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING seq`,
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

/** The path from message `seq` back to the first one, newest first, read as far as it is iterated. */
function* pathFrom(sql: SqlStorage, seq: number | null): Generator<Message> {
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

/** Of attachments that a model is shown at once: half as much again in base64, and 32 MiB is what a call can carry. */
const MAX_WINDOW_BYTES = 16 * 1024 * 1024;

export interface WindowOptions {
  sql: SqlStorage;
  /** The end of the branch that is continued. */
  leafSeq: number | null;
  /** Messages to come after it. */
  upcoming: ModelMessage[];
  tokenBudget: number;
}

/** Where the window of a turn began, and for which budget: the next one begins there too, as long as it fits. */
export interface WindowStart {
  seq: number;
  tokenBudget: number;
}

export interface ContextWindow {
  messages: ModelMessage[];
  start: WindowStart;
}

/**
 * What the model is shown: messages of a branch that fit the budget beside the `upcoming` ones, oldest first, then those. Providers keep
 * the beginnings of prompts, so the window begins where the last turn's began; when it is full it lets go of half of its history at once.
 * Reads two rows more than it returns. It starts with a user's message, and messages of one role in a row are joined: a turn
 * that failed leaves a question without an answer, messages are saved in any order, and some chat templates refuse that.
 */
export function contextWindow({ sql, leafSeq, upcoming, tokenBudget }: WindowOptions): ContextWindow {
  const upcomingTokens = countTokens(upcoming);
  const halfFull = upcomingTokens + (tokenBudget - upcomingTokens) / 2;
  const firstSeq = lastStart(sql, leafSeq, tokenBudget);
  const newestFirst: { seq: number; shown: ModelMessage[]; tokens: number; bytes: number }[] = [];
  let tokens = upcomingTokens;
  let bytes = countBytes(upcoming);
  let isFull = false;
  for (const message of pathFrom(sql, leafSeq)) {
    if (message.seq < firstSeq) break;
    const shown = toModelMessages(message);
    tokens += countTokens(shown);
    bytes += countBytes(shown);
    const isOver = tokens > tokenBudget || bytes > MAX_WINDOW_BYTES;
    isFull = isOver && (newestFirst.length > 0 || upcoming.length > 0);
    if (isFull) break;
    newestFirst.push({ seq: message.seq, shown, tokens, bytes });
  }
  const isInHalf = (upTo: { tokens: number; bytes: number }): boolean =>
    upTo.tokens <= halfFull && upTo.bytes <= MAX_WINDOW_BYTES / 2;
  const kept = newestFirst.filter((message, at) => !isFull || isInHalf(message) || at + upcoming.length === 0);
  const firstUser = kept.findLastIndex(({ shown }) => shown[0]?.role === "user");
  const history = kept.slice(0, firstUser + 1).toReversed();
  const seq = leafSeq === null ? 0 : (history[0]?.seq ?? leafSeq + 1);
  return {
    messages: joinRuns([...history.flatMap(({ shown }) => shown), ...upcoming]),
    start: { seq, tokenBudget },
  };
}

/** The place where the newest turn's window began; 0 where that says nothing of this branch or this budget. */
function lastStart(sql: SqlStorage, leafSeq: number | null, tokenBudget: number): number {
  if (leafSeq === null) return 0; // the tables may not be there
  const query = `SELECT command ->> '$.window.seq' AS seq, command ->> '$.window.tokenBudget' AS budget
    FROM turns ORDER BY id DESC LIMIT 1`;
  const [row] = sql.exec<{ seq: number | null; budget: number | null }>(query).toArray();
  const seq = row?.budget === tokenBudget ? row.seq : null;
  return seq === null || seq > leafSeq ? 0 : seq;
}

function countTokens(messages: ModelMessage[]): number {
  return messages.reduce((sum, message) => sum + estimateMessage(message), 0);
}

function countBytes(messages: ModelMessage[]): number {
  const attached = messages.flatMap((message) => (message.role === "user" ? (message.attachments ?? []) : []));
  return attached.reduce((sum, one) => sum + ("bytes" in one ? one.bytes : 0), 0);
}

function toModelMessages(message: Message): ModelMessage[] {
  const { content, details } = message;
  if (message.role === "user") {
    return [{ role: "user", content, ...(details.attachments && { attachments: details.attachments }) }];
  }
  const rounds = (message.details.rounds ?? []).filter(isSettled).flatMap(roundMessages);
  // A turn that was stopped at once said nothing, and providers refuse an empty message.
  return message.content === "" ? rounds : [...rounds, { role: "assistant", content: message.content }];
}

/** Calls that a turn ended with have no results there: the next turn has both. */
export function isSettled({ calls, results }: ToolRound): boolean {
  return results.length === calls.length;
}

function joinRuns(messages: ModelMessage[]): ModelMessage[] {
  const joined: ModelMessage[] = [];
  for (const message of messages) {
    const previous = joined.at(-1);
    if (previous !== undefined && isPlain(message) && isPlain(previous) && message.role === previous.role) {
      joined[joined.length - 1] = joinTwo(previous, message);
    } else {
      joined.push(message);
    }
  }
  return joined;
}

interface PlainMessage {
  role: "user" | "assistant";
  content: string;
  attachments?: ModelAttachment[];
}

/** What is attached to the second one stays at its place in its text. */
function joinTwo(first: PlainMessage, second: PlainMessage): PlainMessage {
  const gap = first.content === "" || second.content === "" ? "" : "\n\n";
  const before = first.content.length + gap.length;
  const moved = (second.attachments ?? []).map((one) => ({ ...one, at: one.at + before }));
  const attachments = [...(first.attachments ?? []), ...moved];
  return {
    ...{ role: first.role, content: `${first.content}${gap}${second.content}` },
    ...(attachments.length > 0 && { attachments }),
  };
}

/** What a person or a model simply said. */
function isPlain(message: ModelMessage): message is PlainMessage {
  return message.role === "user" || (message.role === "assistant" && message.toolCalls === undefined);
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
