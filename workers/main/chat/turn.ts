/**
 * The one story of a turn: what the cache holds is replayed; otherwise the workflow runs. The same for JSON and streams.
 * No storage and no HTTP: it gets a request, writes events, and returns an outcome. Failures are outcomes; only bugs throw.
 */
import type { Decision, PolicyRule } from "../../../contracts/approvals.ts";
import type { CacheVerdict, FinishReason, Usage } from "../../../contracts/chat.ts";
import { AppError, type Failure } from "../../../contracts/errors.ts";
import type { ChatEvent } from "../../../contracts/events.ts";
import type { LlmAgent, ModelMessage, NoteCall } from "../../../contracts/llm.ts";
import { type InSpan, untraced } from "../../../contracts/spans.ts";
import { StageClock } from "../../../contracts/timing.ts";
import type { Log } from "../../../contracts/log.ts";
import type { ModelEntry } from "../../../contracts/models.ts";
import type { ToolCall, ToolServer } from "../../../contracts/tools.ts";
import type { Cache, TurnWrite } from "../cache/cache.ts";
import type { Semantic } from "../cache/semantic.ts";
import type { Flights } from "../flights/client.ts";
import type { Looked } from "../cache/counts.ts";
import type { CacheValue, StoredValues } from "../../../contracts/cache.ts";
import { NO_USAGE, type ToolRound } from "../../../contracts/rounds.ts";
import { type GraphThread, runGraph, runWaitingGraph } from "./graph.ts";
import { applyPolicy } from "./policy.ts";
import { turnAttributes, turnSpan } from "./spans.ts";
import type { TurnFlight } from "./flight.ts";
import type { Followed } from "./follow.ts";
import { countJoined, enter, type Entry, joinLeader, noteOf, openFlight } from "./join.ts";
import { entriesOf, lookedUp, lookUp, type TurnSlots, turnSlots } from "./reuse.ts";
import { type Progress, TurnSteps } from "./steps.ts";
import type { TurnRequest } from "./turn-request.ts";

export interface TurnDeps {
  policy: PolicyRule[];
  /** Where turns that wait are checkpointed. */
  saver: () => GraphThread["saver"];
  llm: LlmAgent;
  /** Fills in the bytes of what is attached, right before a model is called. */
  showAttachments(
    messages: ModelMessage[],
    turn: Pick<TurnRequest, "sessionId" | "userId" | "model" | "onlyType">,
  ): Promise<ModelMessage[]>;
  tools: ToolServer;
  cache: Cache;
  /** Left out: an answer is found by its own question alone. */
  semantic?: Semantic | undefined;
  /** Left out: every turn makes its own answer. */
  flights?: Flights | undefined;
  /** How long a turn waits to be told who makes the same answer, beside its look-up in the cache. */
  placeTimeoutMs: number;
  /** How long a turn waits for the next word of one that it follows. */
  joinTimeoutMs: number;
  /** First answers are for all users of the deployment; false: each user has their own. */
  sharesAnswers: boolean;
  /** Who serves a model, as the registry says. */
  routesOf(model: string): ModelEntry["routes"];
  now: () => number;
  newCallId: () => string;
  stallTimeoutMs: number;
  /** Of a model's whole stream. */
  streamTimeoutMs: number;
  /** What parts a user's prompts from others' in a shared cache of prefixes. */
  cacheSalt: (userId: string) => string | undefined;
  log: Log;
  /** Left out: nothing is traced. */
  inSpan?: InSpan;
  /** Told of each call of a model when it has ended. */
  noteCall?: NoteCall;
}

/** What the steps of a turn share. */
export interface TurnRun {
  request: TurnRequest;
  deps: TurnDeps;
  emit: TurnEmitter;
  approver: Approver;
  signal: AbortSignal;
  stages: StageClock;
  /** Look-ups in the cache, to be counted. */
  looked: Looked[];
  /** From the look-up at the start; undefined: Redis is away, or nothing is to be kept. */
  since: number | undefined;
  /** Left out: what the turn makes is not for others. */
  flight?: TurnFlight | undefined;
}

/** Who decides on calls: waits for a person, as long as it takes. */
export interface Approver {
  ask(calls: ToolCall[], signal: AbortSignal): Promise<Decision[]>;
}

