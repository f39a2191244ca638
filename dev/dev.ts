/**
 * `npm run dev`: the three Workers on one port with everything around them, and what to try next.
 * State: .dev/ (database, objects, log, session.json) and .dev.vars, both git-ignored. Ctrl-C ends every process it started.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { migrate } from "../db/migrate.ts";
import { openSql } from "../db/open.ts";
import { makeUserWithKey, newSecretKey } from "./local.ts";
import { readDevVars, writeDevVars } from "./settings.ts";
import { type LocalStack, startStandIns } from "./stack.ts";

const FIRST_PORT = 8787;
const LOCK = ".dev/lock.json";
const SESSION = ".dev/session.json";
const LOG = ".dev/dev.log";
const READY_WITHIN_MS = 60_000;

const startedAt = Date.now();
const say = (text: string): void =>
  console.log(`${((Date.now() - startedAt) / 1_000).toFixed(1).padStart(5)} s  ${text}`);

async function main(): Promise<void> {
  await mkdir(".dev", { recursive: true });
  await takeLock();
  const vars = await readDevVars();
  const secretKey = vars.own["SECRET_KEY"] ?? vars.added["SECRET_KEY"] ?? newSecretKey();
  say("starting the stand-ins (Postgres, Redis, model) for what .dev.vars does not configure");
  const stack = await startStandIns(vars.own);
  const settings: Record<string, string> = { SECRET_KEY: secretKey, ...stack.settings, ...vars.own };
  await writeDevVars(vars, settings);

  const keys = await prepareDatabase(settings, secretKey);
  const port = await freePort(FIRST_PORT);
  if (port !== FIRST_PORT) say(`port ${FIRST_PORT} is taken: using ${port}`);
  say("starting the Workers");
  const wrangler = startWrangler(port);
  const stop = stopper(wrangler, stack);
  process.once("SIGINT", () => void stop(0));
  process.once("SIGTERM", () => void stop(0));
  wrangler.once("exit", (code) => {
    console.error(`wrangler ended with code ${code}; its output is in ${LOG}`);
    void stop(1);
  });

  const url = `http://localhost:${port}`;
  await untilReady(url);
  await writeSession(url, keys, stack);
  say("ready\n");
  printNextSteps(url, keys.user, stack);
}

/** Migrations, a development user and an admin. */
async function prepareDatabase(
  settings: Record<string, string>,
  secretKey: string,
): Promise<{ user: string; admin: string }> {
  const sql = openSql({
    databaseUrl: settings["DATABASE_URL"] ?? "",
    httpUrl: settings["DATABASE_HTTP_URL"],
    timeoutMs: 30_000,
  });
  const done = await migrate(sql, "up");
  say(done.length > 0 ? `database migrated: ${done.map(({ name }) => name).join(", ")}` : "database is up to date");
  const user = await makeUserWithKey(sql, { username: "dev", role: "user", secretKey });
  const admin = await makeUserWithKey(sql, { username: "admin", role: "admin", secretKey });
  return { user: user.apiKey, admin: admin.apiKey };
}

