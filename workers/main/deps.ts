/**
 * The service factory: the only place where main's parts are put together. Parts are made when they are first needed
 * and live as long as the request or the object that they were made for.
 */
import { openDb } from "../../db/open.ts";
import { SCHEMA_VERSION } from "../../db/schema.ts";
import type { ChatRequest } from "../../contracts/chat.ts";
import { fail } from "../../contracts/errors.ts";
import type { HistoryHealth, HistoryStore } from "../../contracts/history.ts";
import { newId } from "../../contracts/ids.ts";
import type { LlmAgent } from "../../contracts/llm.ts";
import type { Log } from "../../contracts/log.ts";
import type { ResolvedChat } from "../../contracts/session.ts";
import type { AppDeps } from "./app.ts";
import { createTurnRunner } from "./chat/turn.ts";
import { createCacheAdmin } from "./cache/admin.ts";
import { withBreaker } from "./cache/breaker.ts";
import { type Cache, createCache } from "./cache/cache.ts";
import { createRedisStore, type RedisStore } from "./cache/redis.ts";
import { type Config, readConfig } from "./env.ts";
import { createHistoryStore } from "./history/store.ts";
import { createAuthenticator } from "./http/auth.ts";
import type { Probe, Status } from "./routes/health.ts";
import { createSessionClient } from "./session/client.ts";
import type { SessionDeps } from "./session/keeper.ts";
import { SqliteSaver } from "./session/saver.ts";
import { createMcpToolServer } from "./tools/mcp.ts";

export interface Env {
  LLM_AGENT: Fetcher;
  MCP: Fetcher;
  SESSIONS: DurableObjectNamespace;
}

const DB_TIMEOUT_MS = 5_000;
const FALLBACK_MODEL = "gpt-4o-mini";

const now = (): number => Date.now();
const makeId = (): string => newId(now(), (length) => crypto.getRandomValues(new Uint8Array(length)));

const log: Log = (line) => console.log(JSON.stringify(line));

/** What the public routes need. */
export function makeAppDeps(env: Env): AppDeps {
  const config = readConfig({ ...env });
  return {
    ...{ now, log, newId: makeId },
    authenticate: createAuthenticator(config.SECRET_KEY),
    resolve: (request) => resolveChat(request, config),
    send: createSessionClient(env.SESSIONS),
    forward: async (request) => ownHeaders(await env.MCP.fetch(request)),
    historyHealth: () => historyHealth(makeHistory(config)),
    problems: config.problems,
    probes: makeProbes(env, config),
  };
}

/** What a session's object needs. */
export function makeSessionDeps(env: Env, state: DurableObjectState): SessionDeps {
  const config = readConfig({ ...env });
  const redis = makeRedis(config);
  const cache = makeCache(config, redis);
  const tools = createMcpToolServer({
    fetch: (url, init) => env.MCP.fetch(url, init),
    now,
    waitUntil: (work) => state.waitUntil(work),
  });
  const turns = createTurnRunner({
    ...{ cache, tools, now, log, llm: llmAgent(env) },
    newCallId: () => `call_${makeId()}`,
    sharesAnswers: config.CACHE_SCOPE === "shared",
    policy: config.TOOL_POLICY ?? [],
    saver: () => new SqliteSaver(state.storage.sql, Math.random),
    stallTimeoutMs: config.LLM_STALL_TIMEOUT_MS,
  });
  return {
    ...{ turns, cache, tools, now, log },
    purge: createCacheAdmin({ redis, prices: config.MODEL_PRICES ?? {}, now, log }).purge,
    newId: makeId,
    random: Math.random,
    history: makeHistory(config),
    prices: config.MODEL_PRICES ?? {},
    contextTokens: config.CONTEXT_TOKENS,
    keepAliveMs: config.KEEP_ALIVE_MS,
    turnLogMs: config.TURN_LOG_SECONDS * 1_000,
  };
}

function resolveChat(request: ChatRequest, config: Config): ResolvedChat {
  return {
    request,
    model: request.model ?? config.DEFAULT_MODEL ?? FALLBACK_MODEL,
    modelType: request.model_type ?? config.LLM_TYPE ?? "openai",
    temperature: request.temperature ?? config.TEMPERATURE,
    maxTokens: request.max_tokens ?? config.MAX_TOKENS,
  };
}