export interface TurnEmitter {
  /** The number of the newest event. */
  readonly last: number;
  /** Set by whoever knows it: what the turn has taken so far, to be kept with what is made durable. */
  spent: () => Usage | undefined;
  append(event: ChatEvent): void;
  text(text: string): void;
  /** Makes what was told so far durable. */
  save(): void;
}

interface OutcomeBase {
  /** What was shown, whole or partial. */
  content: string;
  rounds: ToolRound[];
  usage: Usage;
  model: string;
  provider: string;
  cache: CacheVerdict;
}
export type TurnOutcome =
  | (OutcomeBase & { ok: true; finishReason: FinishReason })
  | (OutcomeBase & { ok: false; failure: Failure });

export interface TurnResult {
  outcome: TurnOutcome;
  /** For the cache, once the turn is stored. */
  keep: TurnWrite;
}

/** What the cache had to say, and why; of a hit, how old it is. */
export interface CacheNote {
  verdict: CacheVerdict;
  why?: string;
  ageSeconds?: number;
}

/** A turn whose cache read is under way. */
export interface BegunTurn {
  /** What the cache had to say; settles before any model is called. */
  verdict: Promise<CacheNote>;
  /** Through which others may follow it. */
  flight: TurnFlight | undefined;
  /** Where its time goes. */
  stages: StageClock;
  run(emit: TurnEmitter, approver: Approver, signal: AbortSignal): Promise<TurnResult>;
}

export interface TurnRunner {
  /** The cache read leaves before this returns, so that a write that follows does not hold it back; `ahead`: it has left already. */
  begin(request: Omit<TurnRequest, "askFirst">, ahead?: Promise<StoredValues | undefined>): BegunTurn;
  /** Where `begin` would ask. */
  slots(request: Omit<TurnRequest, "askFirst">): TurnSlots;
}

export function createTurnRunner(deps: TurnDeps): TurnRunner {
  return {
    slots: createSlots(deps),
    begin(asked, ahead) {
      const request = decide(asked, deps.policy);
      const stages = new StageClock(deps.now, "cache", deps.inSpan);
      const slots = turnSlots(deps, request);
      const lookup = lookUp(deps.cache, slots, request, ahead);
      const flight = openFlight(deps, request, slots);
      const entered = enter(deps, request, { slots, flight, lookup });
      return {
        ...{ flight, stages },
        verdict: entered.then((entry) => {
          // The account may still be asked.
          stages.to("account");
          return noteOf(entry);
        }),
        run: async (emit, approver, signal) => {
          const entry = await entered;
          stages.to("turn");
          const looked = lookedUp(entry.found);
          const { since } = entry.found;
          const turn = { request, deps, emit, signal, approver, stages, looked, since, flight };
          return (deps.inSpan ?? untraced)(turnSpan(request), async (describe) => {
            const result = await runTurn(turn, slots, entry);
            describe(turnAttributes(result.outcome));
            return result;
          });
        },
      };
    },
  };
}

export function createSlots(
  deps: Pick<TurnDeps, "cache" | "sharesAnswers" | "routesOf" | "policy">,
): TurnRunner["slots"] {
  return (asked) => turnSlots(deps, decide(asked, deps.policy));
}

function decide(asked: Omit<TurnRequest, "askFirst">, policy: PolicyRule[]): TurnRequest {
  return { ...asked, ...applyPolicy(asked.tools, policy, asked.userId) };
}

/** Why a turn is stopped from outside. */
export type StopReason = "cancelled" | "session_deleted";

const STOPPED: Record<StopReason, Failure> = {
  cancelled: { code: "cancelled", message: "the turn was stopped" },
  session_deleted: { code: "session_deleted", message: "the session was deleted" },
};

