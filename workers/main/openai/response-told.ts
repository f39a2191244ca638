/** What a response tells again of its request: the same when it is made and whenever it is read, as far as its turn still has it. Pure. */
import type { ResponseFormat } from "../../../contracts/chat.ts";
import type { ModelRequest } from "../../../contracts/llm.ts";
import type { ToldRequest } from "../../../contracts/openai-responses.ts";
import type { RequestOfResponse } from "../../../contracts/session.ts";

export function toldRequest({ asked = {}, client = {}, format }: RequestOfResponse): ToldRequest {
  const { metadata = {}, temperature = null, max_output_tokens = null, previous_response_id = null } = asked;
  const { background = false, store = true, truncation = "disabled" } = asked;
  const { instructions = null, tools = [], toolChoice, parallelToolCalls = true, topP: top_p = null } = client;
  return {
    ...{ instructions, metadata, temperature, top_p, max_output_tokens, previous_response_id },
    ...{ tools: tools.map(toTool), tool_choice: toChoice(toolChoice), parallel_tool_calls: parallelToolCalls },
    ...{ text: { format: toFormat(format) }, background, store, truncation },
  };
}

function toTool(tool: NonNullable<ModelRequest["tools"]>[number]): ToldRequest["tools"][number] {
  const { name, description = null, inputSchema: parameters, strict = null } = tool;
  return { type: "function", name, description, parameters, strict };
}

function toChoice(choice: ModelRequest["toolChoice"] = "auto"): ToldRequest["tool_choice"] {
  return typeof choice === "object" ? { type: "function", name: choice.name } : choice;
}

function toFormat(format: ResponseFormat = { type: "text" }): ToldRequest["text"]["format"] {
  if (format.type !== "json_schema") return { type: format.type };
  return { type: format.type, ...format.json_schema };
}
