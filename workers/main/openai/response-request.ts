/**
 * A request of OpenAI's Responses as the turn that it starts. Pure. Tools of ours are not offered to it: its client brings its own. Its clients
 * go on from one response several times at once: a session answers them one after the other.
 */
import type { ChatRequest } from "../../../contracts/chat.ts";
import type { OfferedTool } from "../../../contracts/llm.ts";
import { type AskedResponse, type ResponsesRequest, toResponseId } from "../../../contracts/openai-responses.ts";
import type { Branch, CallOutput, ClientOptions } from "../../../contracts/session.ts";

export interface ResponseTurn {
  request: ChatRequest;
  branch: Branch;
  client: ClientOptions;
  asked: AskedResponse;
}

export function toResponseTurn(asked: ResponsesRequest): ResponseTurn {
  const { previous_response_id: turnId, store } = asked;
  const outputs = outputsOf(asked);
  return {
    request: {
      ...(outputs.length > 0 ? { prompt: "again" } : saidIn(asked)),
      ...optionsOf(asked),
      ...{ tools: "none", on_busy: "enqueue" },
      ...(store === false && { store }),
    },
    branch: turnId ? { kind: "after", turnId, outputs } : { kind: "end" },
    client: clientOf(asked),
    asked: keptOf(asked),
  };
}

function keptOf({ temperature, max_output_tokens: maxTokens, ...asked }: ResponsesRequest): AskedResponse {
  const { metadata, previous_response_id: previous, background, store, truncation } = asked;
  return {
    ...(metadata && { metadata }),
    ...(typeof temperature === "number" && { temperature }),
    ...(typeof maxTokens === "number" && { max_output_tokens: maxTokens }),
    ...(previous && { previous_response_id: toResponseId(previous) }),
    ...(background && { background }),
    ...(store === false && { store }),
    ...(truncation && { truncation }),
  };
}

function optionsOf({ model, temperature, max_output_tokens: maxTokens, text }: ResponsesRequest) {
  return {
    ...(model !== undefined && { model }),
    ...(typeof temperature === "number" && { temperature }),
    ...(typeof maxTokens === "number" && { max_tokens: maxTokens }),
    ...formatOf(text?.format),
  };
}

function formatOf(format: NonNullable<ResponsesRequest["text"]>["format"]): Pick<ChatRequest, "response_format"> {
  if (format === undefined) return {};
  if (format.type !== "json_schema") return { response_format: { type: format.type } };
  const { type, name, schema, description, strict } = format;
  const more = { ...(description !== undefined && { description }), ...(typeof strict === "boolean" && { strict }) };
  return { response_format: { type, json_schema: { name, schema, ...more } } };
}

/** One message, or the conversation that begins a session. */
function saidIn({ input }: ResponsesRequest): Pick<ChatRequest, "prompt" | "messages"> {
  if (typeof input === "string") return { prompt: input };
  const messages = input.flatMap((item) => ("role" in item ? [{ role: item.role, content: item.content }] : []));
  return { messages };
}

function outputsOf({ input }: ResponsesRequest): CallOutput[] {
  if (typeof input === "string") return [];
  return input.flatMap((item) => ("role" in item ? [] : [{ callId: item.call_id, content: item.output }]));
}

function clientOf({ instructions, tools, tool_choice: choice, parallel_tool_calls: parallel }: ResponsesRequest) {
  const offered = (tools ?? []).map(({ name, description, parameters, strict }): OfferedTool => {
    const inputSchema = parameters ?? { type: "object", properties: {} };
    return { name, inputSchema, ...(description && { description }), ...(typeof strict === "boolean" && { strict }) };
  });
  return {
    ...(instructions && { instructions }),
    ...(offered.length > 0 && {
      tools: offered,
      ...(choice && { toolChoice: typeof choice === "object" ? { name: choice.name } : choice }),
      ...(typeof parallel === "boolean" && { parallelToolCalls: parallel }),
    }),
  };
}