async function runTurn(run: TurnRun, slots: TurnSlots, entry: Entry): Promise<TurnResult> {
  const { request, deps, emit } = run;
  const { found } = entry;
  const { turnId: turn_id, sessionId: session_id, messageId: message_id, model, modelType: provider } = request;
  const said = request.resumed?.verdict ?? noteOf(entry).verdict;
  if (request.resumed?.verdict === undefined) {
    emit.append({ event: "meta", data: { turn_id, session_id, message_id, model, provider, cache: said } });
  }
  const { since } = found;
  const { looked } = run;
  const followed = entry.joined && (await joinLeader(run, entry));
  if (followed !== undefined) {
    const outcome = toJoined(followed, run);
    return { outcome, keep: { since, entries: [], looked: outcome.ok ? [countJoined(outcome)] : looked } };
  }
  if (found.answer.verdict === "hit") {
    return { outcome: replay(found.answer.value, deps, emit), keep: { since, entries: [], looked } };
  }
  // Whoever was to join and could not has made the answer itself.
  const verdict = said === "hit" ? "miss" : said;
  const startedAtMs = deps.now();
  const steps = new TurnSteps(run, found);
  try {
    if (request.cache.onlyIfCached) throw new AppError("cache_miss", "no cached answer to this request");
    await runWorkflow(run, steps);
    const { finishReason } = steps.progress;
    if (finishReason === undefined) throw new AppError("upstream_truncated", "the model's answer was cut off");
    const outcome = { ...base(steps.progress, verdict), ok: true, finishReason } as const;
    const made = { ...steps.progress, ms: deps.now() - startedAtMs, meaning: found.meaning };
    return { outcome, keep: { since, entries: entriesOf(outcome, request, slots, made), looked } };
  } catch (error) {
    const outcome = { ...base(steps.progress, verdict), ok: false, failure: failureOf(error, run) } as const;
    return { outcome, keep: { since, entries: [], looked } };
  }
}

/** The workflow with as many waits for a person as it takes. It is checkpointed only from the first of them on. */
async function runWorkflow({ request, deps, approver, signal, stages }: TurnRun, steps: TurnSteps): Promise<void> {
  const inherited = request.resumed?.approval?.calls;
  const state = inherited ? undefined : await runGraph(steps);
  if (inherited === undefined && state === undefined) return;
  const thread = { saver: deps.saver(), id: request.turnId };
  try {
    if (state !== undefined) await thread.saver.deleteThread(thread.id);
    let asked = inherited ?? (state ? await runWaitingGraph(steps, thread, { state }) : []);
    while (asked.length > 0) {
      const calls = asked;
      const decisions = await stages.during("approval", () => approver.ask(calls, signal));
      asked = await runWaitingGraph(steps, thread, { decisions });
    }
  } finally {
    await thread.saver.deleteThread(thread.id);
  }
}

/** An answer from the cache, told by the same events as when it was made. */
function replay(answer: CacheValue<"llm">, deps: TurnDeps, emit: TurnEmitter): TurnOutcome {
  const { content, usage, model, provider } = answer;
  const rounds = answer.rounds.map((round): ToolRound => ({
    ...round,
    calls: round.calls.map((call) => ({ ...call, id: deps.newCallId() })),
  }));
  const tools = rounds[0]?.calls.map((call) => call.name) ?? [];
  emit.append({ event: "intent", data: { intent: tools.length > 0 ? "tools" : "answer", source: "cache", tools } });
  for (const round of rounds) {
    for (const call of round.calls) emit.append({ event: "tool_call", data: call });
    for (const [at, { id, name }] of round.calls.entries()) {
      emit.append({ event: "tool_result", data: { id, name, ...(round.results[at] ?? { ok: false, content: "" }) } });
    }
  }
  // Not as text that comes bit by bit: it is saved with the turn's end, before which nothing of it is shown.
  emit.append({ event: "delta", data: { content } });
  return { ok: true, finishReason: "stop", content, rounds, usage, model, provider, cache: "hit" };
}

/** What was told of another turn's answer; it costs this one nothing. */
function toJoined({ content, rounds, usage = NO_USAGE, end }: Followed, run: TurnRun): TurnOutcome {
  const { model, modelType: provider } = run.request;
  const told = { content, rounds, usage, model, provider, cache: "hit" } as const;
  if (end.kind === "done") return { ...told, ok: true, finishReason: end.finishReason };
  return { ...told, ok: false, failure: end.kind === "failed" ? end.failure : failureOf(undefined, run) };
}

function base(progress: Progress, cache: CacheVerdict): OutcomeBase {
  const { content, rounds, usage, model, provider } = progress;
  return { content, rounds, usage: usage ?? NO_USAGE, model, provider, cache };
}

/** What to tell of an error: a failure as it is, anything else dully. An abort can surface as any error. */
function failureOf(error: unknown, { request, deps, signal }: TurnRun): Failure {
  if (signal.aborted) return STOPPED[signal.reason as StopReason]; // the only ones it is aborted with
  if (error instanceof AppError) return error.failure;
  const name = error instanceof Error ? error.name : "unknown";
  deps.log({ service: "session", request_id: request.requestId, route: "turn", error: name });
  return { code: "internal", message: "the turn failed" };
}
