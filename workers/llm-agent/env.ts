/**
 * llm-agent's configuration, checked once per isolate and kept beside its `env`. A missing or malformed key is named, its value
 * never; a provider without its keys is not configured, the others work.
 */
import * as z from "zod";
import { ModelType } from "../../contracts/chat.ts";
import { LOG_MEANINGS, LogLevel } from "../../contracts/log.ts";
import { Models, NO_MODELS, OPEN_MODELS } from "../../contracts/models.ts";
import { jsonSetting } from "../../contracts/settings.ts";

/** An empty line of .dev.vars counts as missing. */
const setting = <T extends z.ZodType>(schema: T) =>
  z.preprocess((value) => (typeof value === "string" && value.trim() === "" ? undefined : value), schema);
const milliseconds = (fallback: number) => setting(z.coerce.number().int().min(1).default(fallback));
const BaseUrl = z.url({ protocol: /^https?$/ });

/** Each with its meaning, from which docs/configuration.md is written. */
export const Settings = z.object({
  LLM_TYPE: setting(ModelType.default("openai")).meta({
    description: "the provider of a model that has no routes: `openai` or `vllm`",
  }),
  MODELS: setting(jsonSetting(Models).optional())
    .transform((models) => models ?? OPEN_MODELS)
    .meta({
      default: "any model of the default provider",
      description: "the model registry, JSON; `main` reads the same value; malformed, no model is served",
    }),
  PROVIDER_KEYS: setting(jsonSetting(z.record(z.string(), z.string().min(1))).optional()).meta({
    secret: true,
    description: 'keys of the providers in `MODELS`, JSON: `{"gpus":"…"}`',
  }),
  OPENAI_API_KEY: setting(z.string().optional()).meta({
    secret: true,
    description: "without it the provider `openai` is not configured",
  }),
  OPENAI_BASE_URL: setting(BaseUrl.default("https://api.openai.com/v1")).meta({
    description:
      "any server that speaks the same protocol; one that refuses fields which only OpenAI knows belongs into `MODELS`",
  }),
  VLLM_BASE_URL: setting(BaseUrl.optional()).meta({ description: "without it the provider `vllm` is not configured" }),
  VLLM_API_KEY: setting(z.string().optional()).meta({
    secret: true,
    description: "left out: no Authorization header is sent",
  }),
  CF_ACCESS_CLIENT_ID: setting(z.string().optional()).meta({
    description: "service token of Cloudflare Access in front of vLLM: this and the secret, or neither",
  }),
  CF_ACCESS_CLIENT_SECRET: setting(z.string().optional()).meta({
    secret: true,
    description: "the secret of that token",
  }),
  LLM_HEADERS_TIMEOUT_MS: milliseconds(30_000).meta({ description: "until a provider's headers are here" }),
  LLM_FIRST_TOKEN_TIMEOUT_MS: milliseconds(30_000).meta({
    description: "from the headers to the first bytes of a stream",
  }),
  LLM_STALL_TIMEOUT_MS: milliseconds(20_000).meta({
    description:
      "longest silence inside a reply in one piece (a title, `/llm/generate`); inside a stream: the same setting of `main`",
  }),
  LLM_TOTAL_TIMEOUT_MS: milliseconds(600_000).meta({
    description: "a reply in one piece, whole, from one node",
  }),
  LLM_PROBE_TIMEOUT_MS: milliseconds(3_000).meta({ description: "a health check of a provider" }),
  LOG_LEVEL: setting(LogLevel.default("info")).meta({ description: LOG_MEANINGS.level }),
  LOG_SAMPLE: setting(z.coerce.number().min(0).max(1).default(1)).meta({ description: LOG_MEANINGS.sample }),
});

/** What a malformed setting stands for, where its default would open what it was to close. */
const CLOSED: Record<string, unknown> = { MODELS: NO_MODELS };

export type ConfigKey = keyof z.infer<typeof Settings>;

export interface Config extends z.infer<typeof Settings> {
  /** Keys whose values were refused; they read as missing. */
  malformed: ConfigKey[];
}

const checked = new WeakMap<object, Config>();

/** `onMalformed` is told once for each `env`. */
export function readConfig(env: object, onMalformed?: (keys: ConfigKey[]) => void): Config {
  const known = checked.get(env);
  if (known !== undefined) return known;
  const config = checkConfig(env);
  checked.set(env, config);
  if (config.malformed.length > 0) onMalformed?.(config.malformed);
  return config;
}

function checkConfig(env: object): Config {
  const given = new Map<string, unknown>(Object.entries(env));
  const values: Record<string, unknown> = {};
  const malformed: ConfigKey[] = [];
  for (const [key, schema] of Object.entries(Settings.shape)) {
    const parsed = schema.safeParse(given.get(key));
    if (!parsed.success) malformed.push(key as ConfigKey); // a key of Settings.shape
    values[key] = parsed.success ? parsed.data : (CLOSED[key] ?? schema.parse(undefined));
  }
  return { ...(values as z.infer<typeof Settings>), malformed }; // each member by its own schema
}
