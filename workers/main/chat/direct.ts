/**
 * A model asked directly: no session, no tools, no cache, one request of one client. Runs in the Worker, and ends with its client: who
 * leaves ends the provider's request. No storage; what it cost is told to `onEnd`, whoever ended it, once.
 */
import type { FinishReason, Usage } from "../../../contracts/chat.ts";
import { createDecoder, type Decoder, type ModelEvent } from "../../../contracts/dialects.ts";
import type { DirectEvent } from "../../../contracts/direct.ts";
import { type Failure, isRetryable, ok, type Result } from "../../../contracts/errors.ts";
import { encodeFrame, KEEP_ALIVE_FRAME } from "../../../contracts/events.ts";
import type {
  Completion,
  LlmAgent,
  ModelContext,
  ModelRequest,
  ModelStream,
  WhenGone,
} from "../../../contracts/llm.ts";
import { addUsage, estimateUsage } from "../../../contracts/rounds.ts";
import { askToMend, findProblem, unusable } from "./answer-format.ts";
import { type Watchdog, watchReader } from "./watchdog.ts";

export interface DirectDeps {
  llm: LlmAgent;
  now: () => number;
  newCallId: () => string;
  stallTimeoutMs: number;
  streamTimeoutMs: number;
}

export interface DirectEnd {
  model: string;
  provider: string | undefined;
  /** Estimated where the provider gave no figures, and where the reply did not come to its end. */
  usage: Usage;
  /** Why there is no whole answer; undefined of one that finished. */
  failure: Failure | undefined;
}

export interface DirectCall {
  request: ModelRequest;
  context: ModelContext;
  /** Aborts when the client has left. */
  signal: AbortSignal;
  onEnd(end: DirectEnd): void;
}

/** How soon it is noticed that nobody listens any more. */
const BEAT_MS = 1_000;
const LEFT: Failure = { code: "cancelled", message: "the client left" };

export async function completeDirect(call: DirectCall, deps: DirectDeps): Promise<Result<Completion>> {
  const { request, signal, onEnd } = call;
  const { gone, leave } = untilGone(signal);
  try {
    const { completed, spent } = await completeInForm(call, deps, gone);
    const provider = completed.ok ? completed.value.provider : undefined;
    const failure = completed.ok ? undefined : completed.error;
    onEnd({ model: request.model, provider, usage: spent, failure });
    return completed;
  } finally {
    leave();
  }
}

interface Completed {
  completed: Result<Completion>;
  /** By all calls together. */
  spent: Usage;
}

/** An answer that is not the JSON that was asked for is made once more. */
async function completeInForm(
  { request, context }: DirectCall,
  { llm }: DirectDeps,
  gone: WhenGone,
): Promise<Completed> {
  const first = await reach(llm.generate(request, context, gone));
  const spent = spentOn(request, first);
  const problem = first.ok ? findProblem(request.responseFormat, first.value.content) : undefined;
  if (!first.ok || problem === undefined) return { completed: first, spent };
  if (first.value.finishReason !== "stop") return { completed: UNUSABLE, spent };
  const mending = toMend(request, first.value.content, problem);
  const second = await reach(llm.generate(mending, context, gone));
  const usage = addUsage(spent, spentOn(mending, second));
  const isGood = second.ok && findProblem(request.responseFormat, second.value.content) === undefined;
  if (second.ok && !isGood) return { completed: UNUSABLE, spent: usage };
  return { completed: second.ok ? ok({ ...second.value, usage }) : second, spent: usage };
}

const UNUSABLE: Result<never> = { ok: false, error: unusable().failure };

function toMend(request: ModelRequest, answer: string, problem: string): ModelRequest {
  return { ...request, messages: [...request.messages, ...askToMend(answer, problem)] };
}

function spentOn(request: ModelRequest, completed: Result<Completion>): Usage {
  return completed.ok ? completed.value.usage : spentBy(request, completed.error);
}

/**
 * The events of the reply as bytes. A failure that is known at once is a result; who has to wait longer is sent comments meanwhile,
 * and failures as events: only a write tells that a client has left.
 */
