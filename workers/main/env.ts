/**
 * main's configuration, checked once per isolate. A missing or malformed key is named, its value never;
 * the feature that needs it stays closed, the others work.
 */
import * as z from "zod";
import { PolicyRule } from "../../contracts/approvals.ts";
import { ModelType } from "../../contracts/chat.ts";
import { LOG_MEANINGS, LogLevel } from "../../contracts/log.ts";
import { findModel, Models, namedModels, NO_MODELS, OPEN_MODELS } from "../../contracts/models.ts";
import { HostList, OriginList } from "../../contracts/origins.ts";
import { isPattern } from "../../contracts/name-patterns.ts";
import { jsonSetting } from "../../contracts/settings.ts";

/** An empty line of .dev.vars counts as missing. */
const optional = <T extends z.ZodType>(schema: T) =>
  z.preprocess((value) => (value === "" ? undefined : value), schema.optional());
const withFallback = <T extends z.ZodType>(schema: T, fallback: NonNullable<z.infer<T>>) =>
  optional(schema).transform((value): NonNullable<z.infer<T>> => value ?? fallback);
const positiveInt = (fallback: number) => withFallback(z.coerce.number().int().min(1), fallback);

/** Each with its meaning, from which docs/configuration.md is written. */
export const Settings = z.object({
  SECRET_KEY: optional(z.string().min(32)).meta({
    required: true,
    secret: true,
    description:
      "signs and verifies tokens and API keys; 32 characters or more; without it every route that wants a credential answers 503. `npm run dev` makes one for each install",
  }),
  DATABASE_URL: optional(z.string().regex(/^postgres(ql)?:\/\//)).meta({
    required: true,
    secret: true,
    description: "`postgres://…`; without it nobody can sign in, and the messages of those who are known stay owed",
  }),
  DATABASE_HTTP_URL: optional(z.url()).meta({
    default: "derived from `DATABASE_URL`",
    description: "where SQL over HTTP is spoken, if not at Neon's own address",
  }),
  UPSTASH_REDIS_REST_URL: optional(z.url()).meta({
    required: true,
    description: "the address of Redis; without it every cache read is a bypass",
  }),
  UPSTASH_REDIS_REST_TOKEN: optional(z.string().min(1)).meta({
    required: true,
    secret: true,
    description: "the token of that address",
  }),
  LLM_TYPE: optional(ModelType).meta({
    default: "`openai`",
    description: "the provider of a model that has no routes: `openai` or `vllm`",
  }),
  DEFAULT_MODEL: optional(z.string().min(1)).meta({
    default: "`gpt-4o-mini`, else the first of `MODELS`",
    description: "the model of a request that names none",
  }),
  TITLE_MODEL: optional(z.string().min(1)).meta({
    default: "none",
    description:
      "the model that names a session after its first complete turn, in one more call behind the reply; left out: a session is called by its first words",
  }),
  TEMPERATURE: optional(z.coerce.number().min(0).max(2)).meta({
    default: "the provider's",
    description: "of a request that names none, 0 to 2",
  }),
  MAX_TOKENS: optional(z.coerce.number().int().min(1)).meta({
    default: "the provider's",
    description: "of a request that names none",
  }),
  CONTEXT_TOKENS: positiveInt(8_000).meta({
    description:
      "how much a model is shown of a session: about so many tokens of its newest messages and the new one at most, at least half of it; less where the model's window is smaller",
  }),
  MODELS: optional(jsonSetting(Models))
    .transform((models) => models ?? OPEN_MODELS)
    .meta({
      default: "any model of the default provider",
      description: "the model registry, JSON; malformed, no model is served",
    }),
  CACHE_ENABLED: withFallback(z.enum(["true", "false"]), "true").meta({
    description: "`false`: nothing is read from or written to Redis; malformed, it is `false`",
  }),
  CACHE_LLM_TTL: positiveInt(3_600).meta({ description: "seconds that an answer is kept" }),
  CACHE_MCP_TTL: positiveInt(1_800).meta({ description: "seconds that a tool's result is kept" }),
  CACHE_INTENT_TTL: positiveInt(7_200).meta({ description: "seconds that an intent is kept" }),
  CACHE_SCOPE: withFallback(z.enum(["shared", "user"]), "shared").meta({
    description: "`user`: no user is given an answer that was made for another; malformed, it is `user`",
  }),
  CACHE_SEMANTIC_MODEL: optional(z.string().min(1)).meta({
    default: "none",
    description:
      "a model that makes vectors: other wordings of a first question find its answer; needs pgvector in Postgres; left out: none does",
  }),
  CACHE_SEMANTIC_THRESHOLD: withFallback(z.coerce.number().min(0.5).max(1), 0.9).meta({
    description:
      "cosine similarity, 0.5 to 1, from which on two questions are compared word by word; malformed, it is `1`",
  }),
  CACHE_READ_TIMEOUT_MS: positiveInt(180).meta({
    description: "how long a turn waits for Redis, and beside it to be told which turn makes the same answer",
  }),
  CACHE_JOIN_TIMEOUT_MS: positiveInt(30_000).meta({
    description: "how long a turn that shares another one's answer waits for its next word",
  }),
  TOOL_POLICY: optional(jsonSetting(z.array(PolicyRule).max(256))).meta({
    default: "no rules",
    description:
      "a JSON list of rules for tools that a model calls: run at once, ask a person first, or not offered; malformed, all tools are denied",
  }),
  ATTACHMENT_HOSTS: withFallback(HostList, []).meta({
    default: "none",
    description:
      "hosts whose images a provider may be told to fetch by itself, over https: exact names, separated by commas; nothing is fetched from here",
  }),
  CORS_ORIGINS: withFallback(OriginList, []).meta({
    default: "none",
    description:
      "pages that may call the API from a browser besides its own: exact origins (`https://app.example.com`), separated by commas",
  }),
  LLM_STALL_TIMEOUT_MS: positiveInt(20_000).meta({ description: "longest silence inside a model's stream" }),
  LLM_STREAM_TIMEOUT_MS: positiveInt(600_000).meta({ description: "a model's whole stream" }),
  KEEP_ALIVE_MS: positiveInt(15_000).meta({ description: "silence after which a viewer is sent a comment" }),
  TURN_LOG_SECONDS: positiveInt(3_600).meta({
    description: "how long an ended turn's events can be read, and a session with `store: false` lives",
  }),
  SESSION_REST_DAYS: withFallback(z.coerce.number().positive().max(3_650), 30).meta({
    description:
      "days after its last use until a session leaves its object, once Postgres has all of it; its next use fetches it again",
  }),
  ACCOUNT_RECHECK_MS: positiveInt(4_000).meta({
    description:
      "how long an account's word on a credential holds; also how often it is asked again while somebody watches a turn",
  }),
  RETENTION_DAYS: optional(z.coerce.number().positive().max(36_500)).meta({
    default: "none: they are kept",
    description:
      "days after its last use until a session is deleted everywhere, with its messages; looked after once an hour; `npm run retention` counts what would go",
  }),
  MESSAGE_RETENTION_DAYS: optional(z.coerce.number().min(0).max(36_500))
    .refine((days) => days === undefined || days === 0 || days >= 1, "0, or a day or more")
    .transform((days) => days || undefined)
    .meta({
      default: "none: they are kept",
      description:
        "days after which a message is deleted everywhere, though its session is in use; 1 or more, 0 for none; looked after as `RETENTION_DAYS`",
    }),
  LIMIT_REQUESTS_PER_MINUTE: positiveInt(120).meta({
    description: "turns and direct calls of one user in any minute",
  }),
  LIMIT_TOKENS_PER_MINUTE: positiveInt(400_000).meta({ description: "tokens of one user in any minute" }),
  LIMIT_STREAMS: positiveInt(5).meta({ description: "turns and direct calls of one user that have not ended" }),
  LIMIT_TOKENS_PER_DAY: optional(z.coerce.number().int().min(0)).meta({
    default: "none",
    description: "a user's budget of a day (UTC) in tokens; malformed, it is 0",
  }),
  LIMIT_COST_PER_DAY_USD: optional(z.coerce.number().min(0)).meta({
    default: "none",
    description: "the same in US dollars, at the prices of `MODELS`; malformed, it is 0",
  }),
  RESIDENCY: optional(z.enum(["eu"])).meta({
    default: "none",
    description:
      "`eu`: the objects of new sessions, and those of accounts, limits and flights, run and store in the EU alone; malformed, it is `eu`. Decide before the first user: a change ends every login. Postgres and Redis are where you made them",
  }),
  LOG_LEVEL: withFallback(LogLevel, "info").meta({ description: LOG_MEANINGS.level }),
  LOG_SAMPLE: withFallback(z.coerce.number().min(0).max(1), 1).meta({ description: LOG_MEANINGS.sample }),
  METRICS_TOKEN: optional(z.string().min(32).max(256)).meta({
    secret: true,
    default: "none",
    description:
      "whoever shows it may read `GET /metrics` and the details of `GET /health/ready`, and nothing else; 32 characters or more",
  }),
  SIGN_UP: withFallback(z.enum(["open", "closed"]), "open").meta({
    description: "`closed`: nobody signs up; users are made by `npm run user:create`; malformed, it is `closed`",
  }),
});

