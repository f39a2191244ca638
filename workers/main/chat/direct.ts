/**
 * A model asked directly: no session, no tools, no cache, one request of one client. Runs in the Worker, and ends with its client: who
 * leaves ends the provider's request. No storage; what it cost is told to the account and to `onEnd`, whoever ended it, once. Nothing is
 * called that the account has not let in (admit.ts).
 */
import type { Usage } from "../../../contracts/chat.ts";
import { createDecoder, type Decoder, type ModelEvent } from "../../../contracts/dialects.ts";
import type { DirectEvent } from "../../../contracts/direct.ts";
import { type Failure, isRetryable, ok, type Result } from "../../../contracts/errors.ts";
import { encodeFrame, KEEP_ALIVE_FRAME } from "../../../contracts/events.ts";
import type { Completion, LlmAgent, ModelContext, ModelStream } from "../../../contracts/llm.ts";
import { estimateUsage, spentBy } from "../../../contracts/rounds.ts";
import type { AdmittedCall } from "./admit.ts";
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
  admitted: AdmittedCall;
  context: ModelContext;
  /** Aborts when the client has left. */
  signal: AbortSignal;
  onEnd(end: DirectEnd): void;
}

/** How soon it is noticed that nobody listens any more. */
const BEAT_MS = 1_000;
const LEFT: Failure = { code: "cancelled", message: "the client left" };

export async function completeDirect(call: DirectCall, { llm }: DirectDeps): Promise<Result<Completion>> {
  const { admitted, context, signal } = call;
  const { request } = admitted;
  const { gone, leave } = untilGone(signal);
  try {
    const completed = await reach(llm.generate(request, context, gone));
    const { model } = request;
    if (completed.ok) {
      const { provider, usage } = completed.value;
      tellEnd(call, { model, provider, usage, failure: undefined });
      return completed;
    }
    const { error: failure } = completed;
    tellEnd(call, { model, provider: undefined, usage: spentBy(request, failure), failure });
    return refusedWith(failure, admitted);
  } finally {
    leave();
  }
}

/**
 * The events of the reply as bytes. A failure that is known at once is a result; who has to wait longer is sent comments meanwhile,
 * and failures as events: only a write tells that a client has left.
 */
export async function streamDirect(call: DirectCall, deps: DirectDeps): Promise<Result<ReadableStream<Uint8Array>>> {
  const { admitted, context, signal } = call;
  const { request } = admitted;
  const { gone, leave } = untilGone(signal);
  const opened = reach(deps.llm.stream(request, context, gone));
  const early = await within(opened, BEAT_MS);
  if (early === undefined || early.ok) return ok(new DirectStream(opened, call, deps, leave).readable);
  leave();
  const { error: failure } = early;
  tellEnd(call, { model: request.model, provider: undefined, usage: spentBy(request, failure), failure });
  return refusedWith(failure, admitted);
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
  readonly #opened: Promise<Result<ModelStream>>;
  readonly #call: DirectCall;
  readonly #deps: DirectDeps;
  readonly #leave: () => void;
  readonly #encoder = new TextEncoder();
  #reading: Reading | undefined;
  #beat: ReturnType<typeof setInterval> | undefined;
  #words = "";
  #usage: Usage | undefined;
  #frames = 0;
  #ended = false;

  constructor(opened: Promise<Result<ModelStream>>, call: DirectCall, deps: DirectDeps, leave: () => void) {
    this.#opened = opened;
    this.#call = call;
    this.#deps = deps;
    this.#leave = leave;
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
    const events: DirectEvent[] = this.#reading === undefined ? await this.#open() : [];
    // A piece may hold no event: a pull that brings nothing is not repeated by itself.
    while (events.length === 0 && this.#reading !== undefined) events.push(...(await this.#next(this.#reading)));
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
    return [{ event: "meta", data: { model, provider } }];
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
      case "finish":
        return [
          { event: "usage", data: this.#end() },
          { event: "done", data: { finish_reason: event.reason } },
        ];
      case "failure":
        return this.#fail(event.failure);
    }
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
    const { request } = this.#call.admitted;
    const reading = this.#reading;
    const usage =
      this.#usage ?? (reading || !failure ? estimateUsage(request, this.#words) : spentBy(request, failure));
    if (this.#ended) return usage;
    this.#ended = true;
    this.#reading = undefined;
    clearInterval(this.#beat);
    this.#leave();
    reading?.watch.end();
    void reading?.reader.cancel().catch(() => {}); // it may be over already
    tellEnd(this.#call, { model: request.model, provider: reading?.provider, usage, failure });
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

function tellEnd({ admitted, onEnd }: DirectCall, end: DirectEnd): void {
  admitted.settle(end);
  onEnd(end);
}

/** With how the user's limits stand, as every reply tells. */
function refusedWith(failure: Failure, { limits }: AdmittedCall): Result<never> {
  return { ok: false, error: { ...failure, limits } };
}