export async function streamDirect(call: DirectCall, deps: DirectDeps): Promise<Result<ReadableStream<Uint8Array>>> {
  const { request, context, signal, onEnd } = call;
  const { gone, leave } = untilGone(signal);
  const opened = reach(deps.llm.stream(request, context, gone));
  const early = await within(opened, BEAT_MS);
  if (early === undefined || early.ok) return ok(new DirectStream(opened, call, deps, { gone, leave }).readable);
  leave();
  const { error: failure } = early;
  onEnd({ model: request.model, provider: undefined, usage: spentBy(request, failure), failure });
  return early;
}

type Controller = ReadableStreamDefaultController<Uint8Array>;

/** A reply that is being read. */
interface Reading {
  reader: ReadableStreamDefaultReader<Uint8Array>;
  decoder: Decoder;
  watch: Watchdog;
  provider: string;
}

/** Pulled by its reader: a slow one slows the provider, and nothing piles up here. */
class DirectStream {
  readonly readable: ReadableStream<Uint8Array>;
  #opened: Promise<Result<ModelStream>>;
  readonly #call: DirectCall;
  readonly #deps: DirectDeps;
  readonly #leave: () => void;
  readonly #gone: WhenGone;
  readonly #encoder = new TextEncoder();
  #reading: Reading | undefined;
  #beat: ReturnType<typeof setInterval> | undefined;
  #words = "";
  #usage: Usage | undefined;
  /** Of the first answer, where a second one is made. */
  #spent: Usage | undefined;
  /** What is asked now: the request, or its mending. */
  #asked: ModelRequest;
  #frames = 0;
  #ended = false;

