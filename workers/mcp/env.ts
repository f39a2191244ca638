/**
 * The Worker's settings. Pure. Names a malformed setting, never its value.
 */
import * as z from "zod";
import { LogLevel } from "../../contracts/log.ts";
import { OriginList } from "../../contracts/origins.ts";
import { HostList } from "./web/address.ts";
import type { SearchProvider } from "./web/search.ts";

/** An empty line of .dev.vars counts as missing. */
const optional = <T extends z.ZodType>(schema: T) =>
  z.preprocess((value) => (value === "" ? undefined : value), schema.optional());

const Env = z.object({
  /** Origins that a browser may call from, separated by commas. */
  MCP_ALLOWED_ORIGINS: z.string().default("").pipe(OriginList),
  /** Seconds without a request after which a session ends. */
  MCP_SESSION_SECONDS: z.coerce.number().int().min(1).max(604_800).default(86_400),
  /** "1" adds the tools, resources and prompts that the conformance suite asks for. */
  MCP_CONFORMANCE: z.enum(["0", "1"]).default("0"),
  /** Hosts that fetch_page may fetch from; without any there is no such tool. */
  FETCH_ALLOWED_HOSTS: z.string().default("").pipe(HostList),
  /** The providers of web_search: the first one that is set; without any there is no such tool. */
  BRAVE_API_KEY: optional(z.string().regex(/^[\x21-\x7e]{1,512}$/)),
  TAVILY_API_KEY: optional(z.string().regex(/^[\x21-\x7e]{1,512}$/)),
  /** Where messages and documents are. */
  DATABASE_URL: optional(z.string().regex(/^postgres(ql)?:\/\//)),
  DATABASE_HTTP_URL: optional(z.url()),
  /** What remote servers' headers are encrypted with. */
  SECRET_KEY: optional(z.string().min(32)),
  /** Of the log: a malformed one is no reason to close. */
  LOG_LEVEL: LogLevel.default("info").catch("info"),
  LOG_SAMPLE: z.coerce.number().min(0).max(1).default(1).catch(1),
  SEARXNG_URL: optional(z.url({ protocol: /^https?$/ })),
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
}

export type ConfigResult = { ok: true; config: Config } | { ok: false; badKeys: string[] };

export function readConfig(env: unknown): ConfigResult {
  const parsed = Env.safeParse(env);
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
    },
  };
}

function providerOf({ BRAVE_API_KEY, TAVILY_API_KEY, SEARXNG_URL }: z.output<typeof Env>): SearchProvider | undefined {
  if (BRAVE_API_KEY !== undefined) return { kind: "brave", apiKey: BRAVE_API_KEY };
  if (TAVILY_API_KEY !== undefined) return { kind: "tavily", apiKey: TAVILY_API_KEY };
  return SEARXNG_URL === undefined ? undefined : { kind: "searxng", url: SEARXNG_URL };
}
