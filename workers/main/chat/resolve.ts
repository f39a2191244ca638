/** What a chat request leaves out: filled in from the user's preferences, then from the deployment's defaults. Pure. */
import type { ChatRequest, ModelType } from "../../../contracts/chat.ts";
import type { ResolvedChat } from "../../../contracts/session.ts";
import type { Preferences } from "../../../contracts/users.ts";

export interface ChatDefaults {
  model: string;
  modelType: ModelType;
  temperature: number | undefined;
  maxTokens: number | undefined;
}

export function resolveChat(request: ChatRequest, preferences: Preferences, defaults: ChatDefaults): ResolvedChat {
  return {
    request,
    model: request.model ?? preferences.default_model ?? defaults.model,
    modelType: request.model_type ?? defaults.modelType,
    temperature: request.temperature ?? preferences.default_temperature ?? defaults.temperature,
    maxTokens: request.max_tokens ?? preferences.max_tokens ?? defaults.maxTokens,
    disabledTools: preferences.disabled_tools,
  };
}
