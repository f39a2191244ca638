/**
 * An answer in the forms of Chat Completions: one object, or chunks of a stream. Pure; a stream's writer keeps its usage until the end. A
 * stream that is cut has an error frame and no `[DONE]`, so that no client takes it for a whole answer.
 */
import type { Usage } from "../../../contracts/chat.ts";
import type { ChatCompletion, CompletionUsage } from "../../../contracts/openai-chat.ts";
import { toOpenAiError } from "../../../contracts/openai-errors.ts";
import type { ToolCall } from "../../../contracts/tools.ts";
import type { DirectAnswer, DirectTold, DirectWriter } from "../chat/direct-call.ts";

/** What every piece of an answer carries. */
export interface Heading {
  requestId: string;
  model: string;
  createdAtMs: number;
}

const DONE_FRAME = "data: [DONE]\n\n";

function dataFrame(data: unknown): string {
  return `data: ${JSON.stringify(data)}\n\n`;
}

export function toCompletion(heading: Heading, answer: DirectAnswer & { usage: Usage }): ChatCompletion {
  const { content, toolCalls, finishReason, usage } = answer;
  const message = {
    ...{ role: "assistant" as const, content: content === "" && toolCalls.length > 0 ? null : content, refusal: null },
    ...(toolCalls.length > 0 && { tool_calls: toolCalls.map(toCall) }),
  };
  const object = "chat.completion";
  return {
    ...head(heading),
    object,
    choices: [{ index: 0, message, logprobs: null, finish_reason: finishReason }],
    usage: toUsage(usage),
  };
}

/** Writes a stream's frames; with `includeUsage` its usage as the last chunk. */
export function completionChunks(heading: Heading, includeUsage: boolean): DirectWriter {
  const common = { ...head(heading), object: "chat.completion.chunk" };
  let usage: CompletionUsage | undefined;
  let hasBegun = false;
  const chunk = (delta: object, finishReason: string | null = null): string => {
    const choices = [{ index: 0, delta, logprobs: null, finish_reason: finishReason }];
    return dataFrame({ ...common, choices, ...(includeUsage && { usage: null }) });
  };
  const write = (told: DirectTold): string => {
    switch (told.event) {
      case "meta":
        if (hasBegun) return ""; // another route answers
        hasBegun = true;
        return chunk({ role: "assistant", content: "", refusal: null });
      case "delta":
        return chunk({ content: told.data.content });
      case "tool_calls":
        return chunk({ tool_calls: told.data.map((call, index) => ({ index, ...toCall(call) })) });
      case "usage":
        usage = toUsage(told.data);
        return "";
      case "rewind":
        return ""; // nothing here is held to a form
      case "done": {
        const last = includeUsage ? dataFrame({ ...common, choices: [], usage }) : "";
        return chunk({}, told.data.finish_reason) + last + DONE_FRAME;
      }
      case "error": {
        const { code, message, request_id: requestId } = told.data;
        return dataFrame(toOpenAiError({ code, message }, requestId));
      }
    }
  };
  return (told) => told.map(write).join("");
}

/** A whole answer as the events that it would have come in. */
export function toldOf({ content, toolCalls, finishReason, usage }: DirectAnswer & { usage: Usage }): DirectTold[] {
  return [
    { event: "meta", data: { model: "", provider: "" } },
    ...(content === "" ? [] : [{ event: "delta" as const, data: { content } }]),
    ...(toolCalls.length === 0 ? [] : [{ event: "tool_calls" as const, data: toolCalls }]),
    { event: "usage", data: usage },
    { event: "done", data: { finish_reason: finishReason } },
  ];
}

function head({ requestId, model, createdAtMs }: Heading) {
  return { id: `chatcmpl-${requestId}`, created: Math.floor(createdAtMs / 1_000), model };
}

function toUsage({ cached_tokens, ...usage }: Usage): CompletionUsage {
  return { ...usage, ...(cached_tokens !== undefined && { prompt_tokens_details: { cached_tokens } }) };
}

function toCall({ id, name, arguments: args }: ToolCall) {
  return { id, type: "function" as const, function: { name, arguments: JSON.stringify(args) } };
}
