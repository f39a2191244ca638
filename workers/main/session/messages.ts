/**
 * The messages of a session in its object's SQLite, and the window of them that a model is shown.
 * `seq` rises by one from 1 and orders a session for good. A row is never changed once it is written.
 */
import type { ModelMessage } from "../../../contracts/llm.ts";
import type { MessageStatus } from "../../../contracts/history.ts";
import { estimateTokens, roundMessages, type ToolRound } from "../../../contracts/rounds.ts";
import type { CacheVerdict, Usage } from "../../../contracts/chat.ts";

export interface MessageDetails {
  model?: string;
  provider?: string;
  usage?: Usage;
  cache?: CacheVerdict;
  finish_reason?: string;
  /** What the model did with tools before the answer in `content`. */
  rounds?: ToolRound[];
}

export interface Message {
  seq: number;
  id: string;
  /** The message it answers or follows; null for a first one. Two messages of one parent are branches. */
  parentSeq: number | null;
  turnId: string;
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
  const { seq } = sql
    .exec<{ seq: number }>(
      `INSERT INTO messages (id, parent_seq, turn_id, role, content, status, tokens, details, created_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING seq`,
      message.id,
      message.parentSeq,
      message.turnId,
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

/** By its id, which no index serves: newest first, since that is what people go back to. */
export function findMessage(sql: SqlStorage, id: string): Message | undefined {
  return sql
    .exec<MessageRow>("SELECT * FROM messages WHERE id = ? ORDER BY seq DESC LIMIT 1", id)
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
 * Reads two rows more than it returns. It starts with a user's message, and a user's messages in a row are joined: a turn that
 * failed leaves a question without an answer, and some chat templates refuse that.
 */
export function contextWindow({ sql, leafSeq, upcoming, tokenBudget }: WindowOptions): ContextWindow {
  const upcomingTokens = countTokens(upcoming);
  const halfFull = upcomingTokens + (tokenBudget - upcomingTokens) / 2;
  const firstSeq = lastStart(sql, leafSeq, tokenBudget);
  const newestFirst: { seq: number; shown: ModelMessage[]; tokens: number }[] = [];
  let tokens = upcomingTokens;
  let isFull = false;
  for (const message of pathFrom(sql, leafSeq)) {
    if (message.seq < firstSeq) break;
    const shown = toModelMessages(message);
    tokens += countTokens(shown);
    isFull = tokens > tokenBudget && (newestFirst.length > 0 || upcoming.length > 0);
    if (isFull) break;
    newestFirst.push({ seq: message.seq, shown, tokens });
  }
  const kept = newestFirst.filter(({ tokens: upTo }, at) => !isFull || upTo <= halfFull || at + upcoming.length === 0);
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
  return messages.reduce((sum, message) => sum + estimateTokens(JSON.stringify(message)), 0);
}

function toModelMessages(message: Message): ModelMessage[] {
  if (message.role === "user") return [{ role: "user", content: message.content }];
  const rounds = (message.details.rounds ?? []).flatMap(roundMessages);
  // A turn that was stopped at once said nothing, and providers refuse an empty message.
  return message.content === "" ? rounds : [...rounds, { role: "assistant", content: message.content }];
}

function joinRuns(messages: ModelMessage[]): ModelMessage[] {
  const joined: ModelMessage[] = [];
  for (const message of messages) {
    const previous = joined.at(-1);
    if (message.role === "user" && previous?.role === "user") {
      joined[joined.length - 1] = { role: "user", content: `${previous.content}\n\n${message.content}` };
    } else {
      joined.push(message);
    }
  }
  return joined;
}

function toMessage(row: MessageRow): Message {
  return {
    seq: row.seq,
    id: row.id,
    parentSeq: row.parent_seq,
    turnId: row.turn_id,
    role: row.role as Message["role"], // written by appendMessage
    content: row.content,
    status: row.status as MessageStatus, // written by appendMessage
    tokens: row.tokens,
    details: JSON.parse(row.details) as MessageDetails, // written by appendMessage
    createdAtMs: row.created_at,
  };
}
