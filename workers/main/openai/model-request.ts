/**
 * A Chat Completions request in our own terms: what is asked of the registry, and then of the model. Pure. No prompt of ours is added: the
 * client has written its own.
 */
import type { ChatInput, ChatRequest } from "../../../contracts/chat.ts";
import type { ModelMessage, ModelRequest, OfferedTool } from "../../../contracts/llm.ts";
import type { ChatCompletionRequest, OpenAiMessage } from "../../../contracts/openai-chat.ts";
import { type SaidMessage, textOfParts } from "../../../contracts/parts.ts";
import type { ResolvedChat } from "../../../contracts/session.ts";

/** What decides which model it is, and whether it can do what is needed. */
export function toResolve(asked: ChatCompletionRequest): ChatRequest {
  const { model, temperature, max_completion_tokens: newer, max_tokens: older, messages, tools } = asked;
  const { response_format: format } = asked;
  const maxTokens = newer ?? older ?? undefined;
  const said = messages.map(({ content }) => textOfParts(content ?? "")).join("\n");
  return {
    ...{ model, messages: [{ role: "user", content: said }] },
    ...(typeof temperature === "number" && { temperature }),
    ...(maxTokens !== undefined && { max_tokens: maxTokens }),
    tools: tools?.length ? tools.map((tool) => tool.function.name) : "none",
    ...(format?.type === "json_schema" && {
      response_format: { type: format.type, json_schema: { name: format.json_schema.name, schema: {} } },
    }),
  };
}

/** Where attachments can be: at the places that the messages have in the request. */
export function inputOf({ messages }: ChatCompletionRequest): ChatInput {
  return {
    messages: messages.map(({ role, content }) =>
      role === "user" ? { role, content } : { role: "assistant", content: "" },
    ),
  };
}

/** `said`: the messages with what is attached to them, where something is. */
export function toModelRequest(
  asked: ChatCompletionRequest,
  { model, onlyType, temperature, maxTokens }: Omit<ResolvedChat, "request">,
  said?: SaidMessage[],
): ModelRequest {
  const { top_p: topP, presence_penalty: presence, frequency_penalty: frequency, seed, stop } = asked;
  const { response_format: format } = asked;
  return {
    model,
    ...(onlyType && { modelType: onlyType }),
    messages: asked.messages.map((message, at) => toMessage(message, said?.[at])),
    ...toolsOf(asked),
    ...(temperature !== undefined && { temperature }),
    ...(maxTokens !== undefined && { maxTokens }),
    ...(typeof topP === "number" && { topP }),
    // As good as none, and some servers know none.
    ...(presence && { presencePenalty: presence }),
    ...(frequency && { frequencyPenalty: frequency }),
    ...(typeof seed === "number" && { seed }),
    ...(stop && { stop: [stop].flat() }),
    ...(format && format.type !== "text" && { responseFormat: format }),
  };
}

function toolsOf({ tools, tool_choice: choice, parallel_tool_calls: parallel }: ChatCompletionRequest) {
  if (!tools?.length) return {};
  const offered = tools.map(({ function: { name, description, parameters, strict } }): OfferedTool => {
    const inputSchema = parameters ?? { type: "object", properties: {} };
    return { name, inputSchema, ...(description && { description }), ...(typeof strict === "boolean" && { strict }) };
  });
  return {
    tools: offered,
    ...(choice && { toolChoice: typeof choice === "object" ? { name: choice.function.name } : choice }),
    ...(typeof parallel === "boolean" && { parallelToolCalls: parallel }),
  };
}

/** `developer` is a newer name of `system`, which not every server knows. */
function toMessage(message: OpenAiMessage, said?: SaidMessage): ModelMessage {
  if (message.role === "tool") return { role: "tool", toolCallId: message.tool_call_id, content: message.content };
  if (message.role === "user") {
    const { content = textOfParts(message.content), attachments } = said ?? {};
    return { role: "user", content, ...(attachments && { attachments }) };
  }
  if (message.role !== "assistant") return { role: "system", content: message.content };
  const calls = (message.tool_calls ?? []).map(({ id, function: called }) => {
    const { name, arguments: args } = called;
    return { id, name, arguments: args };
  });
  return { role: "assistant", content: message.content ?? "", ...(calls.length > 0 && { toolCalls: calls }) };
}
