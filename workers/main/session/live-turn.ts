/**
 * A turn that runs in its session's object: from the user's message in SQLite to the answer there and the terminal event.
 * State: the turn's log and its abort controller, until it has ended; SQLite holds the rest.
 */
import { type Failure, isRetryable } from "../../../contracts/errors.ts";
import type { ChatEvent } from "../../../contracts/events.ts";
import type { StageClock } from "../../../contracts/timing.ts";
import type { MessageStatus } from "../../../contracts/history.ts";
import type { AttachedFile, SaidMessage } from "../../../contracts/parts.ts";
import { billOf, type ModelPrices } from "../../../contracts/prices.ts";
import { toolsOf } from "../../../contracts/rounds.ts";
import type { Approval } from "../../../contracts/approvals.ts";
import type { ToolCall, ToolList } from "../../../contracts/tools.ts";
import type { BegunTurn, TurnOutcome, TurnResult, TurnRunner } from "../chat/turn.ts";
import type { ResumedTurn } from "../chat/turn-request.ts";
import type { TurnSlots } from "../chat/reuse.ts";
import { ApprovalGate } from "./approvals.ts";
import { keepFiles } from "./attachments.ts";
import { TurnLog } from "./log.ts";
import type { Ahead } from "./ahead.ts";
import { toTurnRequest } from "./asked.ts";
import { appendMessage } from "./messages.ts";
import { contextWindow, saidMessages } from "./window.ts";
import type { Session } from "./session.ts";
import { endTurn, insertTurn, type StoredOutcome, type TurnEnd, type TurnPlan, type TurnRow } from "./turns.ts";

/** How long a person has to decide. */
const APPROVAL_MS = 3_600_000;

export interface LiveTurn {
  id: string;
  requestId: string;
  traceparent: string | undefined;
  userId: string;
  stages: StageClock;
  startedAtMs: number;
  log: TurnLog;
  /** What the cache had to say; settles before any model is called. */
  verdict: BegunTurn["verdict"];
  flight: BegunTurn["flight"];
  /** Settles once the end is stored; rejects only when it could not be. */
  ended: Promise<EndedTurn>;
  abort: AbortController;
  gate: ApprovalGate;
}

export interface EndedTurn {
  outcome: StoredOutcome;
  /** What the cache may be given now. */
  keep: TurnResult["keep"];
}

export interface LiveTurnHost {
  storage: DurableObjectStorage;
  session: Session;
  tools: ToolList | undefined;
  turns: TurnRunner;
  prices: ModelPrices;
  now: () => number;
  newId: () => string;
  contextTokens: number;
}

export interface NewTurn {
  id: string;
  plan: Omit<TurnPlan, "parentSeq">;
  /** The message after which the branch goes on; null at the start of a session. */
  leafSeq: number | null;
  /** What the user says; nothing when an answer is made again. */
  said: SaidMessage[];
  /** The bytes of what is attached to it, each once. */
  files: AttachedFile[];
  /** What main has read of the cache for it, where it has. */
  ahead?: Promise<Ahead> | undefined;
  /** Other rows of the same transaction. */
  alsoWrite(): void;
}

/** A turn of which nothing is written yet; the cache has been asked. */
export interface PreparedTurn {
  turn: NewTurn;
  begun: BegunTurn;
}

/** Asks the cache before anything is written: a write holds back later requests until it is durable, so the two overlap. */
export function prepareTurn(host: LiveTurnHost, turn: NewTurn): PreparedTurn {
  const { messages, start } = contextOf(host, turn.plan, turn.leafSeq, turn.said);
  const plan = { ...turn.plan, window: start };
  return { turn: { ...turn, plan }, begun: host.turns.begin(toTurnRequest(host, turn.id, plan, messages), turn.ahead) };
}

export function slotsOf(host: LiveTurnHost, turn: NewTurn): TurnSlots {
  const { messages } = contextOf(host, turn.plan, turn.leafSeq, turn.said);
  return host.turns.slots(toTurnRequest(host, turn.id, turn.plan, messages));
}

/** Starts a turn. When it returns, the user's message is written. */
export function startTurn(host: LiveTurnHost, { turn, begun }: PreparedTurn): LiveTurn {
  const { storage, now } = host;
  const startedAtMs = now();
  const plan = storage.transactionSync(() => {
    const parentSeq = writeSaid(host, turn);
    const written = { ...turn.plan, parentSeq };
    insertTurn(storage.sql, { id: turn.id, plan: written, startedAtMs });
    turn.alsoWrite();
    return written;
  });
  return run(host, { id: turn.id, plan, startedAtMs }, new TurnLog(storage.sql, turn.id, now), begun);
}

/** Takes up a turn that was cut, from what its log says. */
export function resumeTurn(host: LiveTurnHost, turn: TurnRow, log: TurnLog, resumed: ResumedTurn): LiveTurn {
  const { messages } = contextOf(host, turn.plan, turn.plan.parentSeq, []);
  const request = toTurnRequest(host, turn.id, turn.plan, messages);
  const rounds = [turn.plan.given ?? [], resumed.rounds].flat();
  const begun = host.turns.begin({ ...request, resumed: { ...resumed, rounds } });
  return run(host, { ...turn, asked: resumed.approval }, log, begun);
}

