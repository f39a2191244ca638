/**
 * The provider factory: a provider is data, chosen by the request's model type or else by LLM_TYPE. Pure.
 * Refuses a provider whose keys are missing or malformed, naming the keys.
 */
import type { ModelType } from "../../contracts/chat.ts";
import type { Dialect } from "../../contracts/dialects.ts";
import { fail, ok, type Result } from "../../contracts/errors.ts";
import type { Config, ConfigKey } from "./env.ts";

export interface Provider {
  name: ModelType;
  baseUrl: string;
  /** Undefined: no Authorization header is sent. */
  apiKey: string | undefined;
  headers: Record<string, string>;
  dialect: Dialect;
  quirks: {
    /** OpenAI's newer models refuse `max_tokens`. */
    maxTokensField: "max_tokens" | "max_completion_tokens";
  };
}

export function chooseProvider(config: Config, modelType?: ModelType): Result<Provider> {
  if (modelType === undefined && config.malformed.includes("LLM_TYPE")) return notConfigured("LLM_TYPE");
  return FACTORIES[modelType ?? config.LLM_TYPE](config);
}

/** Those whose keys are all there. */
export function configuredProviders(config: Config): Provider[] {
  return Object.values(FACTORIES).flatMap((make) => {
    const made = make(config);
    return made.ok ? [made.value] : [];
  });
}

const FACTORIES: Record<ModelType, (config: Config) => Result<Provider>> = {
  openai(config) {
    if (config.OPENAI_API_KEY === undefined) return notConfigured("OPENAI_API_KEY");
    if (config.malformed.includes("OPENAI_BASE_URL")) return notConfigured("OPENAI_BASE_URL");
    return ok({
      name: "openai",
      baseUrl: config.OPENAI_BASE_URL,
      apiKey: config.OPENAI_API_KEY,
      headers: {},
      dialect: "openai-chat",
      quirks: { maxTokensField: "max_completion_tokens" },
    });
  },
  vllm(config) {
    const { VLLM_BASE_URL: baseUrl, CF_ACCESS_CLIENT_ID: id, CF_ACCESS_CLIENT_SECRET: secret } = config;
    if (baseUrl === undefined) return notConfigured("VLLM_BASE_URL");
    if (id === undefined && secret !== undefined) return notConfigured("CF_ACCESS_CLIENT_ID");
    if (id !== undefined && secret === undefined) return notConfigured("CF_ACCESS_CLIENT_SECRET");
    return ok({
      name: "vllm",
      baseUrl,
      apiKey: config.VLLM_API_KEY,
      headers:
        id !== undefined && secret !== undefined
          ? { "CF-Access-Client-Id": id, "CF-Access-Client-Secret": secret }
          : {},
      dialect: "openai-chat",
      quirks: { maxTokensField: "max_tokens" },
    });
  },
};

function notConfigured(key: ConfigKey): Result<never> {
  return fail("not_configured", `the model provider is not configured: ${key}`);
}
