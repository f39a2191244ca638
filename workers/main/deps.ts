/**
 * The service factory: the only place where main's parts are put together. Parts are made when they are first needed
 * and live as long as the request or the object that they were made for.
 */
import { createHmac } from "node:crypto";
import { SCHEMA_VERSION } from "../../db/schema.ts";
import type { Account } from "../../contracts/accounts.ts";
import { deniedTools } from "../../contracts/approvals.ts";
import type { Toolbox, ToolCaller } from "../../contracts/toolbox.ts";
import { fail, ok, orThrow } from "../../contracts/errors.ts";
import { newId } from "../../contracts/ids.ts";
import type { LlmAgent } from "../../contracts/llm.ts";
import type { Limiter } from "../../contracts/limits.ts";
import type { InSpan } from "../../contracts/spans.ts";
import type { Meter } from "../../contracts/metrics.ts";
import { lackedBy, namedModels, pricesOf } from "../../contracts/models.ts";
import { costUsd } from "../../contracts/prices.ts";
import type { QuestionIndex } from "../../contracts/vectors.ts";
import type { AccountDeps } from "./accounts/object.ts";
import { type Accounts, createAccounts } from "./accounts/client.ts";
import type { AppDeps } from "./app.ts";
import { lookUpDirect } from "./chat/direct-reuse.ts";
import { type ChatDefaults, resolveChat } from "./chat/resolve.ts";
import { modelLine } from "./chat/model-line.ts";
import { createTurnRunner } from "./chat/turn.ts";
import { type CacheAdmin, createCacheAdmin } from "./cache/admin.ts";
import { withBreaker } from "./cache/breaker.ts";
import { type Cache, createCache } from "./cache/cache.ts";
import { createRedisStore, type RedisStore } from "./cache/redis.ts";
import { createSemantic, type Semantic } from "./cache/semantic.ts";
import { type Config, readConfig } from "./env.ts";
import type { OnFault } from "./history/faults.ts";
import { readHistoryHealth } from "./history/health.ts";
import { openStores, type Stores } from "./history/open.ts";
import { createFlights, type FlightStub, type Flights } from "./flights/client.ts";
import { createAuthenticator, createKeepers } from "./http/auth.ts";
import { createCursors } from "./http/cursor.ts";
import { REFRESH_SECONDS } from "./http/credentials.ts";
import { createRequestLimit } from "./http/limits.ts";
import { createWhileStanding } from "./http/standing-signal.ts";
import {
  measureCache,
  measureCall,
  measureDirect,
  measureModels,
  measurePurges,
  measureReplies,
  measureTools,
  measureTurn,
} from "./metrics/measure.ts";
import { readFigures, readOutbox } from "./metrics/figures.ts";
import type { Reporter } from "./metrics/reporter.ts";
import { makeLog, makeProbes, makeReporter, shardOf } from "./observing.ts";
import { createAttachments } from "./session/attachments.ts";
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
  METRICS: DurableObjectNamespace;
  /** Where a deployment binds it. */
  ANALYTICS?: AnalyticsEngineDataset;
}

export const now = (): number => Date.now();
const randomBytes = (length: number): Uint8Array => crypto.getRandomValues(new Uint8Array(length));
const writeLine = (text: string): void => console.log(text);
const makeId = (): string => newId(now(), randomBytes);
const newCallId = (): string => `call_${makeId()}`;

type WaitUntil = (work: Promise<unknown>) => void;