type StartedTurn = Pick<TurnRow, "id" | "plan" | "startedAtMs"> & { asked?: Approval | undefined };

function run(host: LiveTurnHost, turn: StartedTurn, log: TurnLog, begun: BegunTurn): LiveTurn {
  const abort = new AbortController();
  const gate = new ApprovalGate(host.storage, turn.id, log, turn.asked);
  const approver = {
    ask: (calls: ToolCall[], signal: AbortSignal) => gate.ask(calls, host.now() + APPROVAL_MS, signal),
  };
  const ended = begun.run(log, approver, abort.signal).then((result) => ({
    outcome: finish(host, turn, log, result),
    keep: result.keep,
  }));
  const { id, startedAtMs } = turn;
  const { requestId, traceparent } = turn.plan;
  const { verdict, flight, stages } = begun;
  return {
    id,
    requestId,
    traceparent,
    userId: host.session.userId,
    stages,
    startedAtMs,
    log,
    verdict,
    flight,
    ended,
    abort,
    gate,
  };
}

function contextOf(
  { storage, contextTokens }: LiveTurnHost,
  { chat }: Pick<TurnPlan, "chat">,
  leafSeq: number | null,
  said: SaidMessage[],
) {
  const tokenBudget = chat.contextTokens ?? contextTokens;
  return contextWindow({ sql: storage.sql, leafSeq, upcoming: saidMessages(said), tokenBudget });
}

/** Writes what the user says and gives the place of the message that is to be answered. */
function writeSaid({ storage, now, newId }: LiveTurnHost, { id: turnId, leafSeq, said, files }: NewTurn): number {
  let parentSeq = leafSeq;
  if (files.length > 0) keepFiles(storage.sql, files);
  for (const { role, content, attachments, before } of said) {
    const message = { id: newId(), parentSeq, turnId, role, content, createdAtMs: now() };
    const details = { ...(attachments && { attachments }), ...(before && { before }) };
    parentSeq = appendMessage(storage.sql, { ...message, status: "complete", tokens: 0, details });
  }
  if (parentSeq === null) throw new Error("a turn answers a message");
  return parentSeq;
}

/** The answer, the turn's end and the last events, in one transaction. */
function finish(
  { storage, now, prices }: LiveTurnHost,
  turn: Pick<TurnRow, "id" | "plan">,
  log: TurnLog,
  { outcome }: TurnResult,
): StoredOutcome {
  const stored = toStored(turn.plan, outcome, prices);
  const end = { state: stateOf(outcome), outcome: stored, endedAtMs: now() };
  storage.transactionSync(() => {
    writeEnd(storage.sql, turn, outcome, end);
    log.append({ event: "usage", data: stored.usage });
    log.append(terminalEvent(stored, turn.plan.requestId));
    log.save();
  });
  return stored;
}

/** The answer's row, unless there is nothing of it, and the turn's. */
export function writeEnd(
  sql: SqlStorage,
  turn: Pick<TurnRow, "id" | "plan">,
  outcome: TurnOutcome,
  end: TurnEnd,
): void {
  if (end.state !== "failed") appendMessage(sql, toAnswer(turn, outcome, end.state, end));
  endTurn(sql, turn.id, end);
}

/** A turn that failed before it showed a word has no answer to keep. */
export function stateOf(outcome: TurnOutcome): TurnEnd["state"] {
  if (outcome.ok) return "complete";
  const shown = outcome.content !== "" || outcome.rounds.length > 0;
  if (outcome.failure.code === "cancelled") return "cancelled";
  return shown ? "interrupted" : "failed";
}

/** An answer's row was written for it. */
export function isAnswered({ failure, response, toolsUsed }: StoredOutcome): boolean {
  return failure === undefined || failure.code === "cancelled" || response !== "" || toolsUsed.length > 0;
}

function toAnswer(
  { id: turnId, plan }: Pick<TurnRow, "id" | "plan">,
  outcome: TurnOutcome,
  status: MessageStatus,
  { outcome: { usage }, endedAtMs: createdAtMs }: TurnEnd,
) {
  const { content, model, provider, cache, rounds } = outcome;
  return {
    ...{ id: plan.messageId, parentSeq: plan.parentSeq, turnId, content, status, createdAtMs },
    role: "assistant" as const,
    tokens: cache === "hit" ? 0 : usage.total_tokens,
    details: {
      ...{ model, provider, usage, cache },
      ...(outcome.ok && { finish_reason: outcome.finishReason }),
      ...(plan.asked && { asked: plan.asked }),
      ...(rounds.length > 0 && { rounds }),
    },
  };
}

export function toStored({ messageId }: TurnPlan, outcome: TurnOutcome, prices: ModelPrices): StoredOutcome {
  const { content: response, model, provider, cache, rounds } = outcome;
  return {
    ...{ messageId, response, model, provider, usage: billOf(prices, outcome), cache },
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
