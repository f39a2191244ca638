/**
 * A turn's numbered events as those of a response. State: what has been told so far. The same log gives the same events with the same
 * numbers, however it is cut into pieces, so a stream that broke goes on where it broke: the log is told from its beginning, and
 * what the client has is left out.
 */
import type { FinishReason, Usage } from "../../../contracts/chat.ts";
import type { NumberedEvent } from "../../../contracts/events.ts";
import { madeAtMs } from "../../../contracts/ids.ts";
import {
  type ResponseObject,
  type ResponseOutput,
  type ToldRequest,
  toResponseId,
} from "../../../contracts/openai-responses.ts";
import type { TurnWriter } from "./turn-stream.ts";

interface ResponseEvent extends Record<string, unknown> {
  type: string;
  sequence_number: number;
}

export interface ResponseReader {
  take(event: NumberedEvent): ResponseEvent[];
  /** As far as it is told; undefined before its first event. */
  readonly response: ResponseObject | undefined;
  /** Whether its end is told. */
  readonly ended: boolean;
}

/** Frames of the events after a number. The end is always told: of a turn that was cut a client may have seen more than was kept. */
export function responseFrames(told: ToldRequest, startingAfter = -1): TurnWriter {
  const reader = createResponseReader(told);
  let last = startingAfter;
  return {
    events(events) {
      const all = events.flatMap((event) => reader.take(event));
      const isEnd = (at: number): boolean => reader.ended && at === all.length - 1;
      const fresh = all.filter((event, at) => event.sequence_number > startingAfter || isEnd(at));
      last = fresh.at(-1)?.sequence_number ?? last;
      return fresh.map(frame).join("");
    },
    cut: () => {
      const message = "the response's stream broke off: go on with starting_after";
      const error = { code: "interrupted", message, param: null };
      return frame({ type: "error", ...error, error, sequence_number: last });
    },
  };
}

function frame(event: ResponseEvent): string {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}

type Told = Omit<ResponseEvent, "sequence_number"> & { type: string };
type MessageOutput = ResponseOutput & { type: "message" };

/** A message that is being told: its pieces by the numbers of their events. */
interface OpenMessage {
  item: MessageOutput;
  index: number;
  pieces: { id: number; text: string }[];
}

export function createResponseReader(told: ToldRequest): ResponseReader {
  return new Reader(told);
}

class Reader implements ResponseReader {
  response: ResponseObject | undefined;
  ended = false;
  #messageId = "";
  #open: OpenMessage | undefined;
  #told = 0;
  readonly #request: ToldRequest;

  constructor(request: ToldRequest) {
    this.#request = request;
  }

