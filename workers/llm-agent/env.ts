/**
 * llm-agent's configuration, checked once per isolate and kept beside its `env`. A missing or malformed key is named, its value
 * never; a provider without its keys is not configured, the others work.
 */
import * as z from "zod";
import { ModelType } from "../../contracts/chat.ts";
import { LogLevel } from "../../contracts/log.ts";
import { Models, NO_MODELS, OPEN_MODELS } from "../../contracts/models.ts";
import { jsonSetting } from "../../contracts/settings.ts";

/** An empty line of .dev.vars counts as missing. */
const setting = <T extends z.ZodType>(schema: T) =>
  z.preprocess((value) => (typeof value === "string" && value.trim() === "" ? undefined : value), schema);
const milliseconds = (fallback: number) => setting(z.coerce.number().int().min(1).default(fallback));
const BaseUrl = z.url({ protocol: /^https?$/ });

const Settings = z.object({
  LLM_TYPE: setting(ModelType.default("openai")),
  /** Which models there are, who serves them, what they can do and cost. main reads it too. */
  MODELS: setting(jsonSetting(Models).optional()).transform((models) => models ?? OPEN_MODELS),
  /** By provider. */
  PROVIDER_KEYS: setting(jsonSetting(z.record(z.string(), z.string().min(1))).optional()),
  OPENAI_API_KEY: setting(z.string().optional()),
  OPENAI_BASE_URL: setting(BaseUrl.default("https://api.openai.com/v1")),
  VLLM_BASE_URL: setting(BaseUrl.optional()),
  VLLM_API_KEY: setting(z.string().optional()),
  CF_ACCESS_CLIENT_ID: setting(z.string().optional()),
  CF_ACCESS_CLIENT_SECRET: setting(z.string().optional()),
  LLM_HEADERS_TIMEOUT_MS: milliseconds(30_000),
  LLM_FIRST_TOKEN_TIMEOUT_MS: milliseconds(30_000),
  /** A reply without a stream, whole: below the 120 s after which Cloudflare's proxy gives up on a silent origin. */
  LLM_TOTAL_TIMEOUT_MS: milliseconds(110_000),
  LLM_PROBE_TIMEOUT_MS: milliseconds(3_000),
  LOG_LEVEL: setting(LogLevel.default("info")),
  LOG_SAMPLE: setting(z.coerce.number().min(0).max(1).default(1)),
});

/** What a malformed setting stands for, where its default would open what it was to close. */
const CLOSED: Record<string, unknown> = { MODELS: NO_MODELS };

export type ConfigKey = keyof z.infer<typeof Settings>;

export interface Config extends z.infer<typeof Settings> {
  /** Keys whose values were refused; they read as missing. */
  malformed: ConfigKey[];
}

const checked = new WeakMap<object, Config>();

export function readConfig(env: object): Config {
  const known = checked.get(env);
  if (known !== undefined) return known;
  const config = checkConfig(env);
  checked.set(env, config);
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
