/**
 * A request of OpenAI's Chat Completions and its reply, as the API takes and gives them. Pure. What a client may send and we do not need is
 * read and passed over; what would change the answer without our knowing it, a caller's host, key or header among them, is refused by name.
 */
import * as z from "zod";
import { AnswerSchema, FinishReason, ModelName, Usage } from "./chat.ts";
import { InputParts } from "./parts.ts";

const MAX_TEXT_CHARS = 400_000;
const MAX_MESSAGES = 2_000;
/** JSON of a client that is sent on: a deeper one is nobody's schema. */
const MAX_DEPTH = 64;

const Text = z
  .string()
  .max(MAX_TEXT_CHARS)
  .refine((text) => !text.includes("\u0000"), "must not contain NUL");
const TextPart = z.strictObject({ type: z.literal("text"), text: Text }).transform(({ text }) => text);
const TextParts = z
  .array(TextPart)
  .min(1)
  .max(100)
  .transform((texts) => texts.join("\n"));
/** Text, in one piece or several. */
const Content = z.union([Text, TextParts], { error: "must be text, or parts of the type text" });

export const FunctionName = z.string().regex(/^[\w.-]{1,64}$/);
export const CallId = z.string().min(1).max(256);

/** JSON of an object, read. */
export const Arguments = z
  .string()
  .max(256 * 1024)
  .transform((text, issues) => {
    const value = parseObject(text);
    if (value === undefined) issues.addIssue({ code: "custom", message: "must be a JSON object" });
    return value ?? {};
  });
const ToolCall = z.strictObject({
  id: CallId,
  type: z.literal("function"),
  function: z.strictObject({ name: FunctionName, arguments: Arguments, parsed_arguments: z.unknown().optional() }),
  index: z.int().optional(),
});

/** Who says it, where there are several. */
const Label = z.string().max(512).nullish();

const Message = z.discriminatedUnion("role", [
  z.strictObject({ role: z.enum(["system", "developer"]), content: Content, name: Label }),
  z.strictObject({
    role: z.literal("user"),
    content: z.union([Text, InputParts], { error: "must be text, or parts of the types that a chat takes" }),
    name: Label,
  }),
  z.strictObject({
    role: z.literal("assistant"),
    content: Content.nullish(),
    tool_calls: z.array(ToolCall).max(128).nullish(),
    name: Label,
    // As they come back in what a client has got from here, and what OpenAI's own client has read into it.
    parsed: z.unknown().optional(),
    refusal: z.null().optional(),
    annotations: z.array(z.unknown()).max(0).nullish(),
    audio: z.null().optional(),
    function_call: z.null().optional(),
  }),
  z.strictObject({ role: z.literal("tool"), tool_call_id: CallId, content: Content, name: Label }),
]);
export type OpenAiMessage = z.infer<typeof Message>;

const MAX_JSON_CHARS = 65_536;
const MAX_LABELS = 16;

/** An object of a client's own making, not too deep to be written again. */
const JsonObject = z
  .record(z.string(), z.unknown())
  .refine((value) => isShallow(value, MAX_DEPTH), `must not be deeper than ${MAX_DEPTH}`)
  .refine((value) => JSON.stringify(value).length <= MAX_JSON_CHARS, `must not be longer than ${MAX_JSON_CHARS}`);

export const FunctionTool = z.strictObject({
  name: FunctionName,
  description: Text.nullish(),
  parameters: JsonObject.nullish(),
  strict: z.boolean().nullish(),
});
const Tool = z.strictObject({ type: z.literal("function"), function: FunctionTool });

const ToolChoice = z.union([
  z.enum(["none", "auto", "required"]),
  z.strictObject({ type: z.literal("function"), function: z.strictObject({ name: FunctionName }) }),
]);

const ResponseFormat = z.discriminatedUnion("type", [
  z.strictObject({ type: z.enum(["text", "json_object"]) }),
  z.strictObject({
    type: z.literal("json_schema"),
    json_schema: z.strictObject({
      name: FunctionName,
      description: Text.optional(),
      schema: AnswerSchema.optional(),
      strict: z.boolean().nullish(),
    }),
  }),
]);

export const Metadata = z
  .record(z.string().max(64), z.string().max(512))
  .refine((labels) => Object.keys(labels).length <= MAX_LABELS, `must be ${MAX_LABELS} at most`);

/** Of no matter for an answer from here, in the values that say so. */
export const passedOver = {
  user: Label,
  safety_identifier: Label,
  prompt_cache_key: Label,
  metadata: Metadata.nullish(),
  service_tier: z.enum(["auto", "default", "flex", "scale", "priority"]).nullish(),
  prompt_cache_retention: z.enum(["in_memory", "in-memory", "24h"]).nullish(),
};

const Nothing = z
  .record(z.string(), z.unknown())
  .refine((value) => Object.keys(value).length === 0, "is not supported")
  .nullish();
const Penalty = z.number().min(-2).max(2).nullish();
/** A field of which its client says that it is not used. */
export const Unused = z.null("is not supported").optional();
const MaxTokens = z.int().min(1).max(128_000).nullish();

