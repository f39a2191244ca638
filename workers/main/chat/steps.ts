/**
 * The steps of one turn's workflow and what they gather: the answer so far, tool rounds, what may be used again. State lives as long as the
 * turn. Text and tool events go straight to the turn's log; nothing here is kept between turns.
 */
import type { Decision } from "../../../contracts/approvals.ts";
import type { CacheValue } from "../../../contracts/cache.ts";
import { AppError } from "../../../contracts/errors.ts";
import type { ModelMessage, WhenGone } from "../../../contracts/llm.ts";
import type { ToolRound } from "../../../contracts/rounds.ts";
import type { ToolCall } from "../../../contracts/tools.ts";
import { askToMend, findProblem, unusable, wantsJson } from "./answer-format.ts";
import { modelRequest } from "./ask-model.ts";
import { type Answer, Replies } from "./replies.ts";
import { type Found, isReusable, type Reusable, tokensOf } from "./reuse.ts";
import { callSpan } from "./spans.ts";
import { jsonBytes, MAX_CALLS_A_ROUND, type RequestedCall, runToolRound } from "./tool-round.ts";
import type { TurnRun } from "./turn.ts";
import type { TurnRequest } from "./turn-request.ts";

/** How far a turn has come. */
export interface Progress extends Answer {
  rounds: ToolRound[];
  reusable: Reusable;
}

export class TurnSteps {
  readonly progress: Progress;
  readonly #run: TurnRun;
  readonly #cachedCalls: CacheValue<"intent">["calls"] | undefined;
  readonly #replies: Replies;
  #openRound: NonNullable<TurnRequest["resumed"]>["open"];

