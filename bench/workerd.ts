/**
 * Workers on workerd alone, pinned to a core of their own. Miniflare puts Workers of its own before a Worker and between it and the network:
 * no deployment has them, and they take longer than some of what is measured here. State: the process, and a folder until `close()`.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { pin } from "./processes.ts";

/** Where the executable lies; the package has no types. */
const require = createRequire(import.meta.url);
const { default: WORKERD } = require("workerd") as { default: string };

export interface PlainWorker {
  name: string;
  script: string;
  compatibilityDate: string;
  compatibilityFlags?: string[];
  bindings?: Record<string, string>;
  /** By binding. */
  durableObjects?: Record<string, { className: string }>;
  serviceBindings?: Record<string, { name: string; entrypoint?: string }>;
}

export interface PlainRuntime {
  /** Of the first Worker. */
  url: URL;
  pid: number;
  close(): Promise<void>;
}

export async function openWorkerd(workers: PlainWorker[]): Promise<PlainRuntime> {
  const folder = await mkdtemp(join(tmpdir(), "basechat-workerd-"));
  await mkdir(join(folder, "objects"));
  for (const { name, script } of workers) await writeFile(join(folder, `${name}.js`), script);
  await writeFile(join(folder, "config.capnp"), describe(workers));
  const args = ["serve", "--experimental", "--control-fd=3", "config.capnp"];
  const child = spawn(WORKERD, args, { cwd: folder, stdio: ["ignore", "ignore", "ignore", "pipe"] });
  const end = (): void => void child.kill();
  process.once("exit", end); // also where the benchmark throws
  const told = once(child.stdio[3] as Readable, "data") as Promise<[Buffer]>; // a pipe, as said above
  const ended = once(child, "exit");
  const [line] = await Promise.race([told, ended.then(() => Promise.reject(new Error("workerd did not start")))]);
  const { port } = JSON.parse(line.toString()) as { port: number }; // workerd's: {"event":"listen","socket":"http","port":...}
  const pid = child.pid ?? Number.NaN;
  pin(pid, 1);
  return {
    ...{ url: new URL(`http://127.0.0.1:${port}`), pid },
    async close() {
      process.off("exit", end);
      end();
      await ended;
      await rm(folder, { recursive: true });
    },
  };
}

/** Its configuration: https://github.com/cloudflare/workerd/blob/main/src/workerd/server/workerd.capnp */
function describe(workers: PlainWorker[]): string {
  const services = [
    ...workers.map((worker) => `(name = ${quote(worker.name)}, worker = ${describeWorker(worker)})`),
    `(name = "internet", network = (allow = ["private", "public"]))`,
    `(name = "objects", disk = (path = "objects", writable = true))`,
  ];
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [${services.join(", ")}],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = ${quote(workers[0]?.name ?? "")})],
);
`;
}

function describeWorker({ name, compatibilityDate, compatibilityFlags = [], ...rest }: PlainWorker): string {
  const { bindings = {}, durableObjects = {}, serviceBindings = {} } = rest;
  const bound = [
    ...Object.entries(bindings).map(([key, text]) => [key, `text = ${quote(text)}`]),
    ...Object.entries(serviceBindings).map(([key, { name: service, entrypoint }]) => [
      key,
      `service = (name = ${quote(service)}${entrypoint === undefined ? "" : `, entrypoint = ${quote(entrypoint)}`})`,
    ]),
    ...Object.entries(durableObjects).map(([key, object]) => [
      key,
      `durableObjectNamespace = (className = ${quote(object.className)})`,
    ]),
  ];
  const classes = Object.values(durableObjects).map(
    ({ className }) =>
      `(className = ${quote(className)}, uniqueKey = ${quote(`${name}-${className}`)}, enableSql = true)`,
  );
  return `(
    modules = [(name = "index.js", esModule = embed ${quote(`${name}.js`)})],
    compatibilityDate = ${quote(compatibilityDate)},
    compatibilityFlags = [${compatibilityFlags.map(quote).join(", ")}],
    bindings = [${bound.map(([key, value]) => `(name = ${quote(key ?? "")}, ${value})`).join(", ")}],
    durableObjectNamespaces = [${classes.join(", ")}],
    durableObjectStorage = (localDisk = "objects"),
    globalOutbound = "internet",
  )`;
}

/** Escapes as JSON does, but for control characters, which no setting has. */
function quote(text: string): string {
  return JSON.stringify(text);
}