export interface Config extends z.infer<typeof Settings> {
  DEFAULT_MODEL: string;
  /** Models that the settings name; a pattern names none. */
  modelNames: ReadonlySet<string>;
  /** Keys that are missing or malformed, for /health and the log. */
  problems: string[];
}

/** Keys without which a feature stays closed. */
const NEEDED = Object.entries(Settings.shape).flatMap(([key, schema]) => (schema.meta()?.["required"] ? [key] : []));

/** What a malformed setting stands for, where its default would open what it was to close. */
const CLOSED: Record<string, unknown> = {
  TOOL_POLICY: [{ tool: "*", action: "deny" }] satisfies PolicyRule[],
  CACHE_ENABLED: "false",
  CACHE_SCOPE: "user",
  SIGN_UP: "closed",
  LIMIT_TOKENS_PER_DAY: 0,
  LIMIT_COST_PER_DAY_USD: 0,
  RESIDENCY: "eu",
  MODELS: NO_MODELS,
  CACHE_SEMANTIC_THRESHOLD: 1,
};

const KEYS = Object.keys(Settings.shape);

/** What was read last in this isolate, and from what: every object asks, and the settings are the same. */
let last: { bindings: object; from: unknown[]; config: Config } | undefined;

export function readConfig(bindings: object): Config {
  if (last?.bindings === bindings) return last.config;
  const env = bindings as Record<string, unknown>; // each is checked by its schema
  const from = KEYS.map((key) => env[key]);
  const isSame = last !== undefined && from.every((value, at) => value === last?.from[at]);
  last = { bindings, from, config: isSame && last !== undefined ? last.config : parse(env) };
  return last.config;
}

