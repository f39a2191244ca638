/**
 * The steps of one turn's workflow and what they gather: the answer so far, tool rounds, usage. State lives as long as the turn.
 * Text and tool events go straight to the turn's log; nothing here is kept between turns.
 */
import type { FinishReason, Usage } from "../../../contracts/chat.ts";
import type { Decision } from "../../../contracts/approvals.ts";
import type { CacheValue } from "../../../contracts/cache.ts";
import { createDecoder } from "../../../contracts/dialects.ts";
import { AppError } from "../../../contracts/errors.ts";
import type { ModelMessage, ModelRequest, ModelStream, WhenGone } from "../../../contracts/llm.ts";
import { addUsage, spentBy, usageOf, type ToolRound } from "../../../contracts/rounds.ts";
import { askToMend, findProblem, unusable, wantsJson } from "./answer-format.ts";
import { modelRequest, openStream } from "./ask-model.ts";
import { callSpan } from "./spans.ts";
import { type Reply, readReply } from "./read-reply.ts";
import { type Found, isShareable, type Reusable, tokensOf } from "./reuse.ts";
import type { ToolCall } from "../../../contracts/tools.ts";
import { jsonBytes, MAX_CALLS_A_ROUND, type RequestedCall, runToolRound } from "./tool-round.ts";
import type { TurnRun } from "./turn.ts";
import type { TurnRequest } from "./turn-request.ts";
import { BrokenReply } from "./watchdog.ts";

/** Of a whole turn: its row holds 2 MB, a character takes three bytes at most, and a tool round keeps its words once more. */
const MAX_ANSWER_CHARS = 192 * 1024;

/** How often one reply is begun again on another route. */
const MAX_RESTARTS = 2;

/** How far a turn has come. */
export interface Progress {
  content: string;
  rounds: ToolRound[];
  usage: Usage | undefined;
  model: string;
  provider: string;
  finishReason: FinishReason | undefined;
  /** How often the model was asked. */
  modelCalls: number;
  reusable: Reusable;
}

export class TurnSteps {
  readonly progress: Progress;
  readonly #run: TurnRun;
  readonly #cachedCalls: CacheValue<"intent">["calls"] | undefined;
  /** The words of the model's latest reply. */
  #words = "";
  #askedAtMs = 0;
  /** What the reply took until now that is being read. */
  #reading: (() => Usage) | undefined;
  #openRound: NonNullable<TurnRequest["resumed"]>["open"];

