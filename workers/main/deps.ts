/**
 * The service factory: the only place where main's parts are put together. Parts are made when they are first needed
 * and live as long as the request or the object that they were made for.
 */
import { SCHEMA_VERSION } from "../../db/schema.ts";
import { deniedTools } from "../../contracts/approvals.ts";
import type { ToolCaller } from "../../contracts/toolbox.ts";
import { fail, ok, orThrow } from "../../contracts/errors.ts";
import type { InSpan } from "../../contracts/spans.ts";
import { lackedBy, pricesOf, routesOf } from "../../contracts/models.ts";
import type { LimitSettings } from "./accounts/limits.ts";
import type { AccountDeps } from "./accounts/object.ts";
import type { AppDeps } from "./app.ts";
import { lookUpDirect } from "./chat/direct-reuse.ts";
import { type ChatDefaults, resolveChat } from "./chat/resolve.ts";
import { createSlots, createTurnRunner } from "./chat/turn.ts";
import { type Config, readConfig } from "./env.ts";
import { readHistoryHealth } from "./history/health.ts";
import { type KeptDays, retain } from "./history/retention.ts";
import type { Stores } from "./history/open.ts";
import { createAuthenticator, createKeepers } from "./http/auth.ts";
import { createCursors } from "./http/cursor.ts";
import { REFRESH_SECONDS } from "./http/credentials.ts";
import { createRequestLimit } from "./http/limits.ts";
import { createWhileStanding } from "./http/standing-signal.ts";
import { measureDirect, measureReplies, measureTools, measureTurn } from "./metrics/measure.ts";
import { readFigures, readOutbox } from "./metrics/figures.ts";
import { makeLog, makeProbes, onBehalfOf, shardOf } from "./observing.ts";
import { createLookAhead } from "./session/ahead.ts";
import { createAttachments } from "./session/attachments.ts";
import { createSessionClient } from "./session/client.ts";
import type { SessionDeps } from "./session/keeper.ts";
import { SqliteSaver } from "./session/saver.ts";
import { callDirectly } from "./tools/direct.ts";
import { createMcpToolServer } from "./tools/mcp.ts";
import {
  type Env,
  lazily,
  limiterOf,
  llmAgent,
  makeAccounts,
  makeCache,
  makeCacheAdmin,
  makeFlights,
  makeId,
  makeModels,
  makeRedis,
  makeSemantic,
  makeStores,
  newCallId,
  now,
  randomBytes,
  reporterOf,
  toolboxOf,
  type WaitUntil,
  writeLine,
} from "./outside.ts";

const DAY_MS = 86_400_000;
/** For the way from main to an object. */
const HANDING_ON_MS = 200;

/** What the public routes need. */
export function makeAppDeps(env: Env, waitUntil: WaitUntil, inSpan: InSpan): AppDeps {
  const config = readConfig(env);
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
  const resolve: AppDeps["resolve"] = (request, preferences, said) =>
    resolveChat(request, preferences, defaultsOf(config), said);
  const sharing = sharingOf(config);
  const policy = config.TOOL_POLICY ?? [];
  return {
    ...{ now, log, onBehalfOf, newId: makeId, randomBytes, inSpan, waitUntil },
    ...{ accounts, findLimiter, meter, readMetrics },
    metricsToken: config.METRICS_TOKEN,
    authenticate,
    secretKey: config.SECRET_KEY,
    users: stores.users(),
    isSignUpOpen: config.SIGN_UP === "open",
    limitRequest: createRequestLimit(findLimiter),
    corsOrigins: config.CORS_ORIGINS,
    attachmentHosts: config.ATTACHMENT_HOSTS,
    send: createSessionClient(env.SESSIONS),
    lookAhead: createLookAhead({ cache, tools, resolve, slots: createSlots({ cache, policy, ...sharing }) }),
    residency: config.RESIDENCY,
    cache: makeCacheAdmin(config, meter),
    toolbox,
    callTool(call) {
      const list = (caller: ToolCaller) => tools.list(caller);
      const parts = { toolbox, cache, list, sharesResults: sharing.sharesAnswers, now, waitUntil };
      return measureDirect(call, () => callDirectly(call, parts), { meter, now });
    },
    deniedTo: (userId) => deniedTools(policy, userId),
    forward: async (request) => ownHeaders(await env.MCP.fetch(request)),
    readAsset: (path) => env.ASSETS.fetch(new URL(path, "https://assets.internal")),
    historyHealth: () => readHistoryHealth(stores.history(), SCHEMA_VERSION, () => readOutbox(readMetrics, now)),
    ...retentionOf(config, stores),
    ...{ archive: stores.archive(), importer: stores.importer(), problems },
    cursors: createCursors(config.SECRET_KEY),
    expectedSchema: SCHEMA_VERSION,
    probes: makeProbes(env, makeRedis(config), now),
    llmHealth: (requestId) => llmAgent(env).health({ requestId, userId: "health" }),
    isKeeper: createKeepers(config.METRICS_TOKEN, authenticate),
    ...makeModels(env, config, { meter, service: "main" }),
    prices: pricesOf(config.MODELS),
    // Figures of an isolate that is not heard of for long are taken for gone.
    whileStanding: createWhileStanding(accounts, config.ACCOUNT_RECHECK_MS, meter.flushSoon),
    resolve,
    defaultModel: config.DEFAULT_MODEL,
    lookUpAnswer: (call) => lookUpDirect(call, { cache, newCallId, now, ...sharing }),
    keepAnswer: (write) => waitUntil(cache.write(write)),
  };
}

