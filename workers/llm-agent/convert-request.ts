/**
 * A `ModelRequest` as OpenAI's Chat Completions body: always a stream. Pure. The same request gives the same bytes, and tools come sorted before
 * anything volatile, because providers cache exact prefixes.
 */
import { fromBase64 } from "../../contracts/base64.ts";
import type { ModelContext, ModelMessage, ModelRequest, OfferedTool } from "../../contracts/llm.ts";
import { isTextFile, type ModelAttachment } from "../../contracts/parts.ts";
import type { ToolCall } from "../../contracts/tools.ts";
import type { Endpoint } from "./provider.ts";

export interface Conversion {
  request: Omit<ModelRequest, "model">;
  context: Pick<ModelContext, "sessionId" | "cacheSalt">;
  endpoint: Pick<Endpoint, "quirks">;
  /** The provider's name for the model. */
  model: string;
}

export function toChatCompletion({ request, context, endpoint, model }: Conversion): Record<string, unknown> {
  const { tools = [], messages, temperature, maxTokens, responseFormat } = request;
  const { quirks } = endpoint;
  return {
    model,
    ...(tools.length > 0 && { tools: [...tools].sort(byName).map(toTool), ...howToCall(request) }),
    messages: messages.map(toMessage),
    ...(temperature !== undefined && { temperature }),
    ...(maxTokens !== undefined && { [quirks.max_tokens_field]: maxTokens }),
    ...sampling(request),
    ...(responseFormat !== undefined && { response_format: responseFormat }),
    ...cacheHint(quirks.cache_hint, context),
    stream: true,
    ...(quirks.stream_usage && { stream_options: usageOptions(quirks) }),
  };
}

function usageOptions({ continuous_usage }: Endpoint["quirks"]) {
  return { include_usage: true, ...(continuous_usage && { continuous_usage_stats: true }) };
}

/** OpenAI finds the machine that has a session's prefix by the key; vLLM shares a prefix only among requests of one salt. */
function cacheHint(hint: Endpoint["quirks"]["cache_hint"], { sessionId, cacheSalt }: Conversion["context"]) {
  if (hint === "prompt_cache_key") return sessionId === undefined ? {} : { prompt_cache_key: sessionId };
  return hint === "none" || cacheSalt === undefined ? {} : { cache_salt: cacheSalt };
}

function howToCall({ toolChoice, parallelToolCalls }: Pick<ModelRequest, "toolChoice" | "parallelToolCalls">) {
  const choice = typeof toolChoice === "object" ? { type: "function", function: toolChoice } : toolChoice;
  return {
    ...(choice !== undefined && { tool_choice: choice }),
    ...(parallelToolCalls !== undefined && { parallel_tool_calls: parallelToolCalls }),
  };
}

type Sampling = Pick<ModelRequest, "topP" | "presencePenalty" | "frequencyPenalty" | "stop" | "seed">;

function sampling({ topP, presencePenalty, frequencyPenalty, stop, seed }: Sampling) {
  return {
    ...(topP !== undefined && { top_p: topP }),
    ...(presencePenalty !== undefined && { presence_penalty: presencePenalty }),
    ...(frequencyPenalty !== undefined && { frequency_penalty: frequencyPenalty }),
    ...(stop !== undefined && { stop }),
    ...(seed !== undefined && { seed }),
  };
}

function byName(a: OfferedTool, b: OfferedTool): number {
  return a.name < b.name ? -1 : Number(a.name > b.name);
}

function toTool({ name, description, inputSchema, strict }: OfferedTool) {
  const called = { name, ...(description !== undefined && { description }), parameters: inputSchema };
  return { type: "function", function: { ...called, ...(strict !== undefined && { strict }) } };
}

function toMessage(message: ModelMessage): Record<string, unknown> {
  if (message.role === "tool") return { role: "tool", tool_call_id: message.toolCallId, content: message.content };
  if (message.role === "user" && message.attachments) return { role: "user", content: toParts(message) };
  if (message.role !== "assistant") return { role: message.role, content: message.content };
  const { content, toolCalls } = message;
  if (toolCalls === undefined || toolCalls.length === 0) return { role: "assistant", content };
  return { role: "assistant", content: content === "" ? null : content, tool_calls: toolCalls.map(toToolCall) };
}

/** Text and attachments in the order in which they stand; a line break where one is cut out is not said again. */
function toParts({ content, attachments = [] }: Extract<ModelMessage, { role: "user" }>): Record<string, unknown>[] {
  const parts: Record<string, unknown>[] = [];
  let from = 0;
  const sayUpTo = (end?: number): void => {
    const text = content.slice(from > 0 && content[from] === "\n" ? from + 1 : from, end);
    if (text !== "") parts.push({ type: "text", text });
  };
  for (const attachment of attachments) {
    if (attachment.at > from) sayUpTo(attachment.at);
    from = Math.max(from, attachment.at);
    parts.push(toPart(attachment));
  }
  sayUpTo();
  return parts;
}

function toPart(attachment: ModelAttachment): Record<string, unknown> {
  if (attachment.type === "image") {
    const url = "url" in attachment ? attachment.url : dataUrl(attachment);
    return { type: "image_url", image_url: { url, ...(attachment.detail && { detail: attachment.detail }) } };
  }
  if (attachment.type === "audio") {
    const format = attachment.mime_type === "audio/wav" ? "wav" : "mp3";
    return { type: "input_audio", input_audio: { data: attachment.data ?? "", format } };
  }
  const filename = attachment.filename ?? `file.${EXTENSIONS[attachment.mime_type] ?? "txt"}`;
  if (isTextFile(attachment)) return { type: "text", text: `${filename}:\n${textOf(attachment)}` };
  return { type: "file", file: { filename, file_data: dataUrl(attachment) } };
}

/** A provider wants a name for every file. */
const EXTENSIONS: Record<string, string> = { "application/pdf": "pdf", "text/markdown": "md", "text/csv": "csv" };

/** It was found to be UTF-8 when it was taken. */
function textOf({ data = "" }: { data?: string }): string {
  return new TextDecoder().decode(fromBase64(data));
}

function dataUrl({ mime_type: type, data = "" }: { mime_type: string; data?: string }): string {
  return `data:${type};base64,${data}`;
}

/** Arguments keep the order in which the model wrote them: its own output is part of the prefix. */
function toToolCall(call: ToolCall) {
  return { id: call.id, type: "function", function: { name: call.name, arguments: JSON.stringify(call.arguments) } };
}
