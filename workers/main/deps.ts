/**
 * The service factory: the only place where main's parts are put together. Parts are made when they are first needed
 * and live as long as the request or the object that they were made for.
 */
import { createHmac } from "node:crypto";
import { SCHEMA_VERSION } from "../../db/schema.ts";
import type { Account } from "../../contracts/accounts.ts";
import { deniedTools } from "../../contracts/approvals.ts";
import type { Toolbox } from "../../contracts/toolbox.ts";
import { overallHealth } from "../../contracts/direct.ts";
import { fail, ok, orThrow } from "../../contracts/errors.ts";
import { newId } from "../../contracts/ids.ts";
import type { LlmAgent } from "../../contracts/llm.ts";
import type { Limiter } from "../../contracts/limits.ts";
import type { Log } from "../../contracts/log.ts";
import { pricesOf } from "../../contracts/models.ts";
import type { AccountDeps } from "./accounts/object.ts";
import { type Accounts, createAccounts } from "./accounts/client.ts";
import type { AppDeps } from "./app.ts";
import { type ChatDefaults, resolveChat } from "./chat/resolve.ts";
import { createTurnRunner } from "./chat/turn.ts";
import { type CacheAdmin, createCacheAdmin } from "./cache/admin.ts";
import { withBreaker } from "./cache/breaker.ts";
import { type Cache, createCache } from "./cache/cache.ts";
import { createRedisStore, type RedisStore } from "./cache/redis.ts";
import { type Config, readConfig } from "./env.ts";
import type { OnFault } from "./history/faults.ts";
import { readHistoryHealth } from "./history/health.ts";
import { openStores, type Stores } from "./history/open.ts";
import { expireIdle } from "./history/retention.ts";
import { createFlights, type FlightStub, type Flights } from "./flights/client.ts";
import { createAuthenticator } from "./http/auth.ts";
import { createCursors } from "./http/cursor.ts";
import { REFRESH_SECONDS } from "./http/credentials.ts";
import { createRequestLimit } from "./http/limits.ts";
import { createWhileStanding } from "./http/standing-signal.ts";
import type { Probe, Status } from "./routes/health.ts";
import { createSessionClient, inEurope } from "./session/client.ts";
import type { SessionDeps } from "./session/keeper.ts";
import { SqliteSaver } from "./session/saver.ts";
import { callDirectly } from "./tools/direct.ts";
import { createMcpToolServer } from "./tools/mcp.ts";

export interface Env {
  LLM_AGENT: Fetcher;
  MCP: Fetcher;
  TOOLBOX: Fetcher;
  SESSIONS: DurableObjectNamespace;
  ASSETS: Fetcher;
  ACCOUNTS: DurableObjectNamespace;
  LIMITERS: DurableObjectNamespace;
  FLIGHTS: DurableObjectNamespace;
}

export const now = (): number => Date.now();
const makeId = (): string => newId(now(), (length) => crypto.getRandomValues(new Uint8Array(length)));

const log: Log = (line) => console.log(JSON.stringify(line));
const logFault: OnFault = ({ kind, reason }) => log({ service: "main", route: "postgres", error: kind, code: reason });

