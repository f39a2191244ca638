/**
 * The chat request and its JSON reply, as the API shows them.
 * Pure. Unknown fields are refused; role "system" is not a client's to send.
 */
import * as z from "zod";
import { findSchemaProblem } from "./answer-schema.ts";
import { GivenSessionOrTurnId, Id, SessionOrTurnId } from "./params.ts";
import { InputParts, textOfParts, VisibleText } from "./parts.ts";

const MAX_MESSAGES = 1_000;

export const ModelType = z.enum(["openai", "vllm"]);
export type ModelType = z.infer<typeof ModelType>;

const InputMessage = z
  .strictObject({
    role: z.enum(["user", "assistant"]),
    content: z.union([VisibleText, InputParts]),
  })
  .meta({ id: "InputMessage" });

export const CacheControl = z
  .strictObject({
    mode: z.enum(["default", "no-cache", "no-store", "only-if-cached"]).default("default"),
    /** Narrows the scope: an entry that could be shared is kept for its user. */
    scope: z.enum(["user"]).optional(),
    ttl_seconds: z.int().min(1).max(86_400).optional(),
    /** An older entry is not used. */
    max_age_seconds: z.int().min(0).max(86_400).optional(),
  })
  .meta({ id: "CacheControl" });

/** A JSON Schema of bounded size, without references that lead back to themselves. */
export const AnswerSchema = z.record(z.string(), z.unknown()).superRefine((schema, issues) => {
  const problem = findSchemaProblem(schema);
  if (problem !== undefined) issues.addIssue({ code: "custom", message: problem });
});

export const ResponseFormat = z
  .discriminatedUnion("type", [
    z.strictObject({ type: z.literal("text") }),
    z.strictObject({ type: z.literal("json_object") }),
    z.strictObject({
      type: z.literal("json_schema"),
      json_schema: z.strictObject({
        name: z.string().regex(/^[\w-]{1,64}$/),
        description: z.string().max(1_000).optional(),
        schema: AnswerSchema,
        strict: z.boolean().optional(),
      }),
    }),
  ])
  .meta({ id: "ResponseFormat" });
export type ResponseFormat = z.infer<typeof ResponseFormat>;

export const ToolName = z.string().regex(/^[\w.-]{1,64}$/);
export const ModelName = z.string().regex(/^[\w./:-]{1,128}$/);

const ToolChoice = z.union([z.enum(["auto", "none"]), z.array(ToolName).min(1).max(64)]);

/** How an answer is to be made. */
export const answerOptions = {
  model: ModelName.optional(),
  model_type: ModelType.optional(),
  temperature: z.number().min(0).max(2).optional(),
  max_tokens: z.int().min(1).max(128_000).optional(),
  tools: ToolChoice.optional(),
  response_format: ResponseFormat.optional(),
  cache: CacheControl.optional(),
  on_busy: z.enum(["reject", "enqueue", "interrupt"]).optional(),
};

/** What is said: exactly one of them. */
export const inputFields = {
  prompt: VisibleText.optional(),
  parts: InputParts.optional(),
  messages: z.array(InputMessage).min(1).max(MAX_MESSAGES).optional(),
};

/** Where the object of a session that is made must be; left out: as the deployment says. */
export const Residency = z.literal("eu");

export const ChatRequest = z
  .strictObject({
    ...inputFields,
    session_id: GivenSessionOrTurnId.optional(),
    create_new_session: z.boolean().optional(),
    ...answerOptions,
    /** false: the turn stays out of the history and its object expires after an hour. */
    store: z.boolean().optional(),
    residency: Residency.optional(),
  })
  .superRefine((request, issues) => {
    checkInput(request, request.session_id, issues);
    if (request.session_id !== undefined && request.create_new_session === true) {
      issues.addIssue({ code: "custom", path: ["create_new_session"], message: "cannot be true beside session_id" });
    }
    if (request.session_id !== undefined && request.store !== undefined) {
      issues.addIssue({ code: "custom", path: ["store"], message: "is decided when a session is made" });
    }
    if (request.session_id !== undefined && request.residency !== undefined) {
      issues.addIssue({ code: "custom", path: ["residency"], message: "is decided when a session is made" });
    }
  })
  .meta({ id: "ChatRequest" });
export type ChatRequest = z.infer<typeof ChatRequest>;
export type ChatInput = Pick<ChatRequest, keyof typeof inputFields>;

export function checkInput(
  { prompt, parts, messages }: ChatInput,
  sessionId: string | undefined,
  issues: z.RefinementCtx,
): void {
  const given = [prompt, parts, messages].filter((input) => input !== undefined);
  if (given.length !== 1) {
    issues.addIssue({ code: "custom", message: "give exactly one of prompt, parts and messages" });
  }
  if (messages !== undefined) checkConversation(messages, sessionId, issues);
}

