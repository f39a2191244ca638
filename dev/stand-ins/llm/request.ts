/**
 * The part of a Chat Completions request that the stand-in reads. Pure.
 * Refuses, as OpenAI does, a body without messages, tool messages that answer no call, or leave one unanswered, and files that are no PDF;
 * or any file, as vLLM does.
 */
import * as z from "zod";
import { describePart } from "./attachments.ts";

const Part = z.discriminatedUnion("type", [
  z.looseObject({ type: z.literal("text"), text: z.string() }),
  z.looseObject({ type: z.literal("image_url"), image_url: z.looseObject({ url: z.string() }) }),
  z.looseObject({
    type: z.literal("input_audio"),
    input_audio: z.looseObject({ data: z.string(), format: z.enum(["wav", "mp3"]) }),
  }),
  z.looseObject({
    type: z.literal("file"),
    file: z.looseObject({ filename: z.string(), file_data: z.string().startsWith("data:") }),
  }),
]);
const Text = z.union([z.string(), z.null(), z.array(Part).min(1)]).optional();

const Message = z.looseObject({
  role: z.enum(["system", "developer", "user", "assistant", "tool"]),
  content: Text,
  tool_calls: z
    .array(z.looseObject({ id: z.string(), function: z.looseObject({ name: z.string(), arguments: z.string() }) }))
    .optional(),
  tool_call_id: z.string().optional(),
});
type Message = z.infer<typeof Message>;
export type AttachedPart = Exclude<z.infer<typeof Part>, { type: "text" }>;

const Tool = z.looseObject({
  function: z.looseObject({ name: z.string(), parameters: z.record(z.string(), z.unknown()).optional() }),
});
export type OfferedTool = z.infer<typeof Tool>["function"];

const Body = z.looseObject({
  model: z.string().min(1),
  messages: z.array(Message).min(1),
  tools: z.array(Tool).optional(),
  tool_choice: z.unknown().optional(),
  stream: z.boolean().nullish(),
  stream_options: z
    .looseObject({ include_usage: z.boolean().optional(), continuous_usage_stats: z.boolean().optional() })
    .nullish(),
  max_tokens: z.int().min(1).nullish(),
  max_completion_tokens: z.int().min(1).nullish(),
  response_format: z
    .looseObject({
      type: z.string(),
      json_schema: z.looseObject({ schema: z.record(z.string(), z.unknown()).optional() }).optional(),
    })
    .nullish(),
  prompt_cache_key: z.string().optional(),
  cache_salt: z.string().min(1).optional(),
});

export interface CompletionRequest {
  model: string;
  /** `parts`: what is attached, in words. */
  messages: { role: Message["role"]; text: string; parts: string[] }[];
  /** Empty when the request forbids tools. */
  tools: OfferedTool[];
  stream: boolean;
  /** "continuous": in every chunk, as vLLM can. */
  usage: "none" | "last" | "continuous";
  maxTokens: number;
  json: boolean;
  /** Of `response_format`, where there is one. */
  schema: Record<string, unknown> | undefined;
  cacheKey: string | undefined;
  cacheSalt: string | undefined;
  /** The body as it came, for `mirror` and for counting tokens. */
  body: { messages: unknown; tools: unknown };
}

export type FileRule = "pdf" | "none";

/** The request, or what is wrong with it. */
export function parseCompletionRequest(body: Buffer, files: FileRule): CompletionRequest | { problem: string } {
  const parsed = Body.safeParse(parseJson(body));
  if (!parsed.success) return { problem: z.prettifyError(parsed.error) };
  const { data } = parsed;
  const problem = toolProblem(data.messages) ?? fileProblem(data.messages, files);
  if (problem !== undefined) return { problem };
  return {
    model: data.model,
    messages: data.messages.map(({ role, content }) => ({ role, text: textOf(content), parts: partsOf(content) })),
    tools: data.tool_choice === "none" ? [] : (data.tools ?? []).map((tool) => tool.function),
    stream: data.stream === true,
    usage: toUsage(data.stream_options ?? {}),
    maxTokens: data.max_completion_tokens ?? data.max_tokens ?? Infinity,
    json: ["json_object", "json_schema"].includes(data.response_format?.type ?? ""),
    schema: data.response_format?.json_schema?.schema,
    cacheKey: data.prompt_cache_key,
    cacheSalt: data.cache_salt,
    body: { messages: data.messages, tools: data.tools },
  };
}

/** Asked for alone, vLLM's option does nothing. */
function toUsage({ include_usage, continuous_usage_stats }: NonNullable<z.infer<typeof Body>["stream_options"]>) {
  if (include_usage !== true) return "none";
  return continuous_usage_stats === true ? "continuous" : "last";
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    return undefined;
  }
}

function textOf(content: Message["content"]): string {
  if (typeof content === "string") return content;
  return (content ?? []).flatMap((part) => (part.type === "text" ? [part.text] : [])).join("\n");
}

function partsOf(content: Message["content"]): string[] {
  if (typeof content === "string") return [];
  return (content ?? []).flatMap((part) => (part.type === "text" ? [] : [describePart(part)]));
}

function fileProblem(messages: Message[], files: FileRule): string | undefined {
  const parts = messages.flatMap(({ content }) => (typeof content === "string" ? [] : (content ?? [])));
  const refused = parts.filter((part) => part.type === "file" && (files === "none" || !isPdf(part.file.file_data)));
  if (refused.length === 0) return undefined;
  return files === "none" ? "Unknown part type: file" : "Invalid file data: the MIME type is not supported.";
}

function isPdf(dataUrl: string): boolean {
  return dataUrl.startsWith("data:application/pdf;base64,");
}

/** Every call of an assistant must be answered by tool messages right after it, and no other tool message may exist. */
function toolProblem(messages: Message[]): string | undefined {
  const unanswered = new Set<string>();
  for (const [at, message] of messages.entries()) {
    if (message.role === "tool") {
      if (!unanswered.delete(message.tool_call_id ?? ""))
        return `messages[${at}]: no tool call before it has this tool_call_id`;
      continue;
    }
    if (unanswered.size > 0)
      return `messages[${at}]: tool calls before it were not answered: ${[...unanswered].join(", ")}`;
    for (const call of message.tool_calls ?? []) unanswered.add(call.id);
  }
  return unanswered.size > 0 ? "the last message leaves tool calls unanswered" : undefined;
}