/** What the public routes need. */
export function makeAppDeps(env: Env, waitUntil: WaitUntil, inSpan: InSpan): AppDeps {
  const config = readConfig({ ...env });
  const log = makeLog(config, writeLine);
  const { problems } = config;
  if (problems.length > 0) log({ service: "main", route: "start", error: "settings", problems });
  const meter = reporterOf(env, config, waitUntil);
  const readMetrics = () => readFigures(meter, (at) => shardOf(env, at));
  const cache = makeCache(config, meter);
  const toolbox = toolboxOf(env);
  const tools = createMcpToolServer({ fetch: (url, init) => env.MCP.fetch(url, init), now, waitUntil });
  const accounts = makeAccounts(env, config);
  const authenticate = createAuthenticator(config.SECRET_KEY, accounts);
  const stores = makeStores(config);
  const findLimiter = (name: string) => limiterOf(env, config, name);
  return {
    ...{ now, log, newId: makeId, accounts, findLimiter, meter, readMetrics, randomBytes, inSpan },
    metricsToken: config.METRICS_TOKEN,
    authenticate,
    secretKey: config.SECRET_KEY,
    users: stores.users(),
    isSignUpOpen: config.SIGN_UP === "open",
    limitRequest: createRequestLimit(findLimiter),
    corsOrigins: config.CORS_ORIGINS,
    attachmentHosts: config.ATTACHMENT_HOSTS,
    send: createSessionClient(env.SESSIONS),
    residency: config.RESIDENCY,
    cache: makeCacheAdmin(config, meter),
    toolbox,
    callTool(call) {
      const parts = { toolbox, cache, list: (caller: ToolCaller) => tools.list(caller), now, waitUntil };
      return measureDirect(call, () => callDirectly(call, parts), { meter, now });
    },
    deniedTo: (userId) => deniedTools(config.TOOL_POLICY ?? [], userId),
    forward: async (request) => ownHeaders(await env.MCP.fetch(request)),
    readAsset: (path) => env.ASSETS.fetch(new URL(path, "https://assets.internal")),
    historyHealth: () => readHistoryHealth(stores.history(), SCHEMA_VERSION, () => readOutbox(readMetrics, now)),
    archive: stores.archive(),
    importer: stores.importer(),
    cursors: createCursors(config.SECRET_KEY),
    problems,
    expectedSchema: SCHEMA_VERSION,
    probes: makeProbes(env, makeRedis(config), now),
    llmHealth: (requestId) => llmAgent(env).health({ requestId, userId: "health" }),
    isKeeper: createKeepers(config.METRICS_TOKEN, authenticate),
    ...makeModels(env, config, meter),
    whileStanding: createWhileStanding(accounts, config.ACCOUNT_RECHECK_MS),
    resolve: (request, preferences, said) => resolveChat(request, preferences, defaultsOf(config), said),
    defaultModel: config.DEFAULT_MODEL,
    lookUpAnswer: (call) =>
      lookUpDirect(call, { cache, sharesAnswers: config.CACHE_SCOPE === "shared", newCallId, now }),
    keepAnswer: (write) => waitUntil(cache.write(write)),
  };
}

/** What a session's object needs. */
export function makeSessionDeps(env: Env, state: DurableObjectState, inSpan: InSpan): SessionDeps {
  const config = readConfig({ ...env });
  const log = makeLog(config, writeLine);
  const waitUntil: WaitUntil = (work) => state.waitUntil(work);
  const meter = reporterOf(env, config, waitUntil);
  const cache = makeCache(config, meter);
  const admin = makeCacheAdmin(config, meter);
  const server = createMcpToolServer({
    fetch: (url, init) => env.MCP.fetch(url, init),
    now,
    waitUntil,
    noteHits: (names) => toolboxOf(env).noteHits(names),
  });
  const history = makeStores(config).history();
  const attachments = createAttachments(state.storage.sql, history);
  const tools = measureTools(server, meter, now);
  const prices = pricesOf(config.MODELS);
  const models = makeModels(env, config, meter);
  const turns = createTurnRunner({
    ...{ cache, tools, now, log, inSpan, ...models },
    onModelCall(call, request) {
      measureCall(meter, call);
      log(modelLine(call, request, costUsd(prices, call.model, call.usage)));
    },
    semantic: makeSemantic(config, cache, models.llm),
    flights: config.CACHE_ENABLED === "true" ? makeFlights(env, config) : undefined,
    placeTimeoutMs: config.CACHE_READ_TIMEOUT_MS,
    joinTimeoutMs: config.CACHE_JOIN_TIMEOUT_MS,
    sharesAnswers: config.CACHE_SCOPE === "shared",
    policy: config.TOOL_POLICY ?? [],
    saver: () => new SqliteSaver(state.storage.sql, Math.random),
    showAttachments: (messages, turn) => attachments.fill(messages, turn, lackedBy(config.MODELS, turn.model)),
  });
  return {
    ...{ turns, cache, tools, now, log, meter, prices },
    onTurnEnd: (turn) => measureTurn(meter, prices, turn),
    accounts: makeAccounts(env, config),
    resolve: (request, preferences, said) => orThrow(resolveChat(request, preferences, defaultsOf(config), said)),
    recheckMs: config.ACCOUNT_RECHECK_MS,
    purge: admin.purge,
    explain: admin.explain,
    newId: makeId,
    random: Math.random,
    history,
    attachments,
    contextTokens: config.CONTEXT_TOKENS,
    keepAliveMs: config.KEEP_ALIVE_MS,
    turnLogMs: config.TURN_LOG_SECONDS * 1_000,
    titleModel:
      config.TITLE_MODEL === undefined
        ? undefined
        : { llm: measureReplies(models.llm, meter, now), model: config.TITLE_MODEL },
    restMs: config.SESSION_REST_DAYS * 86_400_000,
  };
}

