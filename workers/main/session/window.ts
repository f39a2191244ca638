/**
 * The window of a session's messages that a model is shown. Reads the object's SQLite, and keeps nothing: where a window began stands in its turn.
 */
import type { ModelMessage } from "../../../contracts/llm.ts";
import type { ModelAttachment, SaidMessage } from "../../../contracts/parts.ts";
import { estimateMessage, preludeMessages, roundMessages } from "../../../contracts/rounds.ts";
import { isSettled, type Message, pathFrom } from "./messages.ts";

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
  const newestFirst: (Pick<Message, "seq" | "role"> & { shown: ModelMessage[]; tokens: number; bytes: number })[] = [];
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
    newestFirst.push({ seq: message.seq, role: message.role, shown, tokens, bytes });
  }
  const isInHalf = (upTo: { tokens: number; bytes: number }): boolean =>
    upTo.tokens <= halfFull && upTo.bytes <= MAX_WINDOW_BYTES / 2;
  const kept = newestFirst.filter((message, at) => !isFull || isInHalf(message) || at + upcoming.length === 0);
  const firstUser = kept.findLastIndex(({ role }) => role === "user");
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

/** Messages that are said now. */
export function saidMessages(said: SaidMessage[]): ModelMessage[] {
  return said.flatMap(({ before, ...message }) => [...preludeMessages(before), message]);
}

function toModelMessages(message: Message): ModelMessage[] {
  return [...preludeMessages(message.details.before), ...ownMessages(message)];
}

function ownMessages(message: Message): ModelMessage[] {
  const { content, details } = message;
  if (message.role === "user") {
    return [{ role: "user", content, ...(details.attachments && { attachments: details.attachments }) }];
  }
  const rounds = (message.details.rounds ?? []).filter(isSettled).flatMap(roundMessages);
  // A turn that was stopped at once said nothing, and providers refuse an empty message.
  return message.content === "" ? rounds : [...rounds, { role: "assistant", content: message.content }];
}

/** Messages of one role in a row are one. */
export function joinRuns(messages: ModelMessage[]): ModelMessage[] {
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
