/**
 * A direct reply as a stream of bytes, pulled by its reader: a slow one slows the provider, and nothing piles up here. State: one reply.
 * One that breaks off before its words is begun again on another route, once. Refuses an answer that is not of the form it is held to: the
 * model is asked once more, after a rewind.
 */
import type { FinishReason, Usage } from "../../../contracts/chat.ts";
import { createDecoder, type Decoder, type MalformedToolCall, type ModelEvent } from "../../../contracts/dialects.ts";
import { type Failure, isRetryable, type Result } from "../../../contracts/errors.ts";
import { encodeFrame, KEEP_ALIVE_FRAME } from "../../../contracts/events.ts";
import type { ModelRequest, ModelStream, WhenGone } from "../../../contracts/llm.ts";
import { billOf, type ModelPrices } from "../../../contracts/prices.ts";
import { addUsage, NO_USAGE, spentBy, usageOf } from "../../../contracts/rounds.ts";
import type { ToolCall } from "../../../contracts/tools.ts";
import { findProblem, unusable } from "./answer-format.ts";
import {
  BEAT_MS,
  BROKEN,
  type DirectCall,
  type DirectDeps,
  type DirectEnd,
  type DirectTold,
  type DirectWriter,
  reach,
  tellCall,
  tellEnd,
  toMend,
} from "./direct-call.ts";
import { BrokenReply, type Watchdog, watchReader } from "./watchdog.ts";

const UNREADABLE: Failure = { code: "upstream_error", message: "the model called a tool with unreadable arguments" };
const LEFT: Failure = { code: "cancelled", message: "the client left, or may no longer read this" };

/** A stream that was asked for; who leaves it before it is there is heard of all the same. */
export interface Opening {
  opened: Promise<Result<ModelStream>>;
  askedAtMs: number;
  gone: WhenGone;
  leave(): void;
}

type Controller = ReadableStreamDefaultController<Uint8Array>;

/** A reply that is being read. */
interface Reading {
  reader: ReadableStreamDefaultReader<Uint8Array>;
  decoder: Decoder;
  watch: Watchdog;
  provider: string;
  route: string;
  /** What attempts took that came to nothing before it. */
  paid: Usage | undefined;
}

export class DirectStream {
  readonly readable: ReadableStream<Uint8Array>;
  #opened: Promise<Result<ModelStream>>;
  #askedAtMs: number;
  readonly #call: DirectCall;
  readonly #deps: DirectDeps;
  readonly #leave: () => void;
  readonly #gone: WhenGone;
  readonly #encoder = new TextEncoder();
  readonly #write: DirectWriter;
  #reading: Reading | undefined;
  #beat: ReturnType<typeof setInterval> | undefined;
  #words = "";
  #calls: ToolCall[] = [];
  /** Of the replies before the one that is read. */
  #spent: Usage | undefined;
  #isSecond = false;
  /** Why the reply before broke off, where one is begun again. */
  #broken: Failure | undefined;
  /** Of the reply that was read last. */
  #provider: string | undefined;
  /** How often it was told who answers. */
  #metas = 0;
  /** What is asked now: the request, or its mending. */
  #asked: ModelRequest;
  #sent = 0;
  #ended = false;

