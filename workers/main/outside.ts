/**
 * What main's parts reach: Redis, Postgres, the other Workers, objects of other kinds, the log. Made from settings and bindings where it is
 * needed; lives as long as what it is made for. Pure wiring; deps.ts puts the parts together.
 */
import { createHmac } from "node:crypto";
import type { Toolbox } from "../../contracts/toolbox.ts";
import { newId } from "../../contracts/ids.ts";
import type { LlmAgent, NoteCall } from "../../contracts/llm.ts";
import type { Limiter } from "../../contracts/limits.ts";
import type { Meter } from "../../contracts/metrics.ts";
import { pricesOf } from "../../contracts/models.ts";
import { costUsd } from "../../contracts/prices.ts";
import type { QuestionIndex } from "../../contracts/vectors.ts";
import { type AccountStub, type Accounts, accountAt, createAccounts } from "./accounts/client.ts";
import { type CacheAdmin, createCacheAdmin } from "./cache/admin.ts";
import { withBreaker } from "./cache/breaker.ts";
import { type Cache, createCache } from "./cache/cache.ts";
import { createRedisStore, type RedisStore } from "./cache/redis.ts";
import { createSemantic, type Semantic } from "./cache/semantic.ts";
import { modelLine } from "./chat/model-line.ts";
import type { Config } from "./env.ts";
import type { OnFault } from "./history/faults.ts";
import { openStores, type Stores } from "./history/open.ts";
import { createFlights, type FlightStub, type Flights } from "./flights/client.ts";
import { measureCache, measureCall, measureModels, measurePurges } from "./metrics/measure.ts";
import type { Reporter } from "./metrics/reporter.ts";
import { makeLog, makeReporter, servedRequest } from "./observing.ts";
import { createSessionClient, inEurope } from "./session/client.ts";

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
export const randomBytes = (length: number): Uint8Array => crypto.getRandomValues(new Uint8Array(length));
export const writeLine = (text: string): void => console.log(text);
export const makeId = (): string => newId(now(), randomBytes);
export const newCallId = (): string => `call_${makeId()}`;

export type WaitUntil = (work: Promise<unknown>) => void;

// A namespace's stubs answer their object's methods by RPC; their types are made from classes, which these files do not import.
export function makeAccounts(env: Env, config: Config): Accounts {
  const objects = () => placed(env.ACCOUNTS, config);
  const find = {
    idFromName: (name: string) => objects().idFromName(name),
    get: (id: DurableObjectId) => accountAt(objects().get(id) as unknown as AccountStub, servedRequest),
  };
  return createAccounts(find, { now, holdsMs: config.ACCOUNT_RECHECK_MS });
}