/** What an account's object needs. */
export function makeAccountDeps(env: Env, state: DurableObjectState): AccountDeps {
  const config = readConfig({ ...env });
  const log = makeLog(config, writeLine);
  const meter = reporterOf(env, config, (work) => state.waitUntil(work));
  const send = createSessionClient(env.SESSIONS);
  const { purge } = makeCacheAdmin(config, meter);
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
function makeModels(env: Env, { SECRET_KEY: secret, ...config }: Config, meter: Meter) {
  return {
    llm: measureModels(llmAgent(env), meter, now),
    newCallId,
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

function makeCacheAdmin(config: Config, meter: Meter): CacheAdmin {
  const enabled = config.CACHE_ENABLED === "true";
  const [redis, prices] = [makeRedis(config), pricesOf(config.MODELS)];
  const parts = { redis, enabled, prices, now, log: makeLog(config, writeLine), index: questionsOf(config) };
  return measurePurges(createCacheAdmin(parts), meter);
}

/** Where other wordings of a question are found; undefined where none is to be. */
function questionsOf(config: Config): QuestionIndex | undefined {
  const { CACHE_ENABLED: enabled, CACHE_SEMANTIC_MODEL: model } = config;
  return enabled === "true" && model !== undefined ? makeStores(config).questions() : undefined;
}

function makeSemantic(config: Config, cache: Cache, llm: LlmAgent): Semantic | undefined {
  const { CACHE_SEMANTIC_MODEL: model, CACHE_SEMANTIC_THRESHOLD: threshold } = config;
  const index = questionsOf(config);
  if (model === undefined || index === undefined) return undefined;
  const log = makeLog(config, writeLine);
  return createSemantic({ ...{ model, threshold, index, cache, now, log }, embed: (...asked) => llm.embed(...asked) });
}

function makeCache(config: Config, meter: Meter): Cache {
  const redis = makeRedis(config);
  const onState = (isOpen: boolean) => meter.gauge("basechat_breaker_open", { breaker: "redis" }, Number(isOpen));
  const { CACHE_LLM_TTL: llm, CACHE_INTENT_TTL: intent, CACHE_MCP_TTL: mcp } = config;
  const store = config.CACHE_ENABLED === "true" && redis ? withBreaker(redis, { now, onState }) : undefined;
  const index = questionsOf(config);
  const cache = createCache({ redis: store, ttlSeconds: { llm, intent, mcp }, now, random: Math.random, index });
  return measureCache(cache, meter);
}

function reporterOf(env: Env, config: Config, waitUntil: WaitUntil): Reporter {
  const { DEFAULT_MODEL: model, TITLE_MODEL: title = model } = config;
  const models = new Set([model, title, ...namedModels(config.MODELS)]);
  return makeReporter(env, { models, now, newId: makeId, waitUntil });
}

function makeStores(config: Config): Stores {
  const { DATABASE_URL: databaseUrl, DATABASE_HTTP_URL: httpUrl, RESIDENCY: residency } = config;
  const log = makeLog(config, writeLine);
  const onFault: OnFault = ({ kind, reason }) => log({ service: "main", route: "postgres", error: kind, code: reason });
  return openStores({ databaseUrl, httpUrl, now, onFault, residency });
}