/** Two runs in one folder would share one database's files. */
async function takeLock(): Promise<void> {
  const held = await readFile(LOCK, "utf8").then(
    (text): unknown => JSON.parse(text),
    () => undefined,
  );
  const pid = typeof held === "object" && held !== null && "pid" in held ? Number(held.pid) : undefined;
  if (pid !== undefined && isAlive(pid)) {
    console.error(`Another "npm run dev" runs in this folder (process ${pid}). Use it, or end it first.`);
    process.exit(1);
  }
  await writeFile(LOCK, JSON.stringify({ pid: process.pid }));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function freePort(port: number): Promise<number> {
  const free = await new Promise<boolean>((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
  return free ? port : freePort(port + 1);
}

/** Started by its JS file and in a group of its own: package runners swallow signals and leave workerd behind. */
function startWrangler(port: number): ChildProcess {
  const configs = ["wrangler.toml", "wrangler.llm-agent.toml", "wrangler.mcp.toml"].flatMap((config) => ["-c", config]);
  const options = [
    "--env",
    "",
    "--ip",
    "127.0.0.1",
    "--port",
    String(port),
    "--inspector-port",
    "0",
    "--persist-to",
    ".dev/state",
  ];
  const child = spawn(process.execPath, ["node_modules/wrangler/bin/wrangler.js", "dev", ...configs, ...options], {
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, CLOUDFLARE_CF_FETCH_ENABLED: "false", WRANGLER_SEND_METRICS: "false", NO_COLOR: "1" },
  });
  const log = createWriteStream(LOG);
  child.stdout.pipe(log);
  child.stderr.pipe(log);
  for (const output of [child.stdout, child.stderr]) {
    output.setEncoding("utf8").on("data", (text: string) => showWorkerLines(text));
  }
  return child;
}

/** The Workers' own JSON lines and wrangler's errors; the rest is in the log file. */
function showWorkerLines(text: string): void {
  for (const line of text.split("\n")) {
    const ours = /^(?:\[[\w-]+\] )?(\{.*\})$/.exec(line)?.[1];
    if (ours !== undefined || line.includes("[ERROR]")) console.log(ours ?? line);
  }
}

function stopper(wrangler: ChildProcess, stack: LocalStack): (exitCode: number) => Promise<void> {
  let stopping: Promise<void> | undefined;
  return (exitCode) => {
    stopping ??= (async () => {
      wrangler.removeAllListeners("exit");
      await endGroup(wrangler);
      await Promise.all(Object.values(stack.standIns).map((standIn) => standIn.close()));
      await rm(LOCK, { force: true });
      process.exit(exitCode);
    })();
    return stopping;
  };
}

/** Ends wrangler and the workerd it started: kindly, then for sure. */
async function endGroup({ pid }: ChildProcess): Promise<void> {
  if (pid === undefined) return;
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    for (let waited = 0; waited < 3_000; waited += 50) {
      try {
        process.kill(-pid, waited === 0 ? signal : 0);
      } catch {
        return; // nobody of the group is left
      }
      await sleep(50);
    }
  }
}

async function untilReady(url: string): Promise<void> {
  const deadline = Date.now() + READY_WITHIN_MS;
  while (Date.now() < deadline) {
    const response = await fetch(`${url}/health`).catch(() => undefined);
    if (response !== undefined) return;
    await sleep(100);
  }
  throw new Error(`the Workers did not answer within ${READY_WITHIN_MS / 1_000} s; see ${LOG}`);
}

async function writeSession(
  url: string,
  keys: { user: string; admin: string },
  { standIns }: LocalStack,
): Promise<void> {
  const stand_ins = {
    llm: standIns.llm?.url ?? null,
    redis: standIns.redis?.url ?? null,
    neon: standIns.neon?.url ?? null,
  };
  const session = { url, api_key: keys.user, admin_api_key: keys.admin, stand_ins };
  await writeFile(SESSION, `${JSON.stringify(session, null, 2)}\n`, { mode: 0o600 });
}

function printNextSteps(url: string, apiKey: string, { standIns }: LocalStack): void {
  const curl = (path: string, prompt: string, flags = "") =>
    `curl ${flags}${url}${path} -H "Authorization: Bearer ${apiKey}" \\\n  -H "Content-Type: application/json" -d '{"prompt":"${prompt}"}'`;
  console.log(`BaseChat runs at ${url}${standIns.llm ? " with the local demo model (set OPENAI_API_KEY in .dev.vars for a real one)" : ""}

A chat as JSON:
${curl("/chat", "Hello, who are you?")}

A chat as a stream, with a tool:
${curl("/chat/stream", "what is 17*23?", "-N ")}

Keys and addresses: ${SESSION}   Log: ${LOG}   Health: ${url}/health   Ctrl-C ends everything.
`);
}

main().catch(async (error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  await rm(LOCK, { force: true });
  process.exit(1);
});
