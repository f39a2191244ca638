/**
 * A turn's events in the AI SDK's UI message stream. State: what is open of the message so far. A reply of the model is a step: one that is
 * begun again resets it. Tools run here, so their parts come with results; what asks a person is a data part.
 */
import { usedOf } from "../../../contracts/chat.ts";
import { type ChatEvent, type NumberedEvent } from "../../../contracts/events.ts";
import type { TurnWriter } from "./turn-stream.ts";

type Chunk = { type: string } & Record<string, unknown>;

export const UI_STREAM_HEADERS = { "x-vercel-ai-ui-message-stream": "v1" };

const FINISH = { stop: "stop", length: "length", tool_calls: "tool-calls", content_filter: "content-filter" } as const;
/** They run on this side. */
const OURS = { dynamic: true, providerExecuted: true };

export function uiChunks(): TurnWriter {
  const message = new UiMessage();
  return {
    events: (events) =>
      events
        .flatMap((event) => message.take(event))
        .map(frame)
        .join("") + message.takeEnd(),
    cut: () => frame({ type: "error", errorText: "the answer's stream broke off: resume it" }),
  };
}

class UiMessage {
  #step: "none" | "open" | "settled" = "none";
  /** Numbers of the events that the open step shows. */
  #shown: number[] = [];
  #text: string | undefined;
  #metadata: Record<string, unknown> = {};
  #isOver = false;

  /** The frame after which nothing comes; once. */
  takeEnd(): string {
    return this.#isOver ? "data: [DONE]\n\n" : "";
  }

  take(event: NumberedEvent): Chunk[] {
    switch (event.event) {
      case "meta": {
        const { message_id: messageId, turn_id, session_id, model } = event.data;
        this.#metadata = { turn_id, session_id, model };
        return [{ type: "start", messageId, messageMetadata: this.#metadata }];
      }
      case "delta":
        return this.#addText(event.id, event.data.content);
      case "tool_call": {
        const { id: toolCallId, name: toolName, arguments: input } = event.data;
        const opening = [...this.#closeText(), ...this.#openStep(event.id)];
        return [...opening, { type: "tool-input-available", toolCallId, toolName, input, ...OURS }];
      }
      case "tool_result":
        return this.#addResult(event.data);
      case "approval_required":
        return [...this.#closeText(), { type: "data-approval", data: { ...this.#metadata, ...event.data } }];
      case "rewind":
        return this.#rewind(event.data.after);
      case "usage":
        this.#metadata = { ...this.#metadata, usage: usedOf(event.data) };
        return [];
      case "done":
      case "error":
        return this.#end(event);
      default:
        return [];
    }
  }

  #addText(id: number, delta: string): Chunk[] {
    const opening = this.#openStep(id);
    const isNew = this.#text === undefined;
    const text = (this.#text ??= `text-${id}`);
    return [...opening, ...(isNew ? [{ type: "text-start", id: text }] : []), { type: "text-delta", id: text, delta }];
  }

  #addResult({ id: toolCallId, ok, content }: Extract<ChatEvent, { event: "tool_result" }>["data"]): Chunk[] {
    this.#step = "settled";
    if (ok) return [{ type: "tool-output-available", toolCallId, output: content, ...OURS }];
    return [{ type: "tool-output-error", toolCallId, errorText: content, ...OURS }];
  }

  /** What comes after results is another reply. */
  #openStep(id: number): Chunk[] {
    const chunks = this.#step === "settled" ? this.#closeStep() : [];
    if (this.#step === "none") {
      chunks.push({ type: "start-step" });
      this.#shown = [];
    }
    this.#step = "open";
    this.#shown.push(id);
    return chunks;
  }

  #closeStep(): Chunk[] {
    const chunks = this.#closeText();
    if (this.#step !== "none") chunks.push({ type: "finish-step" });
    this.#step = "none";
    return chunks;
  }

  #closeText(): Chunk[] {
    const id = this.#text;
    this.#text = undefined;
    return id === undefined ? [] : [{ type: "text-end", id }];
  }

  #rewind(after: number): Chunk[] {
    if (this.#step !== "open" || !this.#shown.some((id) => id > after)) return [];
    this.#text = undefined;
    this.#shown = [];
    return [{ type: "reset-step" }];
  }

  #end(event: Extract<ChatEvent, { event: "done" | "error" }>): Chunk[] {
    this.#isOver = true;
    const closing = this.#closeStep();
    if (event.event === "done") {
      const finishReason = FINISH[event.data.finish_reason];
      return [...closing, { type: "finish", finishReason, messageMetadata: this.#metadata }];
    }
    const { code, message } = event.data;
    if (code === "cancelled") return [...closing, { type: "abort", reason: message }];
    return [...closing, { type: "error", errorText: message }];
  }
}

function frame(chunk: Chunk): string {
  return `data: ${JSON.stringify(chunk)}\n\n`;
}
