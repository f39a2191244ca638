/**
 * The messages of a session in its object's SQLite, and the window of them that a model is shown.
 * `seq` rises by one from 1 and orders a session for good. A row is never changed once it is written.
 */
import type { ModelMessage } from "../../../contracts/llm.ts";
import type { MessageStatus } from "../../../contracts/history.ts";
import { estimateTokens, roundMessages, type ToolRound } from "../../../contracts/rounds.ts";
import type { Usage } from "../../../contracts/chat.ts";

export interface MessageDetails {
  model?: string;
  provider?: string;
  usage?: Usage;
  cache?: string;
  finish_reason?: string;
  /** What the model did with tools before the answer in `content`. */
  rounds?: ToolRound[];
}

export interface Message {
  seq: number;
  id: string;
  /** The message it answers or follows; null for the first. */
  parentId: string | null;
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
  parent_id: string | null;
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
      `INSERT INTO messages (id, parent_id, turn_id, role, content, status, tokens, details, created_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING seq`,
      message.id,
      message.parentId,
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

/** The newest message's place and id; seq 0 for none. */
export function lastMessage(sql: SqlStorage): { seq: number; id: string | null } {
  const [row] = sql
    .exec<{ seq: number; id: string }>("SELECT seq, id FROM messages ORDER BY seq DESC LIMIT 1")
    .toArray();
  return row ?? { seq: 0, id: null };
}

/**
 * What the model is shown: the newest messages that fit `tokenBudget` beside the `upcoming` ones, oldest first, then those.
 * Reads no more rows than it returns. It starts with a user's message, and a user's messages in a row are joined: a turn that
 * failed leaves a question without an answer, and some chat templates refuse that.
 */
export function contextWindow(sql: SqlStorage, upcoming: ModelMessage[], tokenBudget: number): ModelMessage[] {
  const newestFirst: ModelMessage[][] = [];
  let tokens = countTokens(upcoming);
  for (const row of sql.exec<MessageRow>("SELECT * FROM messages ORDER BY seq DESC")) {
    const shown = toModelMessages(toMessage(row));
    tokens += countTokens(shown);
    if (tokens > tokenBudget) break;
    newestFirst.push(shown);
  }
  const ordered = [...newestFirst.toReversed().flat(), ...upcoming];
  return joinRuns(ordered.slice(ordered.findIndex((message) => message.role === "user")));
}

function countTokens(messages: ModelMessage[]): number {
  return messages.reduce((sum, message) => sum + estimateTokens(JSON.stringify(message)), 0);
}

function toModelMessages(message: Message): ModelMessage[] {
  if (message.role === "user") return [{ role: "user", content: message.content }];
  const rounds = (message.details.rounds ?? []).flatMap(roundMessages);
  return [...rounds, { role: "assistant", content: message.content }];
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
    parentId: row.parent_id,
    turnId: row.turn_id,
    role: row.role as Message["role"], // written by appendMessage
    content: row.content,
    status: row.status as MessageStatus, // written by appendMessage
    tokens: row.tokens,
    details: JSON.parse(row.details) as MessageDetails, // written by appendMessage
    createdAtMs: row.created_at,
  };
}