export const ChatCompletionRequest = z
  .strictObject({
    model: ModelName,
    messages: z.array(Message).min(1).max(MAX_MESSAGES),
    stream: z.boolean().nullish(),
    stream_options: z
      .strictObject({ include_usage: z.boolean().optional(), include_obfuscation: z.boolean().optional() })
      .nullish(),
    temperature: z.number().min(0).max(2).nullish(),
    top_p: z.number().min(0).max(1).nullish(),
    max_tokens: MaxTokens,
    max_completion_tokens: MaxTokens,
    stop: z.union([Text.min(1).max(256), z.array(Text.min(1).max(256)).min(1).max(4)]).nullish(),
    seed: z.int().nullish(),
    tools: z.array(Tool).max(128).nullish(),
    tool_choice: ToolChoice.nullish(),
    parallel_tool_calls: z.boolean().nullish(),
    response_format: ResponseFormat.nullish(),
    n: z.literal(1, "must be 1").nullish(),
    store: z.literal(false, "must be false: nothing is stored here").nullish(),
    logprobs: z.literal(false, "is not supported").nullish(),
    top_logprobs: z.literal(0, "is not supported").nullish(),
    logit_bias: Nothing,
    ...{ reasoning_effort: Unused, verbosity: Unused, prediction: Unused, audio: Unused, web_search_options: Unused },
    modalities: z.tuple([z.literal("text")], { error: "must be text alone" }).nullish(),
    presence_penalty: Penalty,
    frequency_penalty: Penalty,
    ...passedOver,
  })
  .superRefine(checkRequest)
  .meta({ id: "ChatCompletionRequest" });
export type ChatCompletionRequest = z.infer<typeof ChatCompletionRequest>;

interface Asked {
  messages: OpenAiMessage[];
  tools?: z.infer<typeof Tool>[] | null | undefined;
  tool_choice?: z.infer<typeof ToolChoice> | null | undefined;
}

function checkRequest({ messages, tools, tool_choice: choice }: Asked, issues: z.RefinementCtx): void {
  checkAnswers(messages, issues);
  const refuse = (path: string, message: string) => issues.addIssue({ code: "custom", path: [path], message });
  const names = (tools ?? []).map((tool) => tool.function.name);
  if (typeof choice === "object" && choice !== null && !names.includes(choice.function.name)) {
    refuse("tool_choice", "names no tool of this request");
  }
  if (choice === "required" && names.length === 0) refuse("tool_choice", "needs tools");
  if (new Set(names).size < names.length) refuse("tools", "must have names of their own");
}

/** Each call of an assistant has its answer right behind it, and there are no other answers. */
function checkAnswers(messages: OpenAiMessage[], issues: z.RefinementCtx): void {
  const unanswered = new Set<string>();
  for (const [at, message] of messages.entries()) {
    const isAnswer = message.role === "tool" && unanswered.delete(message.tool_call_id);
    if (message.role === "tool" ? !isAnswer : unanswered.size > 0) {
      const text = message.role === "tool" ? "answers no call" : "comes before every call has its answer";
      issues.addIssue({ code: "custom", path: ["messages", at], message: text });
      return;
    }
    if (message.role === "assistant") for (const { id } of message.tool_calls ?? []) unanswered.add(id);
  }
  if (unanswered.size > 0) {
    issues.addIssue({ code: "custom", path: ["messages"], message: "end before every call has its answer" });
  }
}

const Call = z.strictObject({
  id: z.string(),
  type: z.literal("function"),
  function: z.strictObject({ name: z.string(), arguments: z.string() }),
});

/** Details only where the provider tells them. */
const CompletionUsage = Usage.omit({ cached_tokens: true }).extend({
  prompt_tokens_details: z.strictObject({ cached_tokens: z.int().min(0) }).optional(),
});
export type CompletionUsage = z.infer<typeof CompletionUsage>;

export const ChatCompletion = z
  .strictObject({
    id: z.string(),
    object: z.literal("chat.completion"),
    created: z.int(),
    model: z.string(),
    choices: z.tuple([
      z.strictObject({
        index: z.literal(0),
        message: z.strictObject({
          role: z.literal("assistant"),
          content: z.string().nullable(),
          refusal: z.null(),
          tool_calls: z.array(Call).optional(),
        }),
        logprobs: z.null(),
        finish_reason: FinishReason,
      }),
    ]),
    usage: CompletionUsage,
  })
  .meta({ id: "ChatCompletion" });
export type ChatCompletion = z.infer<typeof ChatCompletion>;

export const OpenAiModel = z
  .strictObject({ id: z.string(), object: z.literal("model"), created: z.int(), owned_by: z.string() })
  .meta({ id: "OpenAiModel" });
export type OpenAiModel = z.infer<typeof OpenAiModel>;
export const OpenAiModels = z.strictObject({ object: z.literal("list"), data: z.array(OpenAiModel) });

function parseObject(text: string): Record<string, unknown> | undefined {
  if (text.trim() === "") return {};
  try {
    return JsonObject.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

function isShallow(value: unknown, depth: number): boolean {
  if (typeof value !== "object" || value === null) return true;
  return depth > 0 && Object.values(value).every((inner) => isShallow(inner, depth - 1));
}