  constructor({ opened, askedAtMs, gone, leave }: Opening, call: DirectCall, deps: DirectDeps) {
    this.#opened = opened;
    this.#askedAtMs = askedAtMs;
    this.#call = call;
    this.#asked = call.request;
    this.#deps = deps;
    this.#leave = leave;
    this.#gone = gone;
    this.#write = call.write ?? numberedFrames(deps.prices, call.request.model);
    call.onStream(1);
    this.readable = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          // Nobody may be reading then. Whoever is no longer allowed to read is told that, and nothing more.
          call.signal.addEventListener("abort", () => this.#abandon(controller), { once: true });
          this.#keepAlive(controller);
          if (call.signal.aborted) this.#abandon(controller);
        },
        pull: (controller) =>
          this.#pull(controller).catch((error: unknown) => {
            this.#end(BROKEN);
            throw error;
          }),
        cancel: () => void this.#end(LEFT),
      },
      { highWaterMark: 0 },
    );
  }

  async #pull(controller: Controller): Promise<void> {
    const events: DirectTold[] = [];
    // A piece may hold no event: a pull that brings nothing is not repeated by itself.
    while (events.length === 0 && !this.#ended) {
      events.push(...(await (this.#reading === undefined ? this.#open() : this.#next(this.#reading))));
    }
    if (events.length > 0) this.#send(controller, events);
    if (events.at(-1)?.event === "done" || events.at(-1)?.event === "error") controller.close();
  }

  async #open(): Promise<DirectTold[]> {
    const opened = await this.#opened;
    if (this.#ended) return [];
    // Where nobody else answers, what broke off is what went wrong.
    if (!opened.ok) return this.#fail(this.#broken ?? opened.error, opened.error);
    const { body, dialect, provider, model, route, paid } = opened.value;
    const { stallTimeoutMs, streamTimeoutMs: totalTimeoutMs, now, newCallId } = this.#deps;
    const reader = body.getReader();
    const watch = watchReader(reader, { signal: this.#call.signal, stallTimeoutMs, totalTimeoutMs, now });
    this.#reading = { reader, decoder: createDecoder(dialect, { newCallId }), watch, provider, route, paid };
    this.#provider = provider;
    if (this.#isSecond) return [];
    this.#metas += 1;
    return [{ event: "meta", data: { model, provider } }];
  }

  async #next({ reader, decoder, watch }: Reading): Promise<DirectTold[]> {
    watch.touch();
    const read = await reader.read().catch(() => ({ done: true, value: undefined }) as const);
    watch.rest();
    if (this.#ended) return [];
    const stopped = watch.stopped();
    if (stopped instanceof BrokenReply) return this.#breakOff(stopped.failure);
    if (stopped) return this.#fail(stopped.failure);
    const told = read.done ? decoder.end() : decoder.push(read.value);
    return told.flatMap((event) => this.#translate(event));
  }

  #translate(event: ModelEvent): DirectTold[] {
    if (this.#ended) return [];
    switch (event.type) {
      case "text":
        if (this.#words === "" && !this.#isSecond) this.#call.onFirstWords();
        this.#words += event.text;
        return [{ event: "delta", data: { content: event.text } }];
      case "tool_calls":
        return this.#takeCalls(event.calls);
      case "finish": {
        const again = this.#hold(event.reason);
        if (again !== undefined) return again;
        return [
          { event: "usage", data: this.#end(undefined, { finishReason: event.reason }) },
          { event: "done", data: { finish_reason: event.reason } },
        ];
      }
      case "failure":
        return this.#breakOff(event.failure);
    }
  }

  /** Another route may say it all where nothing was told. Else the model service hears behind the reply of what broke off. */
  #breakOff(failure: Failure): DirectTold[] {
    const { request, context, admitted } = this.#call;
    const { model, modelType } = request;
    const avoid = this.#reading ? [this.#reading.route] : [];
    const isUntold = this.#words === "" && this.#calls.length === 0;
    if (isUntold && this.#broken === undefined) {
      this.#askAgain({ ...this.#asked, avoid }, failure);
      this.#broken = failure;
      return [];
    }
    admitted.hold(this.#deps.llm.brokeOff({ model, ...(modelType && { modelType }), avoid }, context));
    return this.#fail(failure);
  }

  /** Undefined: the answer stands. Else what takes it back, and the model is asked once more. */
  #hold(reason: FinishReason): DirectTold[] | undefined {
    const { heldTo } = this.#call;
    const problem = findProblem(heldTo, this.#words);
    if (problem === undefined) return undefined;
    const rewind: DirectTold = { event: "rewind", data: { after: this.#metas } };
    if (reason !== "stop" || this.#isSecond) return [rewind, ...this.#fail(unusable().failure)];
    this.#isSecond = true;
    this.#askAgain(toMend(this.#asked, this.#words, problem));
    return [rewind];
  }

  /** `failure`: why the reply before is none. */
  #askAgain(asked: ModelRequest, failure?: Failure): void {
    this.#spent = this.#tell(this.#taken(failure), failure);
    this.#close();
    this.#words = "";
    this.#broken = undefined;
    const { avoid: _, ...request } = asked; // who broke off is told once
    this.#asked = request;
    this.#askedAtMs = this.#deps.now();
    this.#opened = reach(this.#deps.llm.stream(asked, this.#call.context, this.#gone));
  }

  #close(): void {
    this.#reading?.watch.end();
    void this.#reading?.reader.cancel().catch(() => {}); // it may be over already
    this.#reading = undefined;
  }

  /** Whoever offered no tools is not told of calls. */
  #takeCalls(made: (ToolCall | MalformedToolCall)[]): DirectTold[] {
    if (this.#call.request.tools === undefined) return [];
    const calls = made.flatMap((call) => ("malformed" in call ? [] : [call]));
    if (calls.length < made.length) return this.#fail(UNREADABLE);
    this.#calls = calls;
    return [{ event: "tool_calls", data: calls }];
  }

  /** `why`: what the last call came to, where that is something else. */
  #fail(failure: Failure, why = failure): DirectTold[] {
    const { code, message } = failure;
    const { requestId: request_id } = this.#call.context;
    return [
      { event: "usage", data: this.#end(failure, { why }) },
      { event: "error", data: { code, message, retryable: isRetryable(code), request_id } },
    ];
  }

  #abandon(controller: Controller): void {
    if (this.#ended) return;
    // A client that is still there must not take it for the end of the answer.
    this.#send(controller, this.#fail(LEFT));
    controller.close();
  }

  /** Closes the provider's request and says what the reply cost; once. */
  #end(failure?: Failure, { why = failure, finishReason }: { why?: Failure; finishReason?: FinishReason } = {}): Usage {
    const { request } = this.#call;
    const reading = this.#reading;
    const taken = this.#taken(why);
    if (this.#ended) return addUsage(this.#spent, taken);
    this.#ended = true;
    const isOpening = reading === undefined && failure === LEFT;
    const usage = isOpening ? addUsage(this.#spent, taken) : this.#tell(taken, why);
    clearInterval(this.#beat);
    this.#leave();
    this.#call.onStream(-1);
    this.#close();
    const answer = finishReason && { content: this.#words, toolCalls: this.#calls, finishReason };
    const end = { model: request.model, provider: this.#provider, usage, failure, answer };
    if (isOpening) this.#call.admitted.hold(this.#endOpening(end));
    else tellEnd(this.#call, end);
    return usage;
  }

  /** Whoever was asked is told to stop, and answers at once: it knows what attempts took that came to nothing. */
  async #endOpening(end: DirectEnd): Promise<void> {
    const opened = await this.#opened;
    const last = opened.ok
      ? addUsage(opened.value.paid, spentBy(this.#asked, LEFT))
      : spentBy(this.#asked, opened.error);
    tellEnd(this.#call, { ...end, usage: this.#tell(last, LEFT) });
  }

  /** How the call of the model went that has ended; gives back what all of them took. */
  #tell(usage: Usage, failure?: Failure): Usage {
    const provider = this.#reading?.provider;
    const isRestart = this.#broken !== undefined;
    tellCall(this.#call, this.#deps, { provider, askedAtMs: this.#askedAtMs, usage, failure, isRestart });
    return addUsage(this.#spent, usage);
  }

  /** What the reply took so far that is being read, or was asked for. */
  #taken(failure?: Failure): Usage {
    if (this.#reading === undefined) return failure ? spentBy(this.#asked, failure) : NO_USAGE;
    const said = this.#words + (this.#calls.length > 0 ? JSON.stringify(this.#calls) : "");
    return addUsage(this.#reading.paid, usageOf(this.#asked)(said, this.#reading.decoder.told()));
  }

  #send(controller: Controller, events: DirectTold[]): void {
    this.#sent += 1;
    const text = this.#write(events);
    if (text !== "") controller.enqueue(this.#encoder.encode(text));
  }

  /** A comment after each beat without an event, unless the reader has not even taken the last one. */
  #keepAlive(controller: Controller): void {
    let seen = 0;
    this.#beat = setInterval(() => {
      if (seen === this.#sent && controller.desiredSize === 0) {
        controller.enqueue(this.#encoder.encode(KEEP_ALIVE_FRAME));
      }
      seen = this.#sent;
    }, BEAT_MS);
  }
}

/** The frames of this API, numbered; whoever offered no tools is not told of calls. */
function numberedFrames(prices: ModelPrices, model: string): DirectWriter {
  let last = 0;
  const frame = (told: DirectTold): string => {
    if (told.event === "tool_calls") return "";
    const data = told.event === "usage" ? billOf(prices, { model, usage: told.data }) : told.data;
    return encodeFrame((last += 1), { event: told.event, data });
  };
  return (told) => told.map(frame).join("");
}
