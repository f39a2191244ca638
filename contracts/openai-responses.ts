/**
 * A request of OpenAI's Responses and what is told of a response. Pure. A response is a turn of a session under another name. What a client
 * may send and we do not need is passed over; what would change the answer without our knowing it is refused by name.
 */
import * as z from "zod";
import { AnswerSchema, ModelName } from "./chat.ts";
import { ERROR_STATUS, type ErrorCode } from "./errors.ts";
import { Detail, FileName, type InputPart, Source, textOfParts, VisibleText } from "./parts.ts";
import { Arguments, CallId, FunctionName, FunctionTool, Metadata, passedOver, Unused } from "./openai-chat.ts";

const MAX_OUTPUT_CHARS = 256 * 1024;

const RESPONSE = /^resp_([0-9a-f]{8})([0-9a-f]{4})([78][0-9a-f]{3})([89ab][0-9a-f]{3})([0-9a-f]{12})$/;

/** Gives the turn's id. */
export const ResponseId = z
  .string()
  .max(64)
  .regex(RESPONSE, "must be the id of a response")
  .transform((id) => id.replace(RESPONSE, "$1-$2-$3-$4-$5"));

export function toResponseId(turnId: string): string {
  return `resp_${turnId.replaceAll("-", "")}`;
}

const TextPart = z
  .strictObject({
    type: z.enum(["input_text", "output_text"]),
    text: VisibleText,
    // As they come back in what a client has got from here.
    annotations: z.array(z.unknown()).max(0).optional(),
    logprobs: z.array(z.unknown()).max(0).optional(),
    parsed: z.unknown().optional(),
  })
  .transform(({ text }): InputPart => ({ type: "text", text }));
const ImagePart = z
  .strictObject({ type: z.literal("input_image"), image_url: Source, detail: Detail.optional() })
  .transform(({ image_url: url, detail }): InputPart => ({
    type: "image_url",
    image_url: { url, ...(detail && { detail }) },
  }));
const FilePart = z
  .strictObject({ type: z.literal("input_file"), file_data: Source, filename: FileName.optional() })
  .transform(({ type: _type, ...file }): InputPart => ({ type: "file", file }));
const Content = z.union(
  [
    VisibleText,
    z
      .array(z.union([TextPart, ImagePart, FilePart]))
      .min(1)
      .max(100),
  ],
  { error: "must be text, or parts of the types input_text, output_text, input_image and input_file" },
);

const ItemStatus = z.enum(["in_progress", "completed", "incomplete"]).nullish();
const ItemId = z.string().max(256).nullish();

const MessageItem = z
  .strictObject({
    type: z.literal("message").optional(),
    role: z.enum(["user", "assistant", "system", "developer"]),
    content: Content,
    ...{ id: ItemId, status: ItemStatus },
  })
  .refine(({ role, content }) => role === "user" || isText(content), "only a user's message may have attachments");
/** As it comes back in what a client has got from here, and what OpenAI's own client has read into it. */
const CallItem = z.strictObject({
  ...{ type: z.literal("function_call"), call_id: CallId, name: FunctionName, arguments: Arguments },
  ...{ id: ItemId, status: ItemStatus, parsed_arguments: z.unknown().optional() },
});
const OutputItem = z.strictObject({
  type: z.literal("function_call_output"),
  call_id: CallId,
  output: z.union([z.string().max(MAX_OUTPUT_CHARS), z.array(TextPart).min(1).max(100).transform(textOfParts)], {
    error: "must be text, or parts of the type input_text",
  }),
  ...{ id: ItemId, status: ItemStatus },
});
const Item = z.union([OutputItem, CallItem, MessageItem], {
  error: "must be a message, a function_call or a function_call_output",
});
const Items = z.array(Item).min(1).max(1_000);
export type ResponseItem = z.infer<typeof Item>;

const Tool = FunctionTool.extend({ type: z.literal("function", "must be function: no others are run here") });
const ToolChoice = z.union([
  z.enum(["none", "auto", "required"]),
  z.strictObject({ type: z.literal("function"), name: FunctionName }),
]);
const Format = z.discriminatedUnion("type", [
  z.strictObject({ type: z.enum(["text", "json_object"]) }),
  z.strictObject({
    type: z.literal("json_schema"),
    name: z.string().regex(/^[\w-]{1,64}$/),
    description: z.string().max(1_000).optional(),
    schema: AnswerSchema,
    strict: z.boolean().nullish(),
  }),
]);

/** More of what no response of here has. */
const Include = z.enum(
  [
    ...(["reasoning.encrypted_content", "message.input_image.image_url", "file_search_call.results"] as const),
    ...(["web_search_call.results", "web_search_call.action.sources"] as const),
    ...(["code_interpreter_call.outputs", "computer_call_output.output.image_url"] as const),
  ],
  "is not supported",
);
const Truncation = z.enum(["auto", "disabled"]);

