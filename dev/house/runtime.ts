/**
 * The three Workers on real workerd: one process that can lose an object, be killed, and be started again on its storage.
 * State: the process, and its storage in `persistTo` or for its life only. Plain Miniflare, since outbound requests must be
 * workerd's own: through Node's fetch an upstream would not see its reader leave.
 */
import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from "miniflare";
import { unstable_readConfig } from "wrangler";
import { objectName } from "../../contracts/ids.ts";
import { type Bundles, CONFIGS, ROOT } from "../build.ts";
import { INTERNET_SCRIPT } from "../stand-ins/internet.ts";

export interface RuntimeOptions {
  bundles: Bundles;
  bindings: Record<string, string>;
  /** Folder of the objects' storage; left out: it ends with the process. */
  persistTo: string | undefined;
  /** The stand-in that is the public network for the Worker of the tools; left out: the network itself. */
  internet?: string | undefined;
  /** A second main Worker, in an isolate of its own, with the first one's objects: as main runs in many places at once. */
  hasTwin?: boolean | undefined;
  /** A line that a Worker has written, or the runtime itself. */
  onLine(line: Record<string, unknown>): void;
}

export interface Runtime {
  /** Of the process that runs now. */
  readonly url: URL;
  /** Of the second main Worker; without one it is main's. */
  readonly twinUrl: URL;
  /** Queries the SQLite of the object that holds a session. */
  query(sessionId: string, query: string): Promise<Record<string, unknown>[]>;
  /** Sends a command to the object that holds a session, as main does. */
  command(sessionId: string, command: object): Promise<{ status: number; body: unknown }>;
  /** Takes the object of a session out of memory, as the platform does at times; its storage stays. */
  evict(sessionId: string): Promise<void>;
  /** The same of any object of the three Workers, by its class and its name. */
  queryObject(className: ObjectClass, name: string, query: string): Promise<Record<string, unknown>[]>;
  evictObject(className: ObjectClass, name: string): Promise<void>;
  /** What the platform does at the times that wrangler.toml names. */
  runSchedule(): Promise<void>;
  /** SIGKILL: nothing is flushed, nobody is told. */
  kill(): Promise<void>;
  /** Another process on the same storage and settings. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

/** Which Worker an object's class belongs to. */
const WORKER_OF = {
  ...{ SessionObject: "basechat", MetricsObject: "basechat", AccountObject: "basechat" },
  ...{ McpSessionObject: "basechat-mcp" },
  ...{ ToolboxObject: "basechat-mcp", MonitorObject: "basechat-mcp" },
} as const;
export type ObjectClass = keyof typeof WORKER_OF;
/** Marks the environment of the processes that a runtime has started. */
const MARK = "BASECHAT_RUNTIME";

export async function openRuntime(options: RuntimeOptions): Promise<Runtime> {
  const mark = randomUUID();
  let workerd = start(options, mark);
  const addressOf = async (running: Miniflare) => {
    const url = await running.ready;
    return { url, twinUrl: options.hasTwin ? await running.unsafeGetDirectURL(TWIN) : url };
  };
  let address = await addressOf(workerd);

  const queryObject: Runtime["queryObject"] = async (className, name, query) => {
    const storage = await workerd.unsafeGetDurableObjectStorage(WORKER_OF[className], className, { name });
    return storage.exec(query);
  };
  const evictObject: Runtime["evictObject"] = (className, name) =>
    workerd.unsafeEvictDurableObject(WORKER_OF[className], className, { name });
  return {
    ...{ queryObject, evictObject },
    get url() {
      return address.url;
    },
    get twinUrl() {
      return address.twinUrl;
    },
    query: (sessionId, query) => queryObject("SessionObject", objectName(sessionId), query),
    async command(sessionId, command) {
      const objects = await workerd.getDurableObjectNamespace("SESSIONS", WORKER_OF.SessionObject);
      const object = objects.get(objects.idFromName(objectName(sessionId)));
      const response = await object.fetch("https://session.internal/", {
        method: "POST",
        body: JSON.stringify(command),
      });
      return { status: response.status, body: await response.json() };
    },
    evict: (sessionId) => evictObject("SessionObject", objectName(sessionId)),
    async runSchedule() {
      await (await workerd.getWorker(WORKER_OF.SessionObject)).scheduled();
    },
    async kill() {
      for (const pid of childrenMarked(mark)) process.kill(pid, "SIGKILL");
      // At once: Miniflare would start a process of its own in the place of one that crashed.
      await workerd.dispose();
    },
    async restart() {
      await workerd.dispose();
      workerd = start(options, mark);
      address = await addressOf(workerd);
    },
    close: () => workerd.dispose(),
  };
}

function start({ bundles, bindings, persistTo, internet, hasTwin, onLine }: RuntimeOptions, mark: string): Miniflare {
  const workers = CONFIGS.map((config) => ({
    ...{ ...workerOptions(config), script: bundles[config] ?? "", bindings },
    ...(internet !== undefined && config === "wrangler.mcp.toml" && { outboundService: INTERNET_WORKER }),
  }));
  const [main] = workers.filter(({ name }) => name === WORKER_OF.SessionObject);
  const twins = hasTwin && main ? [twinOf(main)] : [];
  const between = internet === undefined ? [] : [internetWorker(internet)];
  return new Miniflare(
    convertV4MiniflareOptions({
      log: new Log(LogLevel.ERROR),
      handleStructuredLogs: ({ message }) => onLine(readLine(message)),
      unsafeInspectDurableObjects: true,
      unsafeRuntimeEnv: { [MARK]: mark },
      ...(persistTo !== undefined && { resourcePersistencePath: persistTo }),
      workers: [...workers, ...twins, ...between],
    }),
  );
}

const TWIN = "basechat-twin";

/** The same script; its objects are the other one's. */
function twinOf<W extends ReturnType<typeof workerOptions>>(main: W) {
  const durableObjects = Object.fromEntries(
    Object.entries(main.durableObjects).map(([binding, object]) => [binding, { ...object, scriptName: main.name }]),
  );
  return { ...main, name: TWIN, durableObjects, unsafeDirectSockets: [{}] };
}

const INTERNET_WORKER = "internet";

function internetWorker(url: string) {
  return {
    ...{ name: INTERNET_WORKER, modules: true as const, script: INTERNET_SCRIPT, bindings: { INTERNET: url } },
    compatibilityDate: "2026-10-01",
    compatibilityFlags: ["enable_request_signal", "request_signal_passthrough"],
  };
}

/** A Worker's lines are JSON objects; what the runtime says of a broken object is text. */
function readLine(message: string): Record<string, unknown> {
  try {
    return JSON.parse(message) as Record<string, unknown>; // ours are objects
  } catch {
    return { service: "runtime", message };
  }
}

/** Children of this process that were started with this mark, and no others. */
function childrenMarked(mark: string): number[] {
  const threads = readdirSync("/proc/self/task");
  const children = threads.flatMap((thread) => readFileSync(`/proc/self/task/${thread}/children`, "utf8").split(" "));
  return children
    .filter((pid) => pid !== "" && readFileSync(`/proc/${pid}/environ`, "utf8").includes(`${MARK}=${mark}`))
    .map(Number);
}

/** What is read of wrangler's own type, whose parts are not exported. */
interface WorkerConfig {
  name?: string | undefined;
  compatibility_date?: string | undefined;
  compatibility_flags: string[];
  migrations: { new_sqlite_classes?: string[] }[];
  durable_objects: { bindings: { name: string; class_name: string }[] };
  services?: { binding: string; service: string; entrypoint?: string }[] | undefined;
  assets?: Partial<Assets> | undefined;
}

interface Assets {
  directory: string;
  binding: string;
  run_worker_first: boolean | string[];
  html_handling: "auto-trailing-slash" | "force-trailing-slash" | "drop-trailing-slash" | "none";
}

/** What a Worker's configuration file says of it; settings are the caller's, so a developer's .dev.vars plays no part. */
export function workerOptions(file: string) {
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
    ...(config.assets && { assets: assetOptions(config.assets) }),
    serviceBindings: Object.fromEntries(services) as Record<string, { name: string; entrypoint?: string }>,
  };
}

function assetOptions({ directory = "", binding, run_worker_first, html_handling }: Partial<Assets>) {
  return {
    directory: join(ROOT, directory),
    ...(binding !== undefined && { binding }),
    ...(run_worker_first !== undefined && { run_worker_first }),
    ...(html_handling !== undefined && { assetConfig: { html_handling } }),
    routerConfig: { has_user_worker: true },
  };
}