/** What a session's object needs. */
export function makeSessionDeps(env: Env, state: DurableObjectState, inSpan: InSpan): SessionDeps {
  const config = readConfig(env);
  const log = makeLog(config, writeLine);
  const waitUntil: WaitUntil = (work) => state.waitUntil(work);
  const meter = reporterOf(env, config, waitUntil);
  const cache = makeCache(config, meter);
  const admin = () => makeCacheAdmin(config, meter); // seldom wanted
  const server = createMcpToolServer({
    fetch: (url, init) => env.MCP.fetch(url, init),
    now,
    waitUntil,
    noteHits: (names) => toolboxOf(env).noteHits(names),
  });
  const history = lazily(() => makeStores(config).history());
  const attachments = createAttachments(state.storage.sql, history);
  const tools = measureTools(server, meter, now);
  const prices = pricesOf(config.MODELS);
  const models = makeModels(env, config, { meter, service: "session" });
  const accounts = makeAccounts(env, config);
  const turns = createTurnRunner({
    ...{ cache, tools, now, log, inSpan, ...models },
    semantic: makeSemantic(config, { cache, llm: models.llm, settle: accounts.settle }),
    flights: config.CACHE_ENABLED === "true" ? makeFlights(env, config) : undefined,
    placeTimeoutMs: config.CACHE_READ_TIMEOUT_MS,
    joinTimeoutMs: config.CACHE_JOIN_TIMEOUT_MS,
    ...sharingOf(config),
    policy: config.TOOL_POLICY ?? [],
    saver: () => new SqliteSaver(state.storage.sql, Math.random),
    showAttachments: (messages, turn) =>
      attachments.fill(messages, turn, lackedBy(config.MODELS, turn.model, turn.onlyType)),
  });
  return {
    ...{ turns, cache, tools, now, log, onBehalfOf, meter, prices, accounts },
    onTurnEnd: (turn) => measureTurn(meter, turn),
    resolve: (request, preferences, said) => orThrow(resolveChat(request, preferences, defaultsOf(config), said)),
    recheckMs: config.ACCOUNT_RECHECK_MS,
    purge: (...asked) => admin().purge(...asked),
    explain: (...asked) => admin().explain(...asked),
    newId: makeId,
    random: Math.random,
    history,
    attachments,
    contextTokens: config.CONTEXT_TOKENS,
    aheadTimeoutMs: config.CACHE_READ_TIMEOUT_MS + HANDING_ON_MS,
    keepAliveMs: config.KEEP_ALIVE_MS,
    turnLogMs: config.TURN_LOG_SECONDS * 1_000,
    titleModel:
      config.TITLE_MODEL === undefined
        ? undefined
        : { llm: measureReplies(models.llm, { ...models, now }), model: config.TITLE_MODEL },
    restMs: config.SESSION_REST_DAYS * DAY_MS,
  };
}

/** What an account's object needs. */
export function makeAccountDeps(env: Env, state: DurableObjectState): AccountDeps {
  const config = readConfig(env);
  const log = makeLog(config, writeLine);
  const meter = reporterOf(env, config, (work) => state.waitUntil(work));
  const send = createSessionClient(env.SESSIONS);
  const stores = makeStores(config);
  return {
    ...{
      now,
      log,
      onBehalfOf,
      newId: makeId,
      users: stores.users(),
      ledger: stores.ledger(),
      loginMs: REFRESH_SECONDS * 1_000,
    },
    limits: limitsOf(config),
    prices: pricesOf(config.MODELS),
    async discardSession(sessionId, userId) {
      const response = await send(sessionId, { kind: "discard", sessionId, userId, requestId: "erasure" });
      if (response.status === 404) return ok(false);
      return response.ok ? ok(true) : fail("overloaded", "a session could not be emptied");
    },
    async purgeUser(userId) {
      const purged = await makeCacheAdmin(config, meter).purge({ user: userId }, { userId });
      return purged.ok ? ok(purged.value.deletedCount) : purged;
    },
  };
}

/** Deletes what is kept no longer; undefined: everything is kept. */
export function makeRetention(env: Env): (() => Promise<void>) | undefined {
  const config = readConfig(env);
  const days = keptDays(config);
  if (days.sessions === undefined && days.messages === undefined) return undefined;
  const history = lazily(() => makeStores(config).history());
  const log = makeLog(config, writeLine);
  const send = createSessionClient(env.SESSIONS);
  const requestId = makeId();
  return () =>
    onBehalfOf({ requestId }, () => retain(days, { history, send, requestId, random: Math.random, now, log }));
}

/** What the dry run of the retention needs. */
function retentionOf(config: Config, stores: Stores) {
  const { sessions, messages } = keptDays(config);
  const keeps = {
    session_days: sessions ?? null,
    message_days: messages ?? null,
    turn_log_seconds: config.TURN_LOG_SECONDS,
  };
  return { history: stores.history(), keeps, restMs: config.SESSION_REST_DAYS * DAY_MS };
}

function keptDays({ RETENTION_DAYS: sessions, MESSAGE_RETENTION_DAYS: messages }: Config): KeptDays {
  return { sessions, messages };
}

function limitsOf(config: Config): LimitSettings {
  return {
    requestsPerMinute: config.LIMIT_REQUESTS_PER_MINUTE,
    tokensPerMinute: config.LIMIT_TOKENS_PER_MINUTE,
    streams: config.LIMIT_STREAMS,
    tokensPerDay: config.LIMIT_TOKENS_PER_DAY,
    costPerDayUsd: config.LIMIT_COST_PER_DAY_USD,
  };
}

/** What decides who may be given an answer. */
function sharingOf({ CACHE_SCOPE, MODELS }: Config) {
  return { sharesAnswers: CACHE_SCOPE === "shared", routesOf: (model: string) => routesOf(MODELS, model) };
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

/** A fetched reply's headers are read-only; the body passes as it is. */
function ownHeaders(response: Response): Response {
  return new Response(response.body, response);
}