export const ResponsesRequest = z
  .strictObject({
    model: ModelName.optional(),
    input: z.union([VisibleText, Items], { error: "must be text, or messages, or outputs of function calls" }),
    instructions: VisibleText.nullish(),
    previous_response_id: ResponseId.nullish(),
    store: z.boolean().nullish(),
    background: z.boolean().nullish(),
    stream: z.boolean().nullish(),
    stream_options: z.strictObject({ include_obfuscation: z.boolean().optional() }).nullish(),
    temperature: z.number().min(0).max(2).nullish(),
    top_p: z.number().min(0).max(1).nullish(),
    max_output_tokens: z.int().min(1).max(128_000).nullish(),
    tools: z.array(Tool).max(128).nullish(),
    tool_choice: ToolChoice.nullish(),
    parallel_tool_calls: z.boolean().nullish(),
    text: z.strictObject({ format: Format.optional() }).nullish(),
    truncation: Truncation.nullish(),
    include: z.array(Include).max(16).nullish(),
    ...{ reasoning: Unused, conversation: Unused, prompt: Unused, max_tool_calls: Unused },
    ...passedOver,
  })
  .superRefine(({ input, previous_response_id: previous, store, tools, tool_choice: choice }, issues) => {
    const refuse = (path: string, message: string) => issues.addIssue({ code: "custom", path: [path], message });
    const problem = findInputProblem(input, previous ?? undefined);
    if (problem !== undefined) refuse("input", problem);
    if (previous && store === false) refuse("store", "is decided by the first response");
    if (choice && choice !== "auto" && choice !== "none" && !tools?.length) refuse("tool_choice", "needs tools");
  })
  .meta({ id: "ResponsesRequest" });
export type ResponsesRequest = z.infer<typeof ResponsesRequest>;

/** What is kept of a request with its answer, to be told again wherever that is read. */
export const AskedResponse = z
  .object({
    metadata: Metadata,
    temperature: z.number(),
    max_output_tokens: z.int(),
    previous_response_id: z.string(),
    background: z.boolean(),
    store: z.boolean(),
    truncation: Truncation,
  })
  .partial();
export type AskedResponse = z.infer<typeof AskedResponse>;

/** Each call has its output before the next message; outputs of the response before come first. Undefined: it can be read. */
function findInputProblem(input: string | ResponseItem[], previous: string | undefined): string | undefined {
  if (typeof input === "string") return undefined;
  const isFirst = (at: number): boolean => input.slice(0, at).every(({ type }) => type === "function_call_output");
  const open = new Set<string>();
  for (const [at, item] of input.entries()) {
    if (item.type === "function_call") {
      if (previous !== undefined) return "the response before has its calls: send their outputs alone";
      if (open.has(item.call_id)) return "a call has an id of its own";
      open.add(item.call_id);
    } else if (item.type === "function_call_output") {
      const isOfResponse = previous !== undefined && isFirst(at);
      if (!isOfResponse && !open.delete(item.call_id))
        return "an output needs its call before it, or the previous_response_id of the response that made it";
    } else if (open.size > 0) return "each call needs its output before the next message";
  }
  if (open.size > 0) return "each call needs its output";
  const isSaid = input.some((item) => "role" in item && (item.role === "user" || item.role === "assistant"));
  return isSaid || (previous !== undefined && input[0]?.type === "function_call_output")
    ? undefined
    : "needs a message";
}

function isText(content: string | InputPart[]): boolean {
  return typeof content === "string" || content.every(({ type }) => type === "text");
}

const Status = z.enum(["queued", "in_progress", "completed", "failed", "incomplete", "cancelled"]);

const OutputText = z.strictObject({
  ...{ type: z.literal("output_text"), text: z.string() },
  ...{ annotations: z.array(z.unknown()).max(0), logprobs: z.array(z.unknown()).max(0) },
});
const OutputMessage = z.strictObject({
  ...{ type: z.literal("message"), id: z.string(), role: z.literal("assistant"), status: Status },
  content: z.array(OutputText),
});
const FunctionCall = z.strictObject({
  ...{ type: z.literal("function_call"), id: z.string(), call_id: z.string(), name: z.string() },
  ...{ arguments: z.string(), status: Status },
});
const Output = z.discriminatedUnion("type", [OutputMessage, FunctionCall]);
export type ResponseOutput = z.infer<typeof Output>;

const Tokens = z.int().min(0);
const ToldTool = z.strictObject({
  ...{ type: z.literal("function"), name: FunctionName, description: z.string().nullable() },
  ...{ parameters: z.record(z.string(), z.unknown()), strict: z.boolean().nullable() },
});
/** Of the request. */
const ToldRequest = z.strictObject({
  instructions: z.string().nullable(),
  metadata: Metadata,
  temperature: z.number().nullable(),
  top_p: z.number().nullable(),
  max_output_tokens: z.int().nullable(),
  previous_response_id: z.string().nullable(),
  tools: z.array(ToldTool),
  tool_choice: ToolChoice,
  parallel_tool_calls: z.boolean(),
  text: z.strictObject({ format: Format }),
  background: z.boolean(),
  store: z.boolean(),
  truncation: Truncation,
});
export type ToldRequest = z.infer<typeof ToldRequest>;

export const ResponseObject = z
  .strictObject({
    id: z.string(),
    object: z.literal("response"),
    created_at: z.int(),
    status: Status,
    model: z.string(),
    output: z.array(Output),
    error: z
      .strictObject({ code: z.enum(Object.keys(ERROR_STATUS) as [ErrorCode, ...ErrorCode[]]), message: z.string() }) // keys of a const object
      .nullable(),
    incomplete_details: z.strictObject({ reason: z.enum(["max_output_tokens", "content_filter"]) }).nullable(),
    usage: z
      .strictObject({
        ...{ input_tokens: Tokens, output_tokens: Tokens, total_tokens: Tokens },
        input_tokens_details: z.strictObject({ cached_tokens: Tokens }),
        output_tokens_details: z.strictObject({ reasoning_tokens: Tokens }),
      })
      .nullable(),
    ...ToldRequest.shape,
  })
  .meta({ id: "Response" });
export type ResponseObject = z.infer<typeof ResponseObject>;

/** `deleted` false: it is gone for its user, and goes from a store that is away when that is back. */
export const DeletedResponse = z.strictObject({
  ...{ id: z.string(), object: z.literal("response"), deleted: z.boolean() },
});
export type DeletedResponse = z.infer<typeof DeletedResponse>;