export function makeFlights(env: Env, config: Config): Flights {
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

export function limiterOf(env: Env, config: Config, name: string): Limiter {
  const objects = placed(env.LIMITERS, config);
  return objects.get(objects.idFromName(name)) as unknown as Limiter;
}

export function toolboxOf(env: Env): Toolbox {
  return env.TOOLBOX as unknown as Toolbox; // as of llmAgent
}

/** What it takes to call a model. Each call is noted once, whoever makes it; `service` names them in the log. */
export function makeModels(env: Env, config: Config, { meter, service }: { meter: Meter; service: string }) {
  const { SECRET_KEY: secret } = config;
  const prices = pricesOf(config.MODELS);
  const log = makeLog(config, writeLine);
  const noteCall: NoteCall = (...noted) => {
    const [call] = noted;
    const usd = costUsd(prices, call.model, call.usage);
    measureCall(meter, call, usd);
    log(modelLine(service, noted, usd));
  };
  return {
    llm: measureModels(llmAgent(env), { meter, noteCall, now }),
    noteCall,
    newCallId,
    stallTimeoutMs: config.LLM_STALL_TIMEOUT_MS,
    streamTimeoutMs: config.LLM_STREAM_TIMEOUT_MS,
    cacheSalt: (userId: string) =>
      secret === undefined
        ? undefined
        : createHmac("sha256", secret).update(`cache salt ${userId}`).digest("base64url"),
  };
}

export function llmAgent(env: Env): LlmAgent {
  // The binding's stub answers the entrypoint's methods by RPC; its type is generated from the other Worker's code,
  // which this one does not import.
  return env.LLM_AGENT as unknown as LlmAgent;
}

export function makeRedis(config: Config): RedisStore | undefined {
  const { UPSTASH_REDIS_REST_URL: url, UPSTASH_REDIS_REST_TOKEN: token, CACHE_READ_TIMEOUT_MS: readTimeoutMs } = config;
  return url !== undefined && token !== undefined ? createRedisStore({ url, token, readTimeoutMs }) : undefined;
}

export function makeCacheAdmin(config: Config, meter: Meter): CacheAdmin {
  const enabled = config.CACHE_ENABLED === "true";
  const prices = pricesOf(config.MODELS);
  const admin = {
    redis: makeRedis(config),
    enabled,
    prices,
    now,
    log: makeLog(config, writeLine),
    index: questionsOf(config),
  };
  return measurePurges(createCacheAdmin(admin), meter);
}

/** Where other wordings of a question are found; undefined where none is to be. */
function questionsOf(config: Config): QuestionIndex | undefined {
  const { CACHE_ENABLED: enabled, CACHE_SEMANTIC_MODEL: model } = config;
  return enabled === "true" && model !== undefined ? makeStores(config).questions() : undefined;
}

export function makeSemantic(
  config: Config,
  { cache, llm, settle }: { cache: Cache; llm: LlmAgent; settle: Accounts["settle"] },
): Semantic | undefined {
  const { CACHE_SEMANTIC_MODEL: model, CACHE_SEMANTIC_THRESHOLD: threshold } = config;
  const index = questionsOf(config);
  if (model === undefined || index === undefined) return undefined;
  const log = makeLog(config, writeLine);
  return createSemantic({
    ...{ model, threshold, index, cache, now, log },
    embed: (...asked) => llm.embed(...asked),
    onSpent(userId, { usage, provider }) {
      const record = { id: makeId(), kind: "embedding", sessionId: null, turnId: null, provider } as const;
      void settle(userId, { model, usage, record });
    },
  });
}

export function makeCache(config: Config, meter: Meter): Cache {
  const redis = makeRedis(config);
  const onState = (isOpen: boolean) => meter.gauge("basechat_breaker_open", { breaker: "redis" }, Number(isOpen));
  const { CACHE_LLM_TTL: llm, CACHE_INTENT_TTL: intent, CACHE_MCP_TTL: mcp } = config;
  const store = config.CACHE_ENABLED === "true" && redis ? withBreaker(redis, { now, onState }) : undefined;
  const index = questionsOf(config);
  return measureCache(
    createCache({ redis: store, ttlSeconds: { llm, intent, mcp }, now, random: Math.random, index }),
    meter,
  );
}

export function reporterOf(env: Env, config: Config, waitUntil: WaitUntil): Reporter {
  return makeReporter(env, { models: config.modelNames, now, newId: makeId, waitUntil });
}

/** Made when one of its members is first called: most objects never need it. */
export function lazily<T extends object>(make: () => T): T {
  let made: T | undefined;
  return new Proxy({} as T, { get: (_target, name) => Reflect.get((made ??= make()), name) }); // whose members all are functions
}

export function makeStores(config: Config): Stores {
  const { DATABASE_URL: databaseUrl, DATABASE_HTTP_URL: httpUrl, RESIDENCY: residency } = config;
  const log = makeLog(config, writeLine);
  const onFault: OnFault = ({ kind, reason }) => log({ service: "main", route: "postgres", error: kind, code: reason });
  return openStores({ databaseUrl, httpUrl, now, onFault, residency });
}