/** A conversation that starts with a user, alternates, and ends with a user; it can only start a session. */
function checkConversation(messages: { role: string }[], sessionId: string | undefined, issues: z.RefinementCtx): void {
  if (sessionId !== undefined) {
    issues.addIssue({ code: "custom", path: ["messages"], message: "a session keeps its own messages: send prompt" });
  }
  const misplaced = messages.findIndex((message, at) => message.role !== (at % 2 === 0 ? "user" : "assistant"));
  if (misplaced >= 0 || messages.length % 2 === 0) {
    issues.addIssue({
      code: "custom",
      path: ["messages", misplaced >= 0 ? misplaced : messages.length - 1, "role"],
      message: "roles must alternate, first and last from the user",
    });
  }
}

/** The text of the messages that a request brings: one, or the conversation that starts a session. What is attached is not in it. */
export function requestMessages(request: ChatInput): { role: "user" | "assistant"; content: string }[] {
  if (request.messages !== undefined) {
    return request.messages.map(({ role, content }) => ({ role, content: textOfParts(content) }));
  }
  return [{ role: "user", content: textOfParts(request.prompt ?? request.parts ?? "") }];
}

export const FinishReason = z.enum(["stop", "length", "tool_calls", "content_filter"]);
export type FinishReason = z.infer<typeof FinishReason>;

export const Usage = z
  .strictObject({
    prompt_tokens: z.int().min(0),
    completion_tokens: z.int().min(0),
    total_tokens: z.int().min(0),
    /** Of the prompt's: those that the provider had read before. Left out where it does not tell. */
    cached_tokens: z.int().min(0).optional(),
    /** True where the provider gave no figures and these are ours. */
    estimated: z.boolean().optional(),
  })
  .meta({ id: "Usage" });
export type Usage = z.infer<typeof Usage>;

/** What was used, and its price: null where the model has none, 0 of an answer from the cache. */
export const BilledUsage = Usage.extend({
  cost_usd: z.number().min(0).nullable().default(null),
}).meta({ id: "BilledUsage" });
export type BilledUsage = z.infer<typeof BilledUsage>;

export function usedOf({ cost_usd: _cost, ...usage }: BilledUsage): Usage {
  return usage;
}

export const CacheVerdict = z.enum(["hit", "miss", "bypass"]);
export type CacheVerdict = z.infer<typeof CacheVerdict>;

export const ChatReply = z
  .strictObject({
    response: z.string(),
    success: z.literal(true),
    timestamp: z.iso.datetime(),
    session_id: SessionOrTurnId,
    turn_id: SessionOrTurnId,
    message_id: z.uuidv7(),
    model: z.string(),
    provider: z.string(),
    usage: BilledUsage,
    cache: CacheVerdict,
    mcp_tools_used: z.array(z.string()),
    finish_reason: FinishReason,
  })
  .meta({ id: "ChatReply" });
export type ChatReply = z.infer<typeof ChatReply>;

/** A turn as its state route shows it. */
export const TurnView = z
  .strictObject({
    turn_id: SessionOrTurnId,
    session_id: SessionOrTurnId,
    message_id: z.uuidv7(),
    state: z.enum(["running", "waiting", "complete", "interrupted", "cancelled", "failed"]),
    /** The number of its newest event; 0 once the events are gone. */
    last_event_id: z.int().min(0),
    started_at: z.iso.datetime(),
    ended_at: z.iso.datetime().nullable(),
    /** What it asks a person, while it waits. */
    approval: z
      .strictObject({
        calls: z.array(
          z.strictObject({ id: z.string(), name: z.string(), arguments: z.record(z.string(), z.unknown()) }),
        ),
        expires_at: z.iso.datetime(),
      })
      .nullable(),
    response: z.string().nullable(),
    usage: BilledUsage.nullable(),
    finish_reason: FinishReason.nullable(),
    error: z.strictObject({ code: z.string(), message: z.string() }).nullable(),
  })
  .meta({ id: "TurnView" });
export type TurnView = z.infer<typeof TurnView>;

/** Options of a new answer to a question that was answered before. */
export const RegenerateRequest = z
  .strictObject({
    /** The answer to make again; left out: the newest one. */
    message_id: Id.optional(),
    stream: z.boolean().default(false),
    ...answerOptions,
  })
  .meta({ id: "RegenerateRequest" });

/** A question put anew: a branch beside the old one. */
export const EditRequest = z
  .strictObject({
    message_id: Id,
    prompt: VisibleText,
    stream: z.boolean().default(false),
    ...answerOptions,
  })
  .meta({ id: "EditRequest" });
