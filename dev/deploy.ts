/**
 * `npm run deploy`: applies the pending migrations to DATABASE_URL, then deploys llm-agent, mcp and main, in this order:
 * a binding needs its target. `-- --dry-run` says what would be done. State: none here, the database's and the account's.
 * Refuses without DATABASE_URL, or with an address of this machine; reads no .dev.vars; stops at the first failure.
 */
import { spawn } from "node:child_process";
import { parseArgs } from "node:util";
import { explain, migrate, MIGRATION_TIMEOUT_MS, readAddress, type MigrationAddress } from "../db/migrate.ts";
import { openSql, type Sql } from "../db/open.ts";
import { ROOT, WRANGLER, WRANGLER_ENV } from "./build.ts";

/** By their configuration files, in the order of deployment. */
const WORKERS = [
  { name: "llm-agent", config: "wrangler.llm-agent.toml" },
  { name: "mcp", config: "wrangler.mcp.toml" },
  { name: "main", config: "wrangler.toml" },
] as const;

export interface Deployment {
  /** Undefined, in a dry run only: the migrations are not looked at. */
  sql: Sql | undefined;
  dryRun: boolean;
  /** Runs wrangler with these arguments; resolves to its exit code. */
  wrangler(args: string[]): Promise<number>;
  print(line: string): void;
}

/** True: all is done. What is not, and what to do about it, is printed. */
export async function deploy(deployment: Deployment): Promise<boolean> {
  const { dryRun, print } = deployment;
  if (!(await applyMigrations(deployment))) {
    print("No Worker was deployed: those of before go on. Mend the cause, then run the same command again.");
    return false;
  }
  const done: string[] = [];
  for (const { name, config } of WORKERS) {
    print(`${dryRun ? "Building" : "Deploying"} ${name} (${config}) ...`);
    const code = await deployment.wrangler(["deploy", "-c", config, ...(dryRun ? ["--dry-run"] : [])]);
    if (code !== 0) {
      print(`${name} failed: wrangler ended with code ${code}; its output is above.`);
      if (!dryRun) tellWhatIsDone(done, print);
      return false;
    }
    done.push(name);
  }
  print(dryRun ? "Dry run: nothing was changed." : `Deployed: ${done.join(", ")}.`);
  return true;
}

async function applyMigrations({ sql, dryRun, print }: Deployment): Promise<boolean> {
  if (sql === undefined) {
    print("Migrations: not looked at, since DATABASE_URL is not set in the environment.");
    return true;
  }
  const tell = ({ version, name }: { version: number; name: string }) =>
    print(`${dryRun ? "Pending" : "Applied"}: migration ${version} (${name})`);
  print(dryRun ? "Looking for pending migrations ..." : "Applying migrations ...");
  try {
    const found = await migrate(sql, "up", { dryRun, onDone: tell });
    if (dryRun) found.forEach(tell);
    if (found.length === 0) print("No migration is pending.");
    return true;
  } catch (error) {
    print(explain(error));
    return false;
  }
}

function tellWhatIsDone(done: readonly string[], print: (line: string) => void): void {
  const left = WORKERS.map(({ name }) => name).filter((name) => !done.includes(name));
  print(`The migrations are applied. Deployed: ${done.join(", ") || "nothing"}. Not deployed: ${left.join(", ")}.`);
  print("What is not deployed runs as before. Mend the cause, then run the same command again: it may be repeated.");
}

export type Target = { ok: true; address: MigrationAddress | undefined } | { ok: false; problem: string };

/** The database that the environment names, if it names one. Deployed Workers cannot reach an address of this machine. */
export function findTarget(env: NodeJS.Dict<string>): Target {
  const address = readAddress(env);
  const urls = { DATABASE_URL: address?.databaseUrl, DATABASE_HTTP_URL: address?.httpUrl };
  for (const [name, url] of Object.entries(urls)) {
    if (url === undefined) continue;
    if (!URL.canParse(url)) return { ok: false, problem: `${name} is no address.` };
    if (/^(localhost|.+\.localhost|127\..+|0\.0\.0\.0|\[::1?\])$/i.test(new URL(url).hostname))
      return { ok: false, problem: `${name} is an address of this machine, which deployed Workers cannot reach.` };
  }
  return { ok: true, address };
}

/** Its JS file, as in dev/build.ts. Ctrl-C is left to it, so that what was done until then is told. */
async function runWrangler(args: string[]): Promise<number> {
  const leaveToWrangler = () => {};
  process.on("SIGINT", leaveToWrangler);
  try {
    const env = { ...process.env, ...WRANGLER_ENV };
    const child = spawn(process.execPath, [WRANGLER, ...args], { cwd: ROOT, env, stdio: "inherit" });
    return await new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code) => resolve(code ?? 1));
    });
  } finally {
    process.off("SIGINT", leaveToWrangler);
  }
}

async function main(args: string[]): Promise<boolean> {
  const { values } = parseArgs({ args, options: { "dry-run": { type: "boolean", default: false } } });
  const dryRun = values["dry-run"];
  const target = findTarget(process.env);
  if (!target.ok) {
    console.error(`${target.problem} Nothing was changed.`);
    return false;
  }
  if (target.address === undefined && !dryRun) {
    console.error("Set DATABASE_URL in the environment; .dev.vars is a local run's and not read. Nothing was changed.");
    return false;
  }
  const sql = target.address && openSql({ ...target.address, timeoutMs: MIGRATION_TIMEOUT_MS });
  return deploy({ sql, dryRun, wrangler: runWrangler, print: console.log });
}

if (import.meta.main) {
  const isDone = await main(process.argv.slice(2)).catch((error: unknown) => {
    console.error(explain(error));
    return false;
  });
  process.exitCode = isDone ? 0 : 1;
}
