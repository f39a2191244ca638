/**
 * The Worker's settings. Pure. Names a malformed setting, never its value.
 */
import * as z from "zod";
import { LOG_MEANINGS, LogLevel } from "../../contracts/log.ts";
import { Models, pricesOf } from "../../contracts/models.ts";
import { OriginList } from "../../contracts/origins.ts";
import type { ModelPrices } from "../../contracts/prices.ts";
import { jsonSetting } from "../../contracts/settings.ts";
import { HostList } from "./web/address.ts";
import type { SearchProvider } from "./web/search.ts";

/** Each with its meaning, from which docs/configuration.md is written. */
export const Settings = z.object({
  MCP_ALLOWED_ORIGINS: z.string().default("").pipe(OriginList).meta({
    default: "none",
    description:
      "of the pages of `CORS_ORIGINS`, those that may also call `/mcp`, in the same form; over plain http also the hosts that `/mcp` answers for, besides this machine's names",
  }),
  MCP_SESSION_SECONDS: z.coerce
    .number()
    .int()
    .min(1)
    .max(604_800)
    .default(86_400)
    .meta({ description: "seconds without a request after which a session of `/mcp` ends" }),
  MCP_CONFORMANCE: z.enum(["0", "1"]).default("0").meta({
    description: "`1` adds the tools, resources and prompts that the conformance suite of the protocol asks for",
  }),
  FETCH_ALLOWED_HOSTS: z.string().default("").pipe(HostList).meta({
    default: "none",
    description:
      "hosts that the tool `fetch_page` may fetch from, separated by commas; `*.example.com` stands for all names below; without any there is no such tool",
  }),
  BRAVE_API_KEY: z
    .string()
    .regex(/^[\x21-\x7e]{1,512}$/)
    .optional()
    .meta({
      secret: true,
      description: "the tool `web_search` asks Brave",
    }),
  TAVILY_API_KEY: z
    .string()
    .regex(/^[\x21-\x7e]{1,512}$/)
    .optional()
    .meta({ secret: true, description: "else Tavily" }),
  DATABASE_URL: z
    .string()
    .regex(/^postgres(ql)?:\/\//)
    .optional()
    .meta({
      required: true,
      secret: true,
      description:
        "where messages and documents are; without it there is neither a knowledge base nor a history to search",
    }),
  DATABASE_HTTP_URL: z.url().optional().meta({ default: "derived from `DATABASE_URL`", description: "as in `main`" }),
  KNOWLEDGE_EMBEDDING_MODEL: z.string().min(1).max(128).optional().meta({
    default: "none",
    description:
      "a model that makes vectors: the knowledge base is searched by meaning too; needs pgvector in Postgres",
  }),
  MODELS: jsonSetting(Models).optional().catch(undefined).meta({
    default: "no prices",
    description: "as in `main`: what the vectors of the knowledge base cost; malformed, it is not known",
  }),
  KNOWLEDGE_MIN_SIMILARITY: z.coerce.number().min(0).max(1).default(0.35).meta({
    description: "cosine similarity, 0 to 1, from which on a piece of a document is found by its meaning",
  }),
  SECRET_KEY: z.string().min(32).optional().meta({
    required: true,
    secret: true,
    description:
      "encrypts the credentials of remote MCP servers; it may be main's or another one; without it no server with a credential can join",
  }),
  SEARXNG_URL: z
    .url({ protocol: /^https?$/ })
    .optional()
    .meta({
      description: "else this SearXNG; without any of the three there is no tool `web_search`",
    }),
  LOG_LEVEL: LogLevel.default("info").catch("info").meta({ description: LOG_MEANINGS.level }),
  LOG_SAMPLE: z.coerce.number().min(0).max(1).default(1).catch(1).meta({ description: LOG_MEANINGS.sample }),
});

export interface Config {
  logLevel: LogLevel;
  logSample: number;
  allowedOrigins: readonly string[];
  sessionIdleMs: number;
  hasFixtures: boolean;
  fetchHosts: readonly string[];
  searchProvider: SearchProvider | undefined;
  secretKey: string | undefined;
  /** Undefined: there is neither a knowledge base nor a history to search. */
  database: { databaseUrl: string; httpUrl: string | undefined } | undefined;
  /** Undefined: documents are found by their words alone. */
  vectors: { model: string; minSimilarity: number; prices: ModelPrices } | undefined;
}

export type ConfigResult = { ok: true; config: Config } | { ok: false; badKeys: string[] };

/** Keys without which a feature stays closed. */
const NEEDED = Object.entries(Settings.shape).flatMap(([key, schema]) => (schema.meta()?.["required"] ? [key] : []));

/** What is malformed or missing, for the log and the doctor. */
export function findProblems(env: object): string[] {
  const given = new Map(Object.entries(env));
  const read = readConfig(env);
  const malformed = read.ok ? [] : read.badKeys;
  return [
    ...malformed.map((key) => `${key} is malformed`),
    ...NEEDED.filter((key) => !given.get(key)).map((key) => `${key} is missing`),
  ];
}

export function readConfig(env: object): ConfigResult {
  // An empty line of .dev.vars counts as missing.
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ""));
  const parsed = Settings.safeParse(given);
  if (!parsed.success) {
    return { ok: false, badKeys: [...new Set(parsed.error.issues.map((issue) => String(issue.path[0])))] };
  }
  const { data } = parsed;
  return {
    ok: true,
    config: {
      logLevel: data.LOG_LEVEL,
      logSample: data.LOG_SAMPLE,
      allowedOrigins: data.MCP_ALLOWED_ORIGINS,
      sessionIdleMs: data.MCP_SESSION_SECONDS * 1_000,
      hasFixtures: data.MCP_CONFORMANCE === "1",
      fetchHosts: data.FETCH_ALLOWED_HOSTS,
      searchProvider: providerOf(data),
      secretKey: data.SECRET_KEY,
      database:
        data.DATABASE_URL === undefined
          ? undefined
          : { databaseUrl: data.DATABASE_URL, httpUrl: data.DATABASE_HTTP_URL },
      vectors:
        data.KNOWLEDGE_EMBEDDING_MODEL === undefined
          ? undefined
          : {
              ...{ model: data.KNOWLEDGE_EMBEDDING_MODEL, minSimilarity: data.KNOWLEDGE_MIN_SIMILARITY },
              prices: data.MODELS === undefined ? {} : pricesOf(data.MODELS),
            },
    },
  };
}

function providerOf({
  BRAVE_API_KEY,
  TAVILY_API_KEY,
  SEARXNG_URL,
}: z.output<typeof Settings>): SearchProvider | undefined {
  if (BRAVE_API_KEY !== undefined) return { kind: "brave", apiKey: BRAVE_API_KEY };
  if (TAVILY_API_KEY !== undefined) return { kind: "tavily", apiKey: TAVILY_API_KEY };
  return SEARXNG_URL === undefined ? undefined : { kind: "searxng", url: SEARXNG_URL };
}