  constructor(run: TurnRun, found: Found) {
    this.#run = run;
    this.#openRound = run.request.resumed?.open;
    this.#words = run.request.resumed?.words ?? "";
    this.#cachedCalls = found.intent.verdict === "hit" ? found.intent.value.calls : undefined;
    const { content = "", rounds = [] } = run.request.resumed ?? {};
    this.progress = {
      ...{ content, rounds: [...rounds], usage: run.request.resumed?.spent, finishReason: undefined, modelCalls: 0 },
      model: run.request.model,
      provider: run.request.modelType,
      // Of a turn that was cut nothing is kept: what it depended on is not all known any more.
      reusable: { intent: undefined, toolEntries: [], answer: run.request.resumed === undefined },
    };
    run.emit.spent = () => (this.#reading ? addUsage(this.progress.usage, this.#reading()) : this.progress.usage);
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

  /** What these calls give must not be shown to those who follow this turn, unless everyone may have it. */
  keepFromFollowers(calls: RequestedCall[]): void {
    const { request, flight } = this.#run;
    const isForAll = (call: RequestedCall): boolean =>
      isShareable(call, request) && !request.askFirst.includes(call.name) && !("malformed" in call);
    if (!calls.every(isForAll)) flight?.close();
  }

  async runTools(requested: RequestedCall[], decisions: Decision[]): Promise<void> {
    const { rounds, reusable } = this.progress;
    const calls = requested.map((call) => decided(call, decisions));
    const fromCache = this.#cachedCalls !== undefined && rounds.length === 0;
    const open = this.#takeOpenRound();
    const settledBy = open ? (this.#run.request.resumed?.decisions ?? []) : decisions;
    const usedBytes = rounds.reduce((sum, { calls: made, results }) => sum + jsonBytes(made) + jsonBytes(results), 0);
    const said = open?.content ?? this.#words;
    const input = { content: said, calls, decisions: settledBy, fromCache, usedBytes, settled: open?.results };
    const result = await this.#run.stages.during("tools", () => runToolRound(this.#run, input));
    // Also of a turn that is being stopped: a call without a result would make the next turn invalid.
    rounds.push(result.round);
    if (this.#run.signal.aborted) throw new AppError("cancelled", "the turn was stopped");
    reusable.toolEntries.push(...result.entries);
    reusable.answer &&= result.shareable && decisions.length === 0;
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
    const before = this.#mark();
    const calls = await this.#ask(gone);
    if (!wantsJson(responseFormat)) return calls;
    const problem = calls.length > 0 ? undefined : findProblem(responseFormat, this.#words);
    if (problem !== undefined || calls.length > 0) this.#rewind(before);
    if (problem === undefined) return calls;
    // One that was cut off would be so again.
    if (this.progress.finishReason !== "stop") throw unusable();
    const again = this.#mark();
    await this.#ask(gone, askToMend(this.#words, problem));
    if (findProblem(responseFormat, this.#words) === undefined) return [];
    this.#rewind(again);
    throw unusable();
  }

  #mark(): { event: number; content: string } {
    return { event: this.#run.emit.last, content: this.progress.content };
  }

  /**
   * `gone` tells the model service that nobody reads any more: a cancelled body alone is seen only at its next byte. A reply that breaks off
   * is begun again where another route serves the model; what was shown of it is rewound.
   */
  async #ask(gone: WhenGone, more: ModelMessage[] = []): Promise<RequestedCall[]> {
    const { progress } = this;
    const asked = modelRequest(this.#run.request, progress.rounds, more);
    const before = this.#mark();
    const avoid: string[] = [];
    progress.modelCalls += 1;
    let current: ModelRequest = asked;
    let opened = await this.#open(current, gone);
    for (;;) {
      const reply = await this.#read(opened, current);
      if (!(reply instanceof BrokenReply)) return reply.calls;
      avoid.push(opened.route);
      current = { ...asked, avoid };
      const next = await this.#nextRoute(current, gone);
      if (next === undefined) throw reply;
      this.#rewind(before);
      opened = next;
    }
  }

  async #open(asked: ModelRequest, gone: WhenGone): Promise<ModelStream> {
    this.#askedAtMs = this.#run.deps.now();
    try {
      const opened = await openStream(asked, this.#run, gone);
      if (opened.paid) this.#add(opened.paid);
      return opened;
    } catch (error) {
      // A provider that was left before its first word has its price too.
      if (error instanceof AppError) this.#add(spentBy(asked, error.failure));
      this.#noteCall(this.#run.request.modelType, asked, { error });
      throw error;
    }
  }

  #endReading(spent: Usage): Usage {
    this.#reading = undefined;
    this.#add(spent);
    return spent;
  }

  #add(usage: Usage): void {
    this.progress.usage = addUsage(this.progress.usage, usage);
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

  /** Reads a reply to its end; gives back what broke it off, where another try may help. */
  async #read(opened: ModelStream, asked: ModelRequest): Promise<Reply | BrokenReply> {
    const { deps, emit, signal } = this.#run;
    const { progress } = this;
    progress.model = opened.model;
    progress.provider = opened.provider;
    this.#words = "";
    const decoder = createDecoder(opened.dialect, { newCallId: deps.newCallId });
    const usage = usageOf(asked);
    this.#reading = () => usage(this.#words, decoder.told());
    const reading = readReply(opened.body, decoder, {
      onText: (text) => {
        if (this.#words === "" && progress.rounds.length === 0) this.#tellIntent("answer", "model");
        this.#words += text;
        progress.content += text;
        emit.text(text);
      },
      ...{ signal, stallTimeoutMs: deps.stallTimeoutMs, totalTimeoutMs: deps.streamTimeoutMs, now: deps.now },
      maxChars: MAX_ANSWER_CHARS - progress.content.length,
    });
    const reply = await reading.catch((error: unknown) => {
      // A reply that was cut or stopped has its price too.
      const spent = this.#endReading(usage(this.#words, decoder.told()));
      this.#noteCall(opened.provider, asked, { usage: spent, error });
      if (error instanceof BrokenReply) return error;
      throw error;
    });
    if (reply instanceof BrokenReply) return reply;
    const said = this.#words + (reply.calls.length > 0 ? JSON.stringify(reply.calls) : "");
    const spent = this.#endReading(usage(said, decoder.told()));
    this.#noteCall(opened.provider, asked, { usage: spent });
    progress.finishReason = reply.finishReason;
    return reply;
  }

  /** Where the reply is begun again; undefined when nobody else serves the model, or the turn is being stopped. */
  async #nextRoute(request: ModelRequest, gone: WhenGone): Promise<ModelStream | undefined> {
    const { signal } = this.#run;
    if (signal.aborted || (request.avoid?.length ?? 0) > MAX_RESTARTS) return undefined;
    return this.#open(request, gone).catch(() => undefined);
  }

  #noteCall(provider: string, { model, avoid }: ModelRequest, { usage, error }: { usage?: Usage; error?: unknown }) {
    const { deps, request, signal } = this.#run;
    const code = error instanceof AppError ? error.failure.code : "internal";
    const ended = error === undefined ? undefined : signal.aborted ? "cancelled" : code;
    const call = { provider, model, ms: deps.now() - this.#askedAtMs, usage, error: ended };
    deps.onModelCall?.({ ...call, isRestart: avoid !== undefined }, request);
  }

  /** Takes back what was shown of a reply that broke off, for whoever watches and for whoever reads the log later. */
  #rewind(before: { event: number; content: string }): void {
    const { emit } = this.#run;
    this.progress.content = before.content;
    if (this.#words === "") return;
    emit.append({ event: "rewind", data: { after: before.event } });
    emit.save();
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