  constructor(opened: Promise<Result<ModelStream>>, call: DirectCall, deps: DirectDeps, { gone, leave }: Leaving) {
    this.#opened = opened;
    this.#call = call;
    this.#asked = call.request;
    this.#deps = deps;
    this.#leave = leave;
    this.#gone = gone;
    this.readable = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          // Nobody may be reading then. Whoever is no longer allowed to read is told nothing more.
          call.signal.addEventListener("abort", () => this.#abandon(controller), { once: true });
          this.#keepAlive(controller);
        },
        pull: (controller) => this.#pull(controller),
        cancel: () => void this.#end(LEFT),
      },
      { highWaterMark: 0 },
    );
  }

  async #pull(controller: Controller): Promise<void> {
    const events: DirectEvent[] = [];
    // A piece may hold no event: a pull that brings nothing is not repeated by itself.
    while (events.length === 0 && !this.#ended) {
      events.push(...(await (this.#reading === undefined ? this.#open() : this.#next(this.#reading))));
    }
    if (events.length > 0) this.#send(controller, events);
    if (events.at(-1)?.event === "done" || events.at(-1)?.event === "error") controller.close();
  }

  async #open(): Promise<DirectEvent[]> {
    const opened = await this.#opened;
    if (this.#ended) return [];
    if (!opened.ok) return this.#fail(opened.error);
    const { body, dialect, provider, model } = opened.value;
    const { stallTimeoutMs, streamTimeoutMs: totalTimeoutMs, now, newCallId } = this.#deps;
    const reader = body.getReader();
    const watch = watchReader(reader, { signal: this.#call.signal, stallTimeoutMs, totalTimeoutMs, now });
    this.#reading = { reader, decoder: createDecoder(dialect, { newCallId }), watch, provider };
    return this.#spent ? [] : [{ event: "meta", data: { model, provider } }];
  }

  async #next({ reader, decoder, watch }: Reading): Promise<DirectEvent[]> {
    watch.touch();
    const read = await reader.read().catch(() => ({ done: true, value: undefined }) as const);
    watch.rest();
    if (this.#ended) return [];
    const stopped = watch.stopped()?.failure;
    if (stopped) return this.#fail(stopped);
    const told = read.done ? decoder.end() : decoder.push(read.value);
    return told.flatMap((event) => this.#translate(event));
  }

  #translate(event: ModelEvent): DirectEvent[] {
    switch (event.type) {
      case "text":
        this.#words += event.text;
        return [{ event: "delta", data: { content: event.text } }];
      case "usage":
        this.#usage = event.usage;
        return [];
      case "tool_calls":
        return []; // none were offered
      case "finish": {
        const again = this.#hold(event.reason);
        if (again !== undefined) return again;
        return [
          { event: "usage", data: this.#end() },
          { event: "done", data: { finish_reason: event.reason } },
        ];
      }
      case "failure":
        return this.#fail(event.failure);
    }
  }

  /** Undefined: the answer stands. Else what takes it back, and the model is asked once more. */
  #hold(reason: FinishReason): DirectEvent[] | undefined {
    const { request, context } = this.#call;
    const problem = findProblem(request.responseFormat, this.#words);
    if (problem === undefined) return undefined;
    const rewind: DirectEvent = { event: "rewind", data: { after: 1 } };
    if (reason !== "stop" || this.#spent) return [rewind, ...this.#fail(unusable().failure)];
    this.#spent = this.#usage ?? estimateUsage(request, this.#words);
    this.#asked = toMend(request, this.#words, problem);
    this.#reading?.watch.end();
    void this.#reading?.reader.cancel().catch(() => {}); // it is over
    this.#reading = undefined;
    this.#words = "";
    this.#usage = undefined;
    this.#opened = reach(this.#deps.llm.stream(this.#asked, context, this.#gone));
    return [rewind];
  }

  #fail(failure: Failure): DirectEvent[] {
    const { code, message } = failure;
    const { requestId: request_id } = this.#call.context;
    return [
      { event: "usage", data: this.#end(failure) },
      { event: "error", data: { code, message, retryable: isRetryable(code), request_id } },
    ];
  }

  #abandon(controller: Controller): void {
    if (this.#ended) return;
    this.#end(LEFT);
    controller.close();
  }

  /** Closes the provider's request and says what the reply cost; once. */
  #end(failure?: Failure): Usage {
    const { request, onEnd } = this.#call;
    const reading = this.#reading;
    const asked = this.#asked;
    const last = this.#usage ?? (reading || !failure ? estimateUsage(asked, this.#words) : spentBy(asked, failure));
    const usage = addUsage(this.#spent, last);
    if (this.#ended) return usage;
    this.#ended = true;
    this.#reading = undefined;
    clearInterval(this.#beat);
    this.#leave();
    reading?.watch.end();
    void reading?.reader.cancel().catch(() => {}); // it may be over already
    onEnd({ model: request.model, provider: reading?.provider, usage, failure });
    return usage;
  }

  #send(controller: Controller, events: DirectEvent[]): void {
    const frames = events.map((event) => encodeFrame((this.#frames += 1), event));
    controller.enqueue(this.#encoder.encode(frames.join("")));
  }

  /** A comment after each beat without an event, unless the reader has not even taken the last one. */
  #keepAlive(controller: Controller): void {
    let seen = 0;
    this.#beat = setInterval(() => {
      if (seen === this.#frames && controller.desiredSize === 0) {
        controller.enqueue(this.#encoder.encode(KEEP_ALIVE_FRAME));
      }
      seen = this.#frames;
    }, BEAT_MS);
  }
}

interface Leaving {
  gone: WhenGone;
  leave(): void;
}

/** Undefined when it takes longer. */
async function within<T>(promise: Promise<T>, timeoutMs: number): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), timeoutMs);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** The model service itself may fail: its binding throws. */
function reach<T>(asked: Promise<Result<T>>): Promise<Result<T>> {
  const failure: Failure = { code: "upstream_error", message: "the model service did not answer" };
  return asked.catch(() => ({ ok: false, error: failure }));
}

function untilGone(signal: AbortSignal) {
  const { promise, resolve } = Promise.withResolvers<void>();
  const leave = (): void => resolve();
  if (signal.aborted) leave();
  signal.addEventListener("abort", leave, { once: true });
  return { gone: () => promise, leave };
}

/** A provider that was left in the middle has read the prompt; one that refused has not. */
function spentBy(request: ModelRequest, { code }: Failure): Usage {
  if (code === "cancelled" || code === "upstream_timeout") return estimateUsage(request, "");
  return { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 };
}
