/**
 * What a session's object does about a turn that was cut: the object was evicted or the runtime died while it ran.
 * A turn that had shown no word of its answer is taken up again from its log, settled tool results included; any other one
 * ends as interrupted, and what had been saved of it is kept.
 */
import { createEventDecoder, encodeEvent, type NumberedEvent, standing } from "../../../contracts/events.ts";
import { addUsage, estimateUsage, NO_USAGE, roundMessages, type ToolRound } from "../../../contracts/rounds.ts";
import type { Usage } from "../../../contracts/chat.ts";
import type { ToolCall, ToolOutcome } from "../../../contracts/tools.ts";
import type { TurnOutcome } from "../chat/turn.ts";
import type { ResumedTurn } from "../chat/turn-request.ts";
import { type LiveTurnHost, stateOf, terminalEvent, toStored, writeEnd } from "./live-turn.ts";
import { readSpent, writeFrames } from "./log.ts";
import { contextWindow } from "./window.ts";
import type { StoredOutcome, TurnRow } from "./turns.ts";

/** A turn that brings its object down each time is not started for ever. */
const MAX_RESUMES = 2;
/** Of a turn that an earlier version of this code has started. */
const CONTEXT_TOKENS = 8_000;

/** How far a cut turn had come. */
type Progress = Omit<ResumedTurn, "spent">;

/** Undefined when it must not be run again. */
export function resumable(turn: TurnRow, frames: string[]): Progress | undefined {
  // Waiting for a person costs nothing, however often the object goes.
  if (turn.cancelRequested || (turn.resumed >= MAX_RESUMES && turn.state === "running")) return undefined;
  const events = decode(frames);
  if (events === undefined) return undefined;
  const { resumed, answering, asking } = readProgress(events);
  if (resumed.open) return { ...resumed, decisions: turn.approval?.decisions ?? [] };
  if (asking && turn.approval) return { ...resumed, approval: turn.approval };
  return answering ? undefined : resumed;
}

/**
 * Ends a cut turn: its partial answer, its row and its last events, in one transaction. One that was to have another's answer and has spent
 * something made its own.
 */
export function interrupt(
  { storage, prices, now }: Pick<LiveTurnHost, "storage" | "prices" | "now">,
  turn: TurnRow,
  frames: string[],
): StoredOutcome {
  const { resumed, asking } = readProgress(decode(frames) ?? []);
  const cache = resumed.verdict === "hit" && readSpent(storage.sql, turn.id) ? "miss" : (resumed.verdict ?? "bypass");
  const { model, modelType: provider } = turn.plan.chat;
  const outcome: TurnOutcome = {
    ...{ content: resumed.content, rounds: resumed.rounds, model, provider, cache },
    usage: spentUntil(storage.sql, turn, asking ? { ...resumed, approval: turn.approval } : resumed) ?? NO_USAGE,
    ok: false,
    failure: turn.cancelRequested
      ? { code: "cancelled", message: "the turn was stopped" }
      : { code: "interrupted", message: "the turn was cut off by a restart" },
  };
  const stored = toStored(turn.plan, outcome, prices);
  const first = frames.length + 1;
  const events = [
    // Viewers may have seen more than was saved.
    { event: "rewind", data: { after: frames.length } } as const,
    { event: "usage", data: stored.usage } as const,
    terminalEvent(stored, turn.plan.requestId),
  ];
  storage.transactionSync(() => {
    const tail = events.map((event, at) => encodeEvent(first + at, event));
    writeFrames(storage.sql, turn.id, { firstId: first, frames: tail });
    const end = { state: stateOf(outcome), outcome: stored, endedAtMs: now(), cutAfter: frames.length };
    writeEnd(storage.sql, turn, outcome, end);
  });
  return stored;
}

/**
 * What the models have taken until the cut: as it was written beside the last events. A reply that had not begun then may have been asked
 * for: its prompt is guessed, unless the answer was to come from elsewhere.
 */
export function spentUntil(sql: SqlStorage, turn: TurnRow, progress: Progress): Usage | undefined {
  const { rounds, open, approval, words, verdict } = progress;
  const saved = readSpent(sql, turn.id);
  if (verdict === "hit" && saved === undefined) return undefined;
  if (open !== undefined || approval !== undefined || (words !== "" && saved !== undefined)) return saved;
  const { plan } = turn;
  const tokenBudget = plan.chat.contextTokens ?? CONTEXT_TOKENS;
  const { messages } = contextWindow({ sql, leafSeq: plan.parentSeq, upcoming: [], tokenBudget });
  const asked = { messages: [...messages, ...rounds.flatMap(roundMessages)] };
  // Where nothing is written, each life that was cut may have asked.
  const before = saved === undefined ? Array.from({ length: turn.resumed }, () => estimateUsage(asked, "")) : [];
  return before.reduce(addUsage, addUsage(saved, estimateUsage(asked, words)));
}

/** Undefined for a log that cannot be read: the turn is then ended, never run again. */
function decode(frames: string[]): NumberedEvent[] | undefined {
  try {
    return createEventDecoder().push(frames.join(""));
  } catch {
    return undefined;
  }
}

interface OpenRound {
  content: string;
  calls: ToolCall[];
  results: Map<string, ToolOutcome>;
}

/** Reads a log back. `answering`: words came after the last tool, or without any. `asking`: a person was asked last. */
function readProgress(log: NumberedEvent[]): {
  resumed: Progress;
  answering: boolean;
  asking: boolean;
} {
  const events = standing(log);
  const rounds: OpenRound[] = [];
  let content = "";
  let words = "";
  let verdict: ResumedTurn["verdict"];
  for (const event of events) {
    const round = rounds.at(-1);
    if (event.event === "meta") verdict = event.data.cache;
    if (event.event === "delta") {
      content += event.data.content;
      words += event.data.content;
    }
    if (event.event === "tool_call") {
      const isNew = round === undefined || round.results.size > 0;
      if (isNew) rounds.push({ content: words, calls: [event.data], results: new Map() });
      else round.calls.push(event.data);
      words = "";
    }
    if (event.event === "tool_result") {
      round?.results.set(event.data.id, { ok: event.data.ok, content: event.data.content });
    }
  }
  const asking = events.at(-1)?.event === "approval_required";
  const open = rounds.at(-1)?.calls.length === rounds.at(-1)?.results.size ? undefined : rounds.at(-1);
  const settled = rounds.filter((round) => round !== open).map(toToolRound);
  return { resumed: { verdict, content, words, rounds: settled, open }, answering: words !== "", asking };
}

function toToolRound({ content, calls, results }: OpenRound): ToolRound {
  return { content, calls, results: calls.map((call) => results.get(call.id) ?? { ok: false, content: "" }) };
}