function parse(env: Record<string, unknown>): Config {
  const values: Record<string, unknown> = {};
  const problems: string[] = [];
  for (const [key, schema] of Object.entries(Settings.shape)) {
    const parsed = schema.safeParse(env[key]);
    if (!parsed.success) problems.push(`${key} is malformed`);
    values[key] = parsed.success ? parsed.data : (CLOSED[key] ?? schema.parse(undefined));
  }
  const config = values as z.infer<typeof Settings>; // each member by its own schema
  for (const key of NEEDED) {
    if (values[key] === undefined && !problems.includes(`${key} is malformed`)) problems.push(`${key} is missing`);
  }
  const model = config.DEFAULT_MODEL ?? firstModel(config.MODELS);
  const isKnown = (name: string) => problems.includes("MODELS is malformed") || findModel(config.MODELS, name).ok;
  if (!isKnown(model)) problems.push("DEFAULT_MODEL is not in MODELS");
  for (const key of ["TITLE_MODEL", "CACHE_SEMANTIC_MODEL"] as const) {
    if (config[key] !== undefined && !isKnown(config[key])) problems.push(`${key} is not in MODELS`);
  }
  const modelNames = new Set([model, config.TITLE_MODEL ?? model, ...namedModels(config.MODELS)]);
  return { ...config, DEFAULT_MODEL: model, modelNames, problems };
}

const FALLBACK_MODEL = "gpt-4o-mini";

/** Of a registry that does not have the usual one: the first that is named. */
function firstModel(models: Models): string {
  const named = Object.keys(models.models).find((name) => !isPattern(name));
  return findModel(models, FALLBACK_MODEL).ok ? FALLBACK_MODEL : (named ?? FALLBACK_MODEL);
}
