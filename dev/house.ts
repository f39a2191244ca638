/**
 * A house: the three Workers on real workerd with the stand-ins around them, for tests and benchmarks.
 * State lives in this process and ends with `close()`; with `persistTo` the objects' storage stays in that folder.
 * Nothing but loopback is ever reached.
 */
import type { SessionCommand } from "../contracts/session.ts";
import { migrate } from "../db/migrate.ts";
import type { Sql } from "../db/open.ts";
import type { Bundles } from "./build.ts";
import {
  LOCAL_LLM_KEY,
  LOCAL_REDIS_TOKEN,
  localSettings,
  makeUserWithKey,
  newSecretKey,
  openLocalSql,
} from "./local.ts";
import { openRuntime, type Runtime } from "./house/runtime.ts";
import { type LlmStandInOptions, serveLlm } from "./stand-ins/llm.ts";
import { serveNeon } from "./stand-ins/neon.ts";
import { serveRedis } from "./stand-ins/redis.ts";
import type { StandIn } from "./stand-ins/serve.ts";

export interface HouseOptions {
  bundles: Bundles;
  /** Over the local settings of all three Workers. */
  settings?: Record<string, string>;
  llm?: LlmStandInOptions;
  /** Stands for the public network, for the tools alone (dev/stand-ins/internet.ts). */
  internet?: StandIn;
  /** A second main Worker with the objects of the first. */
  hasTwin?: boolean;
  /** Folder of the objects' storage, for a house whose runtime is killed; left out: it ends with the runtime. */
  persistTo?: string;
  /** Sees every reply of `call` before its caller does; it must read a copy. */
  onReply?(exchange: { method: string; path: string; response: Response }): Promise<void>;
}

export interface Tenant {
  id: string;
  apiKey: string;
}

export interface CallOptions {
  as?: Tenant;
  method?: string;
  /** Sent as JSON; a string and bytes are sent as they are. */
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** Through the second main Worker. */
  through?: "twin";
}

export interface House {
  /** Of main; another one after `restart()`. */
  readonly url: URL;
  llm: StandIn;
  redis: StandIn;
  neon: StandIn;
  sql: Sql;
  /** The JSON lines that the Workers have written. */
  lines: Record<string, unknown>[];
  newTenant(role?: "user" | "admin"): Promise<Tenant>;
  /** A request to main. */
  call(path: string, options?: CallOptions): Promise<Response>;
  /** Queries the SQLite of the object that holds a session. */
  querySession(sessionId: string, query: string): Promise<Record<string, unknown>[]>;
  /** Sends a command to the object that holds a session, as main does. */
  commandSession(sessionId: string, command: SessionCommand): Promise<{ status: number; body: unknown }>;
  /** Takes a session's object out of memory, as the platform does at times. */
  evict(sessionId: string): Promise<void>;
  /** The same for any object, by its class and its name. */
  queryObject: Runtime["queryObject"];
  evictObject: Runtime["evictObject"];
  /** What the platform does once an hour. */
  runSchedule(): Promise<void>;
  /** SIGKILL to the runtime: the stand-ins live on. */
  kill(): Promise<void>;
  /** Another runtime on the same storage and settings. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

/** Houses ask more of one user than any person does. */
const UNLIMITED = {
  LIMIT_REQUESTS_PER_MINUTE: "1000000",
  LIMIT_TOKENS_PER_MINUTE: "1000000000",
  LIMIT_STREAMS: "100000",
};
const SILENT = { firstTokenMs: 0, tokensPerSecond: Number.POSITIVE_INFINITY };

/** What stands around the Workers: the stand-ins, a database that has its tables, and the settings that lead there. */
export interface Surroundings extends Pick<House, "llm" | "redis" | "neon" | "sql" | "newTenant"> {
  bindings: Record<string, string>;
  close(): Promise<void>;
}

export async function openSurroundings(options: Pick<HouseOptions, "settings" | "llm">): Promise<Surroundings> {
  const { settings, llm: llmOptions } = options;
  const [llm, redis, neon] = await Promise.all([
    serveLlm({ apiKey: LOCAL_LLM_KEY, pace: SILENT, ...llmOptions }),
    serveRedis({ token: LOCAL_REDIS_TOKEN }),
    serveNeon(),
  ]);
  const sql = openLocalSql(neon.url);
  await migrate(sql, "up");
  const secretKey = settings?.["SECRET_KEY"] ?? newSecretKey();
  const local = localSettings({ llm: llm.url, redis: redis.url, neon: neon.url }, secretKey);
  let tenants = 0;
  return {
    ...{ llm, redis, neon, sql, bindings: { ...local, ...UNLIMITED, ...settings } },
    newTenant(role = "user") {
      tenants += 1;
      return makeUserWithKey(sql, { username: `tenant-${tenants}`, role, secretKey });
    },
    async close() {
      await Promise.all([llm.close(), redis.close(), neon.close()]);
    },
  };
}

export async function openHouse(options: HouseOptions): Promise<House> {
  const { bundles, internet, hasTwin, persistTo, onReply } = options;
  const { bindings, close: closeSurroundings, ...surroundings } = await openSurroundings(options);
  const lines: Record<string, unknown>[] = [];
  const runtime = await openRuntime({
    ...{ bundles, bindings, persistTo, onLine: (line) => void lines.push(line) },
    ...{ internet: internet?.url, hasTwin },
  });

  return {
    ...{ ...surroundings, lines },
    get url() {
      return runtime.url;
    },
    async call(path, request = {}) {
      const method = request.method ?? (request.body === undefined ? "GET" : "POST");
      const response = await callMain(new URL((request.through ? runtime.twinUrl : runtime.url).origin + path), {
        ...request,
        method,
      });
      await onReply?.({ method, path, response });
      return response;
    },
    querySession: runtime.query,
    commandSession: runtime.command,
    evict: runtime.evict,
    ...{ queryObject: runtime.queryObject, evictObject: runtime.evictObject },
    runSchedule: runtime.runSchedule,
    kill: runtime.kill,
    restart: runtime.restart,
    async close() {
      await runtime.close();
      await closeSurroundings();
    },
  };
}

/** A request to a main Worker. */
export function callMain(
  url: URL,
  { as, body, headers = {}, signal, ...options }: CallOptions = {},
): Promise<Response> {
  return fetch(url, {
    method: options.method ?? (body === undefined ? "GET" : "POST"),
    headers: {
      ...(as && { authorization: `Bearer ${as.apiKey}` }),
      ...(body !== undefined && { "content-type": "application/json" }),
      ...headers,
    },
    ...(body !== undefined && {
      body: typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body),
    }),
    ...(signal && { signal }),
  });
}
