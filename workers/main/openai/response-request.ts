/**
 * A request of OpenAI's Responses as the turn that it starts. Pure. Tools of ours are not offered to it: its client brings its own. Its clients
 * go on from one response several times at once: a session answers them one after the other.
 */
import type { ChatRequest } from "../../../contracts/chat.ts";
import type { OfferedTool } from "../../../contracts/llm.ts";
import { type AskedResponse, type ResponsesRequest, toResponseId } from "../../../contracts/openai-responses.ts";
import type { Prelude } from "../../../contracts/parts.ts";
import type { Branch, ClientOptions } from "../../../contracts/session.ts";
import { readInput } from "./response-input.ts";

export interface ResponseTurn {
  request: ChatRequest;
  branch: Branch;
  client: ClientOptions;
  asked: AskedResponse;
  /** What stands before each message; left out where nothing does. */
  before?: Prelude[][];
}

export function toResponseTurn(asked: ResponsesRequest): ResponseTurn {
  const { previous_response_id: turnId, store } = asked;
  const { messages, before, outputs, given, instructions } = readInput(asked.input);
  return {
    request: {
      ...(messages.length > 0 ? { messages } : { prompt: "again" }),
      ...optionsOf(asked),
      ...{ tools: "none", on_busy: "enqueue" },
      ...(store === false && { store }),
    },
    branch: turnId ? { kind: "after", turnId, outputs } : { kind: "end", ...(given.length > 0 && { given }) },
    client: clientOf(asked, instructions),
    asked: keptOf(asked),
    ...((messages.length === 0 || before.flat().length > 0) && { before }),
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

function clientOf(asked: ResponsesRequest, more: string[]): ClientOptions {
  const { tools, tool_choice: choice, parallel_tool_calls: parallel } = asked;
  const instructions = [asked.instructions ?? [], more].flat().join("\n\n");
  const offered = (tools ?? []).map(({ name, description, parameters, strict }): OfferedTool => {
    const inputSchema = parameters ?? { type: "object", properties: {} };
    return { name, inputSchema, ...(description && { description }), ...(typeof strict === "boolean" && { strict }) };
  });
  return {
    ...(instructions !== "" && { instructions }),
    ...(typeof asked.top_p === "number" && { topP: asked.top_p }),
    ...(offered.length > 0 && {
      tools: offered,
      ...(choice && { toolChoice: typeof choice === "object" ? { name: choice.name } : choice }),
      ...(typeof parallel === "boolean" && { parallelToolCalls: parallel }),
    }),
  };
}