/** What the public routes need. */
export function makeAppDeps(env: Env, waitUntil: (work: Promise<unknown>) => void): AppDeps {
  const config = readConfig({ ...env });
  const { problems } = config;
  if (problems.length > 0) log({ service: "main", route: "start", error: "settings", problems });
  const cache = makeCache(config);
  const toolbox = toolboxOf(env);
  const tools = createMcpToolServer({ fetch: (url, init) => env.MCP.fetch(url, init), now, waitUntil });
  const accounts = makeAccounts(env, config);
  const stores = makeStores(config);
  const findLimiter = (name: string) => limiterOf(env, config, name);
  return {
    ...{ now, log, newId: makeId, accounts, findLimiter },
    authenticate: createAuthenticator(config.SECRET_KEY, accounts),
    secretKey: config.SECRET_KEY,
    users: stores.users(),
    isSignUpOpen: config.SIGN_UP === "open",
    limitRequest: createRequestLimit(findLimiter),
    corsOrigins: config.CORS_ORIGINS,
    send: createSessionClient(env.SESSIONS),
    residency: config.RESIDENCY,
    cache: makeCacheAdmin(config),
    toolbox,
    callTool: (call) => callDirectly(call, { toolbox, cache, list: (caller) => tools.list(caller), now, waitUntil }),
    deniedTo: (userId) => deniedTools(config.TOOL_POLICY ?? [], userId),
    forward: async (request) => ownHeaders(await env.MCP.fetch(request)),
    readAsset: (path) => env.ASSETS.fetch(new URL(path, "https://assets.internal")),
    historyHealth: () => readHistoryHealth(stores.history(), SCHEMA_VERSION),
    archive: stores.archive(),
    importer: stores.importer(),
    cursors: createCursors(config.SECRET_KEY),
    problems,
    expectedSchema: SCHEMA_VERSION,
    probes: makeProbes(env, config),
    ...makeModels(env, config),
    whileStanding: createWhileStanding(accounts, config.ACCOUNT_RECHECK_MS),
    resolve: (request, preferences) => resolveChat(request, preferences, defaultsOf(config)),
    defaultModel: config.DEFAULT_MODEL,
  };
}

/** What a session's object needs. */
export function makeSessionDeps(env: Env, state: DurableObjectState): SessionDeps {
  const config = readConfig({ ...env });
  const cache = makeCache(config);
  const admin = makeCacheAdmin(config);
  const tools = createMcpToolServer({
    fetch: (url, init) => env.MCP.fetch(url, init),
    now,
    waitUntil: (work) => state.waitUntil(work),
    noteHits: (names) => toolboxOf(env).noteHits(names),
  });
  const turns = createTurnRunner({
    ...{ cache, tools, now, log, ...makeModels(env, config) },
    flights: config.CACHE_ENABLED === "true" ? makeFlights(env, config) : undefined,
    placeTimeoutMs: config.CACHE_READ_TIMEOUT_MS,
    joinTimeoutMs: config.CACHE_JOIN_TIMEOUT_MS,
    sharesAnswers: config.CACHE_SCOPE === "shared",
    policy: config.TOOL_POLICY ?? [],
    saver: () => new SqliteSaver(state.storage.sql, Math.random),
  });
  return {
    ...{ turns, cache, tools, now, log },
    accounts: makeAccounts(env, config),
    resolve: (request, preferences) => orThrow(resolveChat(request, preferences, defaultsOf(config))),
    recheckMs: config.ACCOUNT_RECHECK_MS,
    purge: admin.purge,
    explain: admin.explain,
    newId: makeId,
    random: Math.random,
    history: makeStores(config).history(),
    prices: pricesOf(config.MODELS),
    contextTokens: config.CONTEXT_TOKENS,
    keepAliveMs: config.KEEP_ALIVE_MS,
    turnLogMs: config.TURN_LOG_SECONDS * 1_000,
    titleModel: config.TITLE_MODEL === undefined ? undefined : { llm: llmAgent(env), model: config.TITLE_MODEL },
    restMs: config.SESSION_REST_DAYS * 86_400_000,
  };
}

/** What an account's object needs. */
export function makeAccountDeps(env: Env): AccountDeps {
  const config = readConfig({ ...env });
  const send = createSessionClient(env.SESSIONS);
  const { purge } = makeCacheAdmin(config);
  return {
    ...{ now, log, newId: makeId, users: makeStores(config).users(), loginMs: REFRESH_SECONDS * 1_000 },
    async discardSession(sessionId, userId) {
      const response = await send(sessionId, { kind: "discard", sessionId, userId, requestId: "erasure" });
      if (response.status === 404) return ok(false);
      return response.ok ? ok(true) : fail("overloaded", "a session could not be emptied");
    },
    async purgeUser(userId) {
      const purged = await purge({ user: userId }, { userId });
      return purged.ok ? ok(purged.value.deletedCount) : purged;
    },
  };
}