  take(event: NumberedEvent): ResponseEvent[] {
    return this.#translate(event).map((told) => {
      const numbered = { ...told, sequence_number: this.#told };
      this.#told += 1;
      return numbered;
    });
  }

  #translate(event: NumberedEvent): Told[] {
    if (event.event === "meta") return this.#begin(event.data);
    const { response } = this;
    if (response === undefined) return [];
    switch (event.event) {
      case "delta":
        return this.#addText(response, event.id, event.data.content);
      case "tool_call":
        return [...this.#closeMessage(), ...this.#addCall(response, event.data)];
      case "rewind":
        return this.#rewind(response, event.data.after);
      case "usage":
        response.usage = toUsage(event.data);
        return [];
      case "done":
        return this.#end(response, endOf(event.data.finish_reason));
      case "error": {
        const { code, message } = event.data;
        return this.#end(response, { status: code === "cancelled" ? "cancelled" : "failed", error: { code, message } });
      }
      default:
        return [];
    }
  }

  #begin({ turn_id, message_id, model }: Extract<NumberedEvent, { event: "meta" }>["data"]): Told[] {
    this.#messageId = message_id.replaceAll("-", "");
    this.response = {
      ...{ id: toResponseId(turn_id), object: "response", status: "in_progress", model, output: [], usage: null },
      ...{ created_at: Math.floor(madeAtMs(turn_id) / 1_000), error: null, incomplete_details: null },
      ...this.#request,
    };
    const response = { ...this.response, output: [] };
    return [
      { type: "response.created", response },
      { type: "response.in_progress", response },
    ];
  }

  #addText(response: ResponseObject, id: number, text: string): Told[] {
    const isNew = this.#open === undefined;
    const open = (this.#open ??= this.#openMessage(response));
    open.pieces.push({ id, text });
    const { item, index: output_index } = open;
    const place = { item_id: item.id, output_index, content_index: 0 };
    return [
      ...(isNew
        ? [
            { type: "response.output_item.added", output_index, item: { ...item, content: [] } },
            { type: "response.content_part.added", ...place, part: toPart("") },
          ]
        : []),
      { type: "response.output_text.delta", ...place, delta: text, logprobs: [] },
    ];
  }

  #openMessage({ output }: ResponseObject): OpenMessage {
    const index = output.length;
    const id = `msg_${this.#messageId}${index === 0 ? "" : `_${index}`}`;
    const item: MessageOutput = { type: "message", id, role: "assistant", status: "in_progress", content: [] };
    output.push(item);
    return { item, index, pieces: [] };
  }

  #closeMessage(): Told[] {
    const open = this.#open;
    if (open === undefined) return [];
    this.#open = undefined;
    const { item, index: output_index, pieces } = open;
    const text = pieces.map((piece) => piece.text).join("");
    const part = toPart(text);
    item.status = "completed";
    item.content = [part];
    const place = { item_id: item.id, output_index, content_index: 0 };
    return [
      { type: "response.output_text.done", ...place, text, logprobs: [] },
      { type: "response.content_part.done", ...place, part },
      { type: "response.output_item.done", output_index, item: { ...item } },
    ];
  }

  /** What is void stays as an item without content; what still counts of it is told anew. Such a protocol has no other way back. */
  #rewind(response: ResponseObject, after: number): Told[] {
    const { pieces } = this.#open ?? { pieces: [] };
    if (this.#open === undefined || pieces.every(({ id }) => id <= after)) return [];
    const { item, index: output_index } = this.#open;
    item.status = "incomplete";
    this.#open = undefined;
    const kept = pieces.filter(({ id }) => id <= after);
    return [
      { type: "response.output_item.done", output_index, item: { ...item } },
      ...kept.flatMap(({ id, text }) => this.#addText(response, id, text)),
    ];
  }

  #addCall({ output }: ResponseObject, call: Extract<NumberedEvent, { event: "tool_call" }>["data"]): Told[] {
    const { id: call_id, name } = call;
    const output_index = output.length;
    const id = `fc_${this.#messageId}_${output_index}`;
    const args = JSON.stringify(call.arguments);
    const item = { type: "function_call", id, call_id, name, arguments: args, status: "completed" } as const;
    output.push(item);
    const place = { item_id: id, output_index };
    return [
      { type: "response.output_item.added", output_index, item: { ...item, arguments: "", status: "in_progress" } },
      { type: "response.function_call_arguments.delta", ...place, delta: args },
      { type: "response.function_call_arguments.done", ...place, name, arguments: args },
      { type: "response.output_item.done", output_index, item },
    ];
  }

  #end(response: ResponseObject, end: Partial<ResponseObject>): Told[] {
    const closing = this.#closeMessage();
    Object.assign(response, end);
    this.ended = true;
    const { status } = response;
    return [...closing, { type: `response.${status === "cancelled" ? "failed" : status}`, response }];
  }
}

function endOf(reason: FinishReason): Partial<ResponseObject> {
  if (reason === "length") return { status: "incomplete", incomplete_details: { reason: "max_output_tokens" } };
  if (reason === "content_filter") return { status: "incomplete", incomplete_details: { reason } };
  return { status: "completed" };
}

function toPart(text: string) {
  return { type: "output_text" as const, text, annotations: [], logprobs: [] };
}

function toUsage({
  prompt_tokens,
  cached_tokens = 0,
  completion_tokens,
  total_tokens,
}: Usage): ResponseObject["usage"] {
  return {
    ...{ input_tokens: prompt_tokens, output_tokens: completion_tokens, total_tokens },
    ...{ input_tokens_details: { cached_tokens }, output_tokens_details: { reasoning_tokens: 0 } },
  };
}