  constructor(run: TurnRun, found: Found) {
    this.#run = run;
    this.#openRound = run.request.resumed?.open;
    this.#cachedCalls = found.intent.verdict === "hit" ? found.intent.value.calls : undefined;
    const { content = "", rounds = [] } = run.request.resumed ?? {};
    this.progress = {
      ...{ content, rounds: [...rounds], usage: run.request.resumed?.spent, finishReason: undefined, modelCalls: 0 },
      model: run.request.model,
      provider: run.request.modelType,
      // Of a turn that was cut nothing is kept: what it depended on is not all known any more.
      reusable: { intent: undefined, toolEntries: [], answer: run.request.resumed === undefined },
    };
    this.#replies = new Replies(run, this.progress, () => {
      if (this.progress.rounds.length === 0) this.#tellIntent("answer", "model");
    });
  }

  /** The calls to run first: from the cached intent, or from the model, whose words are the answer if it makes none. */
  async decide(): Promise<RequestedCall[]> {
    const { resumed } = this.#run.request;
    if (resumed?.open && this.#run.request.client?.tools) return this.#handOver(resumed.open.calls);
    if (resumed?.open) return resumed.open.calls;
    if (resumed?.rounds.length) return this.think();
    if (this.#cachedCalls !== undefined) {
      const cached = this.#cachedCalls.map((call) => ({ ...call, id: this.#run.deps.newCallId() }));
      this.#tellIntent("tools", "cache", cached);
      return cached;
    }
    const { deps } = this.#run;
    const askedAtMs = deps.now();
    const calls = await this.think();
    if (calls.length > 0) {
      this.#tellIntent("tools", "model", calls);
      this.progress.reusable.intent = this.#toIntent(calls, deps.now() - askedAtMs);
    }
    return calls;
  }

  /** The calls that a person is to decide on before they run. */
  asksFirst(calls: RequestedCall[]): ToolCall[] {
    const { askFirst } = this.#run.request;
    // Calls that were told before a cut were decided on before it.
    if (this.#openRound !== undefined) return [];
    return calls
      .slice(0, MAX_CALLS_A_ROUND)
      .flatMap((call) => ("malformed" in call || !askFirst.includes(call.name) ? [] : [call]));
  }

  /** What these calls give must not be shown to those who follow this turn, unless all of them may have it. */
  keepFromFollowers(calls: RequestedCall[]): void {
    const { request, flight, deps } = this.#run;
    const isForAll = (call: RequestedCall): boolean =>
      isReusable(call, request, deps.sharesAnswers) && !request.askFirst.includes(call.name) && !("malformed" in call);
    if (!calls.every(isForAll)) flight?.close();
  }

  async runTools(requested: RequestedCall[], decisions: Decision[]): Promise<void> {
    const { rounds, reusable } = this.progress;
    const calls = requested.map((call) => decided(call, decisions));
    const fromCache = this.#cachedCalls !== undefined && rounds.length === 0;
    const open = this.#takeOpenRound();
    const settledBy = open ? (this.#run.request.resumed?.decisions ?? []) : decisions;
    const usedBytes = rounds.reduce((sum, { calls: made, results }) => sum + jsonBytes(made) + jsonBytes(results), 0);
    const said = open?.content ?? this.#replies.words;
    const input = { content: said, calls, decisions: settledBy, fromCache, usedBytes, settled: open?.results };
    const result = await this.#run.stages.during("tools", () => runToolRound(this.#run, input));
    // Also of a turn that is being stopped: a call without a result would make the next turn invalid.
    rounds.push(result.round);
    if (this.#run.signal.aborted) throw new AppError("cancelled", "the turn was stopped");
    reusable.toolEntries.push(...result.entries);
    reusable.answer &&= result.isReusable && decisions.length === 0;
    if (!reusable.answer) this.#run.flight?.close();
  }

  /** Asks the model with all results so far; gives the calls it makes next. */
  async think(): Promise<RequestedCall[]> {
    if (this.#run.signal.aborted) throw new AppError("cancelled", "the turn was stopped");
    const left = Promise.withResolvers<void>();
    this.#run.signal.addEventListener("abort", () => left.resolve(), { once: true });
    try {
      const { stages, request } = this.#run;
      const answer = () => this.#answer(() => left.promise);
      const calls = await stages.during("model", answer, callSpan(request));
      return request.client?.tools ? this.#handOver(calls) : calls;
    } finally {
      left.resolve();
    }
  }

  /** Where JSON is asked for: words beside calls are taken back, and an answer that is not what was asked for is made once more. */
  async #answer(gone: WhenGone): Promise<RequestedCall[]> {
    const { responseFormat } = this.#run.request;
    const replies = this.#replies;
    const before = replies.mark();
    const calls = await this.#ask(gone);
    if (!wantsJson(responseFormat)) return calls;
    const problem = calls.length > 0 ? undefined : findProblem(responseFormat, replies.words);
    if (problem !== undefined || calls.length > 0) replies.rewind(before);
    if (problem === undefined) return calls;
    // One that was cut off would be so again.
    if (this.progress.finishReason !== "stop") throw unusable();
    const again = replies.mark();
    await this.#ask(gone, askToMend(replies.words, problem));
    if (findProblem(responseFormat, replies.words) === undefined) return [];
    replies.rewind(again);
    throw unusable();
  }

  #ask(gone: WhenGone, more: ModelMessage[] = []): Promise<RequestedCall[]> {
    return this.#replies.ask(modelRequest(this.#run.request, this.progress.rounds, more), gone);
  }

  /** Calls of a client's own tools end the turn: nothing is run here. */
  #handOver(made: RequestedCall[]): [] {
    const calls = made.flatMap((call) => ("malformed" in call ? [] : [call]));
    if (calls.length < made.length)
      throw new AppError("upstream_error", "the model called a tool with unreadable arguments");
    if (calls.length === 0) return [];
    const { emit, flight } = this.#run;
    // Whoever follows this turn must not be shown calls that are its client's.
    flight?.close();
    const isTold = this.#openRound !== undefined;
    this.#takeOpenRound();
    for (const call of isTold ? [] : calls) emit.append({ event: "tool_call", data: call });
    emit.save();
    this.progress.rounds.push({ content: "", calls, results: [] });
    this.progress.finishReason = "tool_calls";
    this.progress.reusable.answer = false;
    return [];
  }

  /** The first calls as they may be used again; undefined unless each of them could be run. */
  #toIntent(calls: RequestedCall[], ms: number): Reusable["intent"] {
    const { model, usage } = this.progress;
    const runnable = calls.flatMap((call) =>
      "malformed" in call ? [] : [{ name: call.name, arguments: call.arguments }],
    );
    if (runnable.length < calls.length || usage === undefined) return undefined;
    return { calls: runnable, saves: { calls: 1, ms, tokens: tokensOf(model, usage) } };
  }

  /** The round that an earlier life of the turn began; once. */
  #takeOpenRound(): NonNullable<TurnRequest["resumed"]>["open"] {
    const open = this.#openRound;
    this.#openRound = undefined;
    return open;
  }

  #tellIntent(intent: "answer" | "tools", source: "model" | "cache", calls: RequestedCall[] = []): void {
    this.#run.emit.append({ event: "intent", data: { intent, source, tools: calls.map((call) => call.name) } });
  }
}

/** A call with the arguments that it was approved with. */
function decided(call: RequestedCall, decisions: Decision[]): RequestedCall {
  const decision = decisions.find(({ call_id }) => call_id === call.id);
  const edited = decision?.decision === "approve" ? decision.arguments : undefined;
  return edited === undefined ? call : { id: call.id, name: call.name, arguments: edited };
}