/** Deletes the sessions whose time is over; undefined: they are kept. */
export function makeRetention(env: Env): (() => Promise<void>) | undefined {
  const { RETENTION_DAYS: days, ...config } = readConfig({ ...env });
  if (days === undefined) return undefined;
  const history = makeStores(config).history();
  return () => expireIdle({ days, history, send: createSessionClient(env.SESSIONS), requestId: makeId(), now, log });
}

function defaultsOf(config: Config): ChatDefaults {
  return {
    models: config.MODELS,
    model: config.DEFAULT_MODEL,
    modelType: config.LLM_TYPE ?? "openai",
    temperature: config.TEMPERATURE,
    maxTokens: config.MAX_TOKENS,
    contextTokens: config.CONTEXT_TOKENS,
  };
}

// A namespace's stubs answer their object's methods by RPC; their types are made from classes, which these files do not import.
function makeAccounts(env: Env, config: Config): Accounts {
  const objects = () => placed(env.ACCOUNTS, config);
  const find = {
    idFromName: (name: string) => objects().idFromName(name),
    get: (id: DurableObjectId) => objects().get(id) as unknown as Account,
  };
  return createAccounts(find, { now, holdsMs: config.ACCOUNT_RECHECK_MS });
}

function makeFlights(env: Env, config: Config): Flights {
  const find = (key: string): FlightStub => {
    const objects = placed(env.FLIGHTS, config);
    return objects.get(objects.idFromName(key)) as unknown as FlightStub;
  };
  return createFlights(find, createSessionClient(env.SESSIONS));
}

/** Where the deployment says that all objects are. Those of sessions say it themselves, by their ids. */
function placed(objects: DurableObjectNamespace, { RESIDENCY }: Config): DurableObjectNamespace {
  return RESIDENCY === "eu" ? inEurope(objects) : objects;
}

function limiterOf(env: Env, config: Config, name: string): Limiter {
  const objects = placed(env.LIMITERS, config);
  return objects.get(objects.idFromName(name)) as unknown as Limiter;
}

/** A fetched reply's headers are read-only; the body passes as it is. */
function ownHeaders(response: Response): Response {
  return new Response(response.body, response);
}

function toolboxOf(env: Env): Toolbox {
  return env.TOOLBOX as unknown as Toolbox; // as of llmAgent
}

/** What it takes to call a model. */
function makeModels(env: Env, { SECRET_KEY: secret, ...config }: Config) {
  return {
    llm: llmAgent(env),
    newCallId: () => `call_${makeId()}`,
    stallTimeoutMs: config.LLM_STALL_TIMEOUT_MS,
    streamTimeoutMs: config.LLM_STREAM_TIMEOUT_MS,
    cacheSalt: (userId: string) =>
      secret === undefined
        ? undefined
        : createHmac("sha256", secret).update(`cache salt ${userId}`).digest("base64url"),
  };
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

function makeCacheAdmin(config: Config): CacheAdmin {
  const enabled = config.CACHE_ENABLED === "true";
  return createCacheAdmin({ redis: makeRedis(config), enabled, prices: pricesOf(config.MODELS), now, log });
}

function makeCache(config: Config): Cache {
  const redis = makeRedis(config);
  const { CACHE_LLM_TTL: llm, CACHE_INTENT_TTL: intent, CACHE_MCP_TTL: mcp } = config;
  const store = config.CACHE_ENABLED === "true" && redis ? withBreaker(redis, { now }) : undefined;
  return createCache({ redis: store, ttlSeconds: { llm, intent, mcp }, now, random: Math.random });
}

function makeStores({ DATABASE_URL: databaseUrl, DATABASE_HTTP_URL: httpUrl, RESIDENCY: residency }: Config): Stores {
  return openStores({ databaseUrl, httpUrl, now, onFault: logFault, residency });
}

function makeProbes(env: Env, config: Config): Probe[] {
  const fromResult = (result: { ok: boolean }): Status => (result.ok ? "healthy" : "unhealthy");
  const context = (requestId: string) => ({ requestId, userId: "health" });
  return [
    {
      name: "llm_agent",
      essential: true,
      async check(requestId) {
        const { providers } = await llmAgent(env).health(context(requestId));
        return overallHealth(providers);
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