/** A fetched reply's headers are read-only; the body passes as it is. */
function ownHeaders(response: Response): Response {
  return new Response(response.body, response);
}

function llmAgent(env: Env): LlmAgent {
  // The binding's stub answers the entrypoint's methods by RPC; its type is generated from the other Worker's code,
  // which this one does not import.
  return env.LLM_AGENT as unknown as LlmAgent;
}

function makeRedis(config: Config): RedisStore | undefined {
  const { UPSTASH_REDIS_REST_URL: url, UPSTASH_REDIS_REST_TOKEN: token, CACHE_READ_TIMEOUT_MS: readTimeoutMs } = config;
  return url !== undefined && token !== undefined ? createRedisStore({ url, token, readTimeoutMs }) : undefined;
}

function makeCache(config: Config, redis: RedisStore | undefined): Cache {
  const { CACHE_LLM_TTL: llm, CACHE_INTENT_TTL: intent, CACHE_MCP_TTL: mcp } = config;
  const store = config.CACHE_ENABLED === "true" && redis ? withBreaker(redis, { now }) : undefined;
  return createCache({ redis: store, ttlSeconds: { llm, intent, mcp }, now, random: Math.random });
}

function makeHistory({ DATABASE_URL: databaseUrl, DATABASE_HTTP_URL: httpUrl }: Config): HistoryStore {
  if (databaseUrl !== undefined) {
    const db = openDb({ databaseUrl, httpUrl, timeoutMs: DB_TIMEOUT_MS });
    return createHistoryStore(db, {
      now,
      onFault: ({ kind, reason }) => log({ service: "main", route: "postgres", error: kind, code: reason }),
    });
  }
  const missing = async () => fail("not_configured", "the history is not configured: DATABASE_URL");
  return {
    ...{ saveBatch: missing, eraseSession: missing, setAside: missing },
    ...{ ping: missing, schemaVersion: missing, countDeadLetters: missing },
  };
}

async function historyHealth(history: HistoryStore): Promise<HistoryHealth> {
  const [ping, version, letters] = await Promise.all([
    history.ping(),
    history.schemaVersion(),
    history.countDeadLetters(),
  ]);
  const found = version.ok ? version.value : null;
  const isGood = found === SCHEMA_VERSION && letters.ok && letters.value === 0;
  return {
    status: ping.ok ? (isGood ? "healthy" : "degraded") : "unhealthy",
    latency_ms: ping.ok ? ping.value.latencyMs : null,
    schema: { found, expected: SCHEMA_VERSION },
    dead_letters: letters.ok ? letters.value : null,
  };
}

function makeProbes(env: Env, config: Config): Probe[] {
  const fromResult = (result: { ok: boolean }): Status => (result.ok ? "healthy" : "unhealthy");
  const context = (requestId: string) => ({ requestId, userId: "health" });
  return [
    {
      name: "llm_agent",
      essential: true,
      async check(requestId) {
        const providers = await llmAgent(env).health(context(requestId));
        return worst(providers.map((provider) => provider.status));
      },
    },
    {
      name: "mcp",
      essential: false,
      async check(requestId) {
        const tools = createMcpToolServer({ fetch: (url, init) => env.MCP.fetch(url, init), now, cache: freshList() });
        return (await tools.list(context(requestId))) === undefined ? "unhealthy" : "healthy";
      },
    },
    { name: "postgres", essential: false, check: async () => fromResult(await makeHistory(config).ping()) },
    {
      name: "redis",
      essential: false,
      check: async () => fromResult((await makeRedis(config)?.ping()) ?? { ok: false }),
    },
  ];
}

function freshList() {
  return { fetchedAtMs: 0, nextTryMs: 0 };
}

/** Healthy while any provider is; without one, chat cannot be served. */
function worst(statuses: Status[]): Status {
  if (statuses.length > 0 && statuses.every((status) => status === "healthy")) return "healthy";
  return statuses.some((status) => status === "healthy") ? "degraded" : "unhealthy";
}
