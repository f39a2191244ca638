/**
 * What an answer depends on, as the parts of its cache key. Pure. Only what cannot change a meaning is made alike: Unicode's two
 * ways to write a letter and white space around a user's message, and the ids by which a tool's result names its call.
 */
import type { ModelMessage } from "../../../contracts/llm.ts";
import type { ModelEntry } from "../../../contracts/models.ts";
import { PROMPT_VERSION, systemMessage } from "./prompt.ts";
import type { TurnRequest } from "./turn-request.ts";

/** `routes`: who serves the model, by what name. */
export function keyParts(request: KeyedRequest, routes?: ModelEntry["routes"]): Record<string, unknown> {
  return {
    prompt_version: PROMPT_VERSION,
    system: systemMessage().content,
    model: request.model,
    routes,
    model_type: request.modelType,
    only_type: request.onlyType,
    temperature: request.temperature,
    max_tokens: request.maxTokens,
    response_format: request.responseFormat,
    tools: request.tools && { version: request.tools.version, names: request.tools.tools.map((tool) => tool.name) },
    ask_first: request.askFirst,
    client: request.client,
    ...conversation(normalize(request.context)),
  };
}

/** What of a request counts. */
export type KeyedRequest = Pick<
  TurnRequest,
  | "model"
  | "modelType"
  | "onlyType"
  | "temperature"
  | "maxTokens"
  | "responseFormat"
  | "tools"
  | "client"
  | "askFirst"
  | "context"
>;

/** Apart from each other, so that it can be told which of the two differs. */
function conversation(messages: ModelMessage[]) {
  return { history: messages.slice(0, -1), question: messages.at(-1) };
}

function normalize(messages: ModelMessage[]): ModelMessage[] {
  const numbers = new Map<string, string>();
  const numberOf = (id: string): string => {
    const number = numbers.get(id) ?? String(numbers.size + 1);
    numbers.set(id, number);
    return number;
  };
  return messages.map((message) => {
    // Attachments, which are known by their hashes, have places in the text as it is.
    if (message.role === "user" && message.attachments) return message;
    if (message.role === "user") return { ...message, content: message.content.normalize("NFC").trim() };
    if (message.role === "tool") return { ...message, toolCallId: numberOf(message.toolCallId) };
    if (message.role !== "assistant" || message.toolCalls === undefined) return message;
    return { ...message, toolCalls: message.toolCalls.map((call) => ({ ...call, id: numberOf(call.id) })) };
  });
}
