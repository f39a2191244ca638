/**
 * A house: the three Workers on real workerd with the stand-ins around them, for tests and benchmarks. Plain Miniflare, since
 * outbound requests must be workerd's own: through Node's fetch an upstream would not see its reader leave.
 * State lives in this process and ends with `close()`. Nothing but loopback is ever reached.
 */
import { join } from "node:path";
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from "miniflare";
import { unstable_readConfig } from "wrangler";
import { objectName } from "../contracts/ids.ts";
import { migrate } from "../db/migrate.ts";
import type { Sql } from "../db/open.ts";
import { type Bundles, CONFIGS, ROOT } from "./build.ts";
import {
  LOCAL_LLM_KEY,
  LOCAL_REDIS_TOKEN,
  localSettings,
  makeUserWithKey,
  newSecretKey,
  openLocalSql,
} from "./local.ts";
import { type LlmStandInOptions, serveLlm } from "./stand-ins/llm.ts";
import { serveNeon } from "./stand-ins/neon.ts";
import { serveRedis } from "./stand-ins/redis.ts";
import type { StandIn } from "./stand-ins/serve.ts";

export interface HouseOptions {
  bundles: Bundles;
  /** Over the local settings of all three Workers. */
  settings?: Record<string, string>;
  llm?: LlmStandInOptions;
}

export interface Tenant {
  id: string;
  apiKey: string;
}

export interface CallOptions {
  as?: Tenant;
  method?: string;
  /** Sent as JSON; a string is sent as it is. */
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

export interface House {
  url: URL;
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
  close(): Promise<void>;
}

const SILENT = { firstTokenMs: 0, tokensPerSecond: Number.POSITIVE_INFINITY };

export async function openHouse({ bundles, settings = {}, llm: llmOptions }: HouseOptions): Promise<House> {
  const [llm, redis, neon] = await Promise.all([
    serveLlm({ apiKey: LOCAL_LLM_KEY, pace: SILENT, ...llmOptions }),
    serveRedis({ token: LOCAL_REDIS_TOKEN }),
    serveNeon(),
  ]);
  const sql = openLocalSql(neon.url);
  await migrate(sql, "up");
  const secretKey = newSecretKey();
  const lines: Record<string, unknown>[] = [];
  const local = localSettings({ llm: llm.url, redis: redis.url, neon: neon.url }, secretKey);
  const runtime = startWorkers(bundles, { ...local, ...settings }, lines);
  const url = await runtime.ready;
  let tenants = 0;

  return {
    ...{ url, llm, redis, neon, sql, lines },
    newTenant(role = "user") {
      tenants += 1;
      return makeUserWithKey(sql, { username: `tenant-${tenants}`, role, secretKey });
    },
    call: (path, options) => callMain(new URL(url.origin + path), options),
    async querySession(sessionId, query) {
      const object = { name: objectName(sessionId) };
      const storage = await runtime.unsafeGetDurableObjectStorage("basechat", "SessionObject", object);
      return storage.exec(query);
    },
    async close() {
      await runtime.dispose();
      await Promise.all([llm.close(), redis.close(), neon.close()]);
    },
  };
}

function startWorkers(bundles: Bundles, bindings: Record<string, string>, lines: Record<string, unknown>[]): Miniflare {
  const workers = CONFIGS.map((config) => ({ ...workerOptions(config), script: bundles[config] ?? "", bindings }));
  return new Miniflare(
    convertV4MiniflareOptions({
      log: new Log(LogLevel.ERROR),
      handleStructuredLogs: ({ message }) => void lines.push(JSON.parse(message) as Record<string, unknown>), // ours are objects
      unsafeInspectDurableObjects: true,
      workers,
    }),
  );
}

/** What is read of wrangler's own type, whose parts are not exported. */
interface WorkerConfig {
  name?: string | undefined;
  compatibility_date?: string | undefined;
  compatibility_flags: string[];
  migrations: { new_sqlite_classes?: string[] }[];
  durable_objects: { bindings: { name: string; class_name: string }[] };
  services?: { binding: string; service: string; entrypoint?: string }[] | undefined;
}

/** What a Worker's configuration file says of it; settings are the caller's, so a developer's .dev.vars plays no part. */
function workerOptions(file: string) {
  const config: WorkerConfig = unstable_readConfig({ config: join(ROOT, file) }, { hideWarnings: true });
  const sqlite = new Set(config.migrations.flatMap((migration) => migration.new_sqlite_classes ?? []));
  const objects = config.durable_objects.bindings.map(({ name, class_name }) => [
    name,
    { className: class_name, useSQLite: sqlite.has(class_name) },
  ]);
  const services = (config.services ?? []).map(({ binding, service, entrypoint }) => [
    binding,
    { name: service, ...(entrypoint && { entrypoint }) },
  ]);
  return {
    name: config.name ?? file,
    modules: true as const,
    compatibilityDate: config.compatibility_date ?? "",
    compatibilityFlags: config.compatibility_flags,
    durableObjects: Object.fromEntries(objects) as Record<string, { className: string; useSQLite: boolean }>,
    serviceBindings: Object.fromEntries(services) as Record<string, { name: string; entrypoint?: string }>,
  };
}

function callMain(url: URL, { as, method, body, headers = {}, signal }: CallOptions = {}): Promise<Response> {
  return fetch(url, {
    method: method ?? (body === undefined ? "GET" : "POST"),
    headers: {
      ...(as && { authorization: `Bearer ${as.apiKey}` }),
      ...(body !== undefined && { "content-type": "application/json" }),
      ...headers,
    },
    ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
    ...(signal && { signal }),
  });
}
