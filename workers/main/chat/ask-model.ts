/**
 * What a turn asks of a model: its prompt, its tools, and the stream that answers. No state. Refuses what the model service refuses, as errors.
 */
import { AppError, orThrow, type Result } from "../../../contracts/errors.ts";
import type { ModelMessage, ModelRequest, ModelStream, OfferedTool, WhenGone } from "../../../contracts/llm.ts";
import { roundMessages, type ToolRound } from "../../../contracts/rounds.ts";
import type { ToolDefinition } from "../../../contracts/tools.ts";
import { systemMessage } from "./prompt.ts";
import { hasAttachments } from "./reuse.ts";
import type { TurnRun } from "./turn.ts";
import type { TurnRequest } from "./turn-request.ts";

/** `more`: an answer that is to be mended, and that alone. */
export function modelRequest(request: TurnRequest, rounds: ToolRound[], more: ModelMessage[]): ModelRequest {
  const { model, onlyType, temperature, maxTokens, responseFormat, tools, client } = request;
  const { instructions: _, topP, ...ownTools } = client ?? {};
  return {
    model,
    ...(onlyType && { modelType: onlyType }),
    messages: [...promptOf(request, rounds), ...more],
    ...(temperature !== undefined && { temperature }),
    ...(maxTokens !== undefined && { maxTokens }),
    ...(topP !== undefined && { topP }),
    ...(responseFormat !== undefined && { responseFormat }),
    ...(tools !== undefined && tools.tools.length > 0 && more.length === 0 && { tools: tools.tools.map(offer) }),
    ...(more.length === 0 && ownTools),
  };
}

function offer({ name, description, inputSchema }: ToolDefinition): OfferedTool {
  return { name, description, inputSchema };
}

function promptOf(request: TurnRequest, rounds: ToolRound[]): ModelMessage[] {
  const instructions = request.client?.instructions;
  const told: ModelMessage[] = instructions === undefined ? [] : [{ role: "system", content: instructions }];
  return [systemMessage(), ...told, ...request.context, ...rounds.flatMap(roundMessages)];
}

export async function openStream(
  model: ModelRequest,
  { request, deps }: TurnRun,
  gone: WhenGone,
): Promise<ModelStream> {
  const { requestId, userId, sessionId, traceparent } = request;
  const cacheSalt = deps.cacheSalt(userId);
  const context = { requestId, userId, sessionId, traceparent, ...(cacheSalt !== undefined && { cacheSalt }) };
  const isPlain = !model.messages.some(hasAttachments);
  const shown = isPlain ? model : { ...model, messages: await deps.showAttachments(model.messages, request) };
  const opened: Result<ModelStream> = await deps.llm.stream(shown, context, gone).catch((cause: unknown) => {
    throw new AppError("upstream_error", "the model service did not answer", { cause });
  });
  return orThrow(opened);
}
