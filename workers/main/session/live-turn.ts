/**
 * A turn that runs in its session's object: from the user's message in SQLite to the answer there and the terminal event.
 * State: the turn's log and its abort controller, until it has ended; SQLite holds the rest.
 */
import { type Failure, isRetryable } from "../../../contracts/errors.ts";
import type { ChatEvent } from "../../../contracts/events.ts";
import type { ResolvedChat } from "../../../contracts/session.ts";
import type { MessageStatus } from "../../../contracts/history.ts";
import { type CacheVerdict, requestMessages } from "../../../contracts/chat.ts";
import { toolsOf } from "../../../contracts/rounds.ts";
import type { TurnOutcome, TurnRequest, TurnResult, TurnRunner } from "../chat/turn.ts";
import type { ToolList } from "../../../contracts/tools.ts";
import { TurnLog } from "./log.ts";
import { appendMessage, contextWindow, lastMessage } from "./messages.ts";
import type { Session } from "./session.ts";
import { endTurn, insertTurn, type StoredOutcome, type TurnRow } from "./turns.ts";

export interface LiveTurn {
  id: string;
  requestId: string;
  startedAtMs: number;
  log: TurnLog;
  /** What the cache had to say; settles before any model is called. */
  verdict: Promise<CacheVerdict>;
  /** Settles once the end is stored; rejects only when it could not be. */
  ended: Promise<EndedTurn>;
  abort: AbortController;
}

export interface EndedTurn {
  outcome: StoredOutcome;
  /** What the cache may be given now. */
  entries: TurnResult["entries"];
}

export interface LiveTurnInput {
  turnId: string;
  messageId: string;
  requestId: string;
  session: Session;
  chat: ResolvedChat;
  tools: ToolList | undefined;
  contextTokens: number;
}

export interface LiveTurnHost {
  storage: DurableObjectStorage;
  turns: TurnRunner;
  now: () => number;
  newId: () => string;
}

/** Starts a turn. When it returns, the cache has been asked and the user's message is written. */
export function startLiveTurn(host: LiveTurnHost, input: LiveTurnInput): LiveTurn {
  const { storage, turns, now } = host;
  const startedAtMs = now();
  const request = toTurnRequest(storage.sql, input);
  // Before the write below: a write holds back later requests until it is durable, so the cache read and it overlap.
  const begun = turns.begin(request);
  storage.transactionSync(() => {
    writeUserMessages(host, input);
    insertTurn(storage.sql, { id: input.turnId, messageId: input.messageId, requestId: input.requestId });
  });
  const log = new TurnLog(storage.sql, input.turnId, now);
  const abort = new AbortController();
  const ended = begun.run(log, abort.signal).then((result) => ({
    outcome: finish(host, input, log, result),
    entries: result.entries,
  }));
  return { id: input.turnId, requestId: input.requestId, startedAtMs, log, verdict: begun.verdict, ended, abort };
}

function toTurnRequest(sql: SqlStorage, input: LiveTurnInput): TurnRequest {
  const { chat, session, tools } = input;
  const { request } = chat;
  const upcoming = requestMessages(request);
  const mode = request.cache?.mode ?? "default";
  return {
    turnId: input.turnId,
    sessionId: session.id,
    messageId: input.messageId,
    userId: session.userId,
    requestId: input.requestId,
    model: chat.model,
    modelType: chat.modelType,
    temperature: chat.temperature,
    maxTokens: chat.maxTokens,
    responseFormat: request.response_format,
    context: contextWindow(sql, upcoming, input.contextTokens),
    tools: offeredTools(tools, request.tools ?? "auto"),
    firstTurn: upcoming.length === 1 && lastMessage(sql).seq === 0,
    cache: {
      read: mode === "default" || mode === "only-if-cached",
      write: mode === "default" || mode === "no-cache",
      onlyIfCached: mode === "only-if-cached",
      userScope: request.cache?.scope === "user",
      ttlSeconds: request.cache?.ttl_seconds,
    },
  };
}

function offeredTools(tools: ToolList | undefined, choice: "auto" | "none" | string[]): ToolList | undefined {
  if (tools === undefined || choice === "none") return undefined;
  if (choice === "auto") return tools;
  return { version: tools.version, tools: tools.tools.filter((tool) => choice.includes(tool.name)) };
}

function writeUserMessages({ storage, now, newId }: LiveTurnHost, { turnId, chat }: LiveTurnInput): void {
  let parentId = lastMessage(storage.sql).id;
  for (const { role, content } of requestMessages(chat.request)) {
    const id = newId();
    appendMessage(storage.sql, {
      ...{ id, parentId, turnId, role, content, status: "complete", tokens: 0, details: {}, createdAtMs: now() },
    });
    parentId = id;
  }
}

/** The answer, the turn's end and the last events, in one transaction. */
function finish(host: LiveTurnHost, input: LiveTurnInput, log: TurnLog, result: TurnResult): StoredOutcome {
  const { storage, now } = host;
  const { outcome } = result;
  const stored = toStored(input, outcome);
  const state = stateOf(outcome);
  storage.transactionSync(() => {
    if (state !== "failed") writeAnswer(host, input, outcome, state);
    log.append({ event: "usage", data: outcome.usage });
    log.append(terminalEvent(stored, input.requestId));
    log.save();
    endTurn(storage.sql, input.turnId, { state, outcome: stored, endedAtMs: now() });
  });
  return stored;
}

/** A turn that failed before it showed a word has no answer to keep. */
function stateOf(outcome: TurnOutcome): Exclude<TurnRow["state"], "running"> {
  if (outcome.ok) return "complete";
  if (outcome.failure.code === "cancelled") return "cancelled";
  return outcome.content === "" ? "failed" : "interrupted";
}

function writeAnswer(
  { storage, now }: LiveTurnHost,
  input: LiveTurnInput,
  outcome: TurnOutcome,
  status: MessageStatus,
): void {
  const { content, usage, model, provider, cache, rounds } = outcome;
  appendMessage(storage.sql, {
    id: input.messageId,
    parentId: lastMessage(storage.sql).id,
    turnId: input.turnId,
    role: "assistant",
    content,
    status,
    tokens: cache === "hit" ? 0 : usage.total_tokens,
    details: {
      ...{ model, provider, usage, cache },
      ...(outcome.ok && { finish_reason: outcome.finishReason }),
      ...(rounds.length > 0 && { rounds }),
    },
    createdAtMs: now(),
  });
}

function toStored(input: LiveTurnInput, outcome: TurnOutcome): StoredOutcome {
  const { content, model, provider, usage, cache, rounds } = outcome;
  return {
    ...{ messageId: input.messageId, response: content, model, provider, usage, cache },
    toolsUsed: toolsOf(rounds),
    ...(outcome.ok ? { finishReason: outcome.finishReason } : { failure: outcome.failure }),
  };
}

/** Exactly one of these ends a log. */
export function terminalEvent(outcome: StoredOutcome, requestId: string): ChatEvent {
  const { messageId: message_id, finishReason: finish_reason } = outcome;
  if (finish_reason !== undefined) return { event: "done", data: { finish_reason, message_id } };
  const failure: Failure = outcome.failure ?? { code: "internal", message: "the turn failed" };
  const { code, message } = failure;
  return { event: "error", data: { code, message, retryable: isRetryable(code), request_id: requestId } };
}
