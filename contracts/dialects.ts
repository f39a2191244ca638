/**
 * Decoders of the providers' stream dialects: bytes in, `ModelEvent`s out. State lives in the decoder; any split of the bytes gives
 * the same text, calls and finish. Upstream is hostile: every frame is checked, and only a real finish reason completes an answer.
 */
import { FinishReason, type Usage } from "./chat.ts";
import type { Failure } from "./errors.ts";
import { createDataLineReader } from "./sse-lines.ts";
import { createToolCallDeltas, isRecord, type MalformedToolCall } from "./tool-call-deltas.ts";
import type { ToolCall } from "./tools.ts";

export type { MalformedToolCall } from "./tool-call-deltas.ts";

export type Dialect = "openai-chat";

export type ModelEvent =
  | { type: "text"; text: string }
  /** All calls of the reply, once, before `finish`. */
  | { type: "tool_calls"; calls: (ToolCall | MalformedToolCall)[] }
  | { type: "finish"; reason: FinishReason }
  /** Terminal: the reply is not complete. */
  | { type: "failure"; failure: Failure };

/** Events come in this order: text, tool calls, then one `finish` or `failure`, after which a decoder is silent. */
export interface Decoder {
  push(bytes: Uint8Array): ModelEvent[];
  /** The stream ended: gives exactly one `finish` or `failure` if none was given before. */
  end(): ModelEvent[];
  /** At any time, whether or not the reply comes to its end. */
  told(): Told;
}

/** What is known so far of what a reply takes. */
export interface Told {
  /** The provider's figures, the last that it sent; some send them with every chunk. */
  usage: Usage | undefined;
  /** Deltas that came since those figures, each of a token at least. */
  deltas: number;
  /** A finish reason was sent: nothing more is made. */
  isFinished: boolean;
}

export interface DecoderOptions {
  /** Ids for tool calls that came without one. */
  newCallId: () => string;
}

const TRUNCATED: Failure = { code: "upstream_truncated", message: "The model's answer was cut off." };
const NOT_OURS: Failure = { code: "upstream_error", message: "The model provider sent an unreadable answer." };
const REPORTED: Failure = { code: "upstream_error", message: "The model provider reported an error." };

export function createDecoder(dialect: Dialect, options: DecoderOptions): Decoder {
  return DECODERS[dialect](options);
}

const DECODERS: Record<Dialect, (options: DecoderOptions) => Decoder> = { "openai-chat": createOpenAiChatDecoder };

/** Chat Completions over SSE. The finish is held back until [DONE] or the end: usage follows it on the wire. */
function createOpenAiChatDecoder({ newCallId }: DecoderOptions): Decoder {
  const lines = createDataLineReader();
  const reply = new Reply();
  let last: ModelEvent[] = [];
  let closed = false;

  const close = (...events: ModelEvent[]): void => {
    closed = true;
    last = events;
  };
  const take = (payload: string): boolean => {
    if (payload.startsWith("[DONE]")) close(...reply.conclude(newCallId));
    else {
      const failure = reply.read(payload);
      if (failure !== undefined) close({ type: "failure", failure });
    }
    return !closed;
  };
  /** Text that came in one push is one event. */
  const drain = (): ModelEvent[] => {
    const text = reply.takeText();
    return text === "" ? [...last] : [{ type: "text", text }, ...last];
  };

  return {
    push(bytes) {
      if (closed) return [];
      if (!lines.push(bytes, take)) close({ type: "failure", failure: NOT_OURS });
      return drain();
    },
    end() {
      if (closed) return [];
      if (!lines.end(take)) close({ type: "failure", failure: NOT_OURS });
      if (!closed) close(...reply.conclude(newCallId));
      return drain();
    },
    told: () => reply.told(),
  };
}

/** What the frames said so far. */
class Reply {
  readonly #calls = createToolCallDeltas();
  #text = "";
  #usage: Usage | undefined;
  #deltas = 0;
  #finish: FinishReason | "unknown" | undefined;

  takeText(): string {
    const text = this.#text;
    this.#text = "";
    return text;
  }

  /** Gives a failure for a frame that ends the reply. */
  read(payload: string): Failure | undefined {
    const frame = parseFrame(payload);
    if (frame === undefined) return NOT_OURS;
    if (frame["error"] !== undefined && frame["error"] !== null) return REPORTED;
    const choices = frame["choices"];
    if (choices !== undefined && choices !== null) {
      if (!Array.isArray(choices)) return NOT_OURS;
      if (choices.length > 0 && !this.#readChoice(choices[0])) return NOT_OURS;
    }
    const usage = readUsage(frame["usage"]);
    if (usage === undefined) return undefined;
    this.#usage = usage;
    this.#deltas = 0;
    return undefined;
  }

  told(): Told {
    return { usage: this.#usage, deltas: this.#deltas, isFinished: this.#finish !== undefined };
  }

  conclude(newCallId: () => string): ModelEvent[] {
    if (this.#finish === undefined || this.#finish === "unknown") return [{ type: "failure", failure: TRUNCATED }];
    const reason = settleFinish(this.#finish, this.#calls.size);
    if (this.#calls.size === 0) return [{ type: "finish", reason }];
    return [
      { type: "tool_calls", calls: this.#calls.parse(newCallId) },
      { type: "finish", reason },
    ];
  }

  #readChoice(choice: unknown): boolean {
    if (!isRecord(choice)) return false;
    const reason = choice["finish_reason"];
    if (reason !== undefined && reason !== null) this.#finish ??= readFinishReason(reason) ?? "unknown";
    const delta = choice["delta"];
    if (!isRecord(delta)) return delta === undefined || delta === null;
    const content = delta["content"];
    if (typeof content === "string") this.#text += content;
    else if (content !== undefined && content !== null) return false;
    const parts = delta["tool_calls"];
    // Thoughts are not shown, and cost the same.
    if (content || parts || delta["reasoning_content"]) this.#deltas += 1;
    if (parts === undefined || parts === null) return true;
    return Array.isArray(parts) && parts.every(this.#calls.add);
  }
}

/** Undefined for a reason that does not complete an answer, as "abort". */
function readFinishReason(reason: unknown): FinishReason | undefined {
  return FinishReason.options.find((known) => known === reason);
}

/** Tool calls present beat the reason given; a reason that promises calls which are not there is a plain stop. */
function settleFinish(reason: FinishReason, calls: number): FinishReason {
  if (calls > 0) return "tool_calls";
  return reason === "tool_calls" ? "stop" : reason;
}

/** Undefined for figures that are missing or no counts; what is cached is left out then, or where it is more than the prompt. */
function readUsage(value: unknown): Usage | undefined {
  if (!isRecord(value)) return undefined;
  const prompt = value["prompt_tokens"];
  const completion = value["completion_tokens"] ?? 0;
  if (!isCount(prompt) || !isCount(completion)) return undefined;
  const cached = readCached(value["prompt_tokens_details"]);
  return {
    ...{ prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion },
    ...(cached !== undefined && cached <= prompt && { cached_tokens: cached }),
  };
}

function readCached(details: unknown): number | undefined {
  const cached = isRecord(details) ? details["cached_tokens"] : undefined;
  return isCount(cached) ? cached : undefined;
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function parseFrame(payload: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(payload);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
