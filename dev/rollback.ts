/**
 * `npm run rollback [-- --env staging|production]`: the Workers of the newest release back to the version before: main, mcp, llm-agent, since
 * a caller must not want what its target no longer has. `--schema-down` then takes back the migrations that no running code knows;
 * `--dry-run` tells the plan. State: none here. Refuses before the first change: an older code that the schema does not fit, or that is unknown.
 */
import { parseArgs } from "node:util";
import { explain, migrate, MIGRATION_TIMEOUT_MS, status } from "../db/migrate.ts";
import { openSql, type Sql } from "../db/open.ts";
import { findTarget } from "./deploy.ts";
import { askWrangler, isEnvironment, runWrangler, WORKERS } from "./deployment.ts";
import { type Move, planRollback, readVersions, type WorkerVersions } from "./rollback-plan.ts";

export interface Rollback {
  environment: string;
  dryRun: boolean;
  schemaDown: boolean;
  /** Undefined: the schema is not looked at. */
  sql: Sql | undefined;
  /** What wrangler answers as JSON. */
  ask(args: string[]): Promise<unknown>;
  /** Runs wrangler; resolves to its exit code. */
  wrangler(args: string[]): Promise<number>;
  print(line: string): void;
}

/** True: all is done. What is not, and why, is printed. */
export async function rollback(options: Rollback): Promise<boolean> {
  const { sql, dryRun, schemaDown, print } = options;
  const versions = await readAll(options);
  const applied = sql && (await status(sql)).filter(({ appliedAt }) => appliedAt !== null).length;
  const plan = planRollback(versions, { applied, schemaDown });
  if (!plan.ok) {
    print(`${plan.problem} Nothing was changed.`);
    return false;
  }
  const { moves, migrationsDown } = plan;
  if (sql === undefined)
    print("Schema: not looked at, since DATABASE_URL is not set in the environment. Older code may not fit it.");
  for (const { name, to } of moves)
    print(`${name}: back to ${to.id}${to.release ? ` (release ${to.release.id}, schema ${to.release.schema})` : ""}`);
  for (const name of plan.staying) print(`${name}: stays, it is not of this release`);
  if (migrationsDown > 0)
    print(`Then ${migrationsDown} migrations are taken back, with the data that only they have a place for.`);
  if (dryRun) {
    print("Dry run: nothing was changed.");
    return true;
  }
  if (!(await moveAll(moves, options))) return false;
  if (sql !== undefined) await takeBack(migrationsDown, sql, print);
  print(`Rolled back: ${moves.map(({ name }) => name).join(", ")}.`);
  return true;
}

async function takeBack(count: number, sql: Sql, print: Rollback["print"]): Promise<void> {
  for (let left = count; left > 0; left -= 1) {
    for (const { version, name } of await migrate(sql, "down")) print(`Taken back: migration ${version} (${name})`);
  }
}

/** Callers before their targets. */
async function moveAll(moves: readonly Move[], { environment, wrangler, print }: Rollback): Promise<boolean> {
  const done: string[] = [];
  for (const { name, config, to } of moves) {
    const code = await wrangler([
      "rollback",
      to.id,
      "-c",
      config,
      "--env",
      environment,
      "--yes",
      "--message",
      "npm run rollback",
    ]);
    if (code !== 0) {
      print(
        `${name} failed: wrangler ended with code ${code}. Rolled back: ${done.join(", ") || "nothing"}. Run the same command again.`,
      );
      return false;
    }
    done.push(name);
  }
  return true;
}

async function readAll({ environment, ask }: Rollback): Promise<WorkerVersions[]> {
  const found: WorkerVersions[] = [];
  for (const { name, config } of WORKERS.toReversed()) {
    const where = ["-c", config, "--env", environment, "--json"];
    const versions = readVersions(
      await ask(["deployments", "list", ...where]),
      await ask(["versions", "list", ...where]),
    );
    found.push({ name, config, versions });
  }
  return found;
}

async function main(args: string[]): Promise<boolean> {
  const off = { type: "boolean", default: false } as const;
  const options = { "dry-run": off, "schema-down": off, env: { type: "string", default: "" } } as const;
  const { "dry-run": dryRun, "schema-down": schemaDown, env: environment } = parseArgs({ args, options }).values;
  const target = findTarget(process.env);
  if (!isEnvironment(environment) || !target.ok) {
    console.error(target.ok ? `No environment "${environment}": staging or production.` : target.problem);
    return false;
  }
  const sql = target.address && openSql({ ...target.address, timeoutMs: MIGRATION_TIMEOUT_MS });
  return rollback({
    environment,
    dryRun,
    schemaDown,
    sql,
    ask: askWrangler,
    wrangler: runWrangler,
    print: console.log,
  });
}

if (import.meta.main) {
  const isDone = await main(process.argv.slice(2)).catch((error: unknown) => {
    console.error(explain(error));
    return false;
  });
  process.exitCode = isDone ? 0 : 1;
}
