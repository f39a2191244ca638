/** The spans of a turn by the semantic conventions for generative AI: the turn, its model calls, its tool calls. Pure; no words in them. */
import type { TurnOutcome } from "./turn.ts";
import type { TurnRequest } from "./turn-request.ts";

export function turnSpan({ model, sessionId }: TurnRequest) {
  return {
    name: "invoke_agent basechat",
    attributes: {
      ...{ "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "basechat" },
      ...{ "gen_ai.conversation.id": sessionId, "gen_ai.request.model": model },
    },
  };
}

/** What is known of a turn at its end. */
export function turnAttributes(outcome: TurnOutcome) {
  const { model, provider, usage, cache } = outcome;
  return {
    ...{ "gen_ai.response.model": model, "gen_ai.provider.name": provider, "basechat.cache": cache },
    "gen_ai.usage.input_tokens": usage.prompt_tokens,
    "gen_ai.usage.output_tokens": usage.completion_tokens,
    ...(!outcome.ok && { "error.type": outcome.failure.code }),
  };
}

export function callSpan({ model, modelType, temperature, maxTokens }: TurnRequest) {
  return {
    name: `chat ${model}`,
    attributes: {
      ...{ "gen_ai.operation.name": "chat", "gen_ai.provider.name": modelType, "gen_ai.request.model": model },
      ...{ "gen_ai.request.temperature": temperature, "gen_ai.request.max_tokens": maxTokens },
    },
  };
}

export function toolSpan({ id, name }: { id: string; name: string }) {
  return {
    name: `execute_tool ${name}`,
    attributes: { "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name, "gen_ai.tool.call.id": id },
  };
}
