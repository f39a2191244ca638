/**
 * main's configuration, checked once per isolate. A missing or malformed key is named, its value never;
 * the feature that needs it stays closed, the others work.
 */
import * as z from "zod";
import { PolicyRule } from "../../contracts/approvals.ts";
import { ModelType } from "../../contracts/chat.ts";
import { LogLevel } from "../../contracts/log.ts";
import { findModel, Models, NO_MODELS, OPEN_MODELS } from "../../contracts/models.ts";
import { OriginList } from "../../contracts/origins.ts";
import { isPattern } from "../../contracts/name-patterns.ts";
import { jsonSetting } from "../../contracts/settings.ts";

/** An empty line of .dev.vars counts as missing. */
const optional = <T extends z.ZodType>(schema: T) =>
  z.preprocess((value) => (value === "" ? undefined : value), schema.optional());
const withFallback = <T extends z.ZodType>(schema: T, fallback: NonNullable<z.infer<T>>) =>
  optional(schema).transform((value): NonNullable<z.infer<T>> => value ?? fallback);
const positiveInt = (fallback: number) => withFallback(z.coerce.number().int().min(1), fallback);

const Settings = z.object({
  /** Signs and verifies keys and tokens. */
  SECRET_KEY: optional(z.string().min(32)),
  DATABASE_URL: optional(z.string().regex(/^postgres(ql)?:\/\//)),
  /** Where SQL over HTTP is spoken, if not at the host of DATABASE_URL. */
  DATABASE_HTTP_URL: optional(z.url()),
  UPSTASH_REDIS_REST_URL: optional(z.url()),
  UPSTASH_REDIS_REST_TOKEN: optional(z.string().min(1)),
  LLM_TYPE: optional(ModelType),
  DEFAULT_MODEL: optional(z.string().min(1)),
  /** Asked for the titles of sessions; left out: nobody is. */
  TITLE_MODEL: optional(z.string().min(1)),
  TEMPERATURE: optional(z.coerce.number().min(0).max(2)),
  MAX_TOKENS: optional(z.coerce.number().int().min(1)),
  CONTEXT_TOKENS: positiveInt(8_000),
  /** Which models there are, who serves them, what they can do and cost. llm-agent reads it too. */
  MODELS: optional(jsonSetting(Models)).transform((models) => models ?? OPEN_MODELS),
  CACHE_ENABLED: withFallback(z.enum(["true", "false"]), "true"),
  CACHE_LLM_TTL: positiveInt(3_600),
  CACHE_MCP_TTL: positiveInt(1_800),
  CACHE_INTENT_TTL: positiveInt(7_200),
  /** `user`: no entry is for more than one user. */
  CACHE_SCOPE: withFallback(z.enum(["shared", "user"]), "shared"),
  CACHE_READ_TIMEOUT_MS: positiveInt(180),
  CACHE_JOIN_TIMEOUT_MS: positiveInt(30_000),
  /** Which tools run at once, ask a person first, or are not offered: a JSON list of rules. */
  TOOL_POLICY: optional(jsonSetting(z.array(PolicyRule).max(256))),
  /** Pages that may call the API from a browser, besides our own. */
  CORS_ORIGINS: withFallback(OriginList, []),
  LLM_STALL_TIMEOUT_MS: positiveInt(20_000),
  /** A model's whole stream. */
  LLM_STREAM_TIMEOUT_MS: positiveInt(600_000),
  KEEP_ALIVE_MS: positiveInt(15_000),
  TURN_LOG_SECONDS: positiveInt(3_600),
  SESSION_REST_DAYS: withFallback(z.coerce.number().positive().max(3_650), 30),
  /** How long an account's word on a credential holds. */
  ACCOUNT_RECHECK_MS: positiveInt(4_000),
  /** Lines below it are left out of the log. */
  LOG_LEVEL: withFallback(LogLevel, "info"),
  /** The share of requests whose lines are written; errors always are. */
  LOG_SAMPLE: withFallback(z.coerce.number().min(0).max(1), 1),
  /** Who shows it may read GET /metrics and the details of GET /health/ready, as admins may. */
  METRICS_TOKEN: optional(z.string().min(32).max(256)),
  /** Whether anyone may sign up. */
  SIGN_UP: withFallback(z.enum(["open", "closed"]), "open"),
});

export interface Config extends z.infer<typeof Settings> {
  DEFAULT_MODEL: string;
  /** Keys that are missing or malformed, for /health and the log. */
  problems: string[];
}

/** Keys without which a feature stays closed. */
const NEEDED = ["SECRET_KEY", "DATABASE_URL", "UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN"] as const;

/** What a malformed setting stands for, where its default would open what it was to close. */
const CLOSED: Record<string, unknown> = {
  TOOL_POLICY: [{ tool: "*", action: "deny" }] satisfies PolicyRule[],
  CACHE_ENABLED: "false",
  CACHE_SCOPE: "user",
  SIGN_UP: "closed",
  MODELS: NO_MODELS,
};

export function readConfig(env: Record<string, unknown>): Config {
  const values: Record<string, unknown> = {};
  const problems: string[] = [];
  for (const [key, schema] of Object.entries(Settings.shape)) {
    const parsed = schema.safeParse(env[key]);
    if (!parsed.success) problems.push(`${key} is malformed`);
    values[key] = parsed.success ? parsed.data : (CLOSED[key] ?? schema.parse(undefined));
  }
  const config = values as z.infer<typeof Settings>; // each member by its own schema
  for (const key of NEEDED) {
    if (config[key] === undefined && !problems.includes(`${key} is malformed`)) problems.push(`${key} is missing`);
  }
  const model = config.DEFAULT_MODEL ?? firstModel(config.MODELS);
  const isKnown = (name: string) => problems.includes("MODELS is malformed") || findModel(config.MODELS, name).ok;
  if (!isKnown(model)) problems.push("DEFAULT_MODEL is not in MODELS");
  if (config.TITLE_MODEL !== undefined && !isKnown(config.TITLE_MODEL)) problems.push("TITLE_MODEL is not in MODELS");
  return { ...config, DEFAULT_MODEL: model, problems };
}

const FALLBACK_MODEL = "gpt-4o-mini";

/** Of a registry that does not have the usual one: the first that is named. */
function firstModel(models: Models): string {
  const named = Object.keys(models.models).find((name) => !isPattern(name));
  return findModel(models, FALLBACK_MODEL).ok ? FALLBACK_MODEL : (named ?? FALLBACK_MODEL);
}
