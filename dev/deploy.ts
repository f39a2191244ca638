/**
 * `npm run deploy [-- --env staging|production]`: applies the pending migrations to DATABASE_URL, then deploys llm-agent, mcp and main, in
 * this order: a binding needs its target. `--dry-run` says what would be done; `--secrets-file` gives each Worker those lines of a file that
 * it reads. State: none here, the database's and the account's. Refuses without DATABASE_URL, or with an address of this machine; reads no
 * .dev.vars; stops at the first failure.
 */
import { parseArgs } from "node:util";
import { explain, migrate, MIGRATION_TIMEOUT_MS, readAddress, type MigrationAddress } from "../db/migrate.ts";
import { openSql, type Sql } from "../db/open.ts";
import { SCHEMA_VERSION } from "../db/schema.ts";
import { isEnvironment, runWrangler, WORKERS, writeRelease } from "./deployment.ts";
import { isThisMachine } from "./hosts.ts";
import { type SecretFiles, splitSecrets } from "./secret-files.ts";

export interface Deployment {
  /** Of the wrangler files; empty: the top level. */
  environment: string;
  /** Of this run. */
  releaseId: string;
  /** What is put with the Workers; left out: nothing, and theirs stay. */
  secrets?: SecretFiles | undefined;
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
  const message = writeRelease({ id: deployment.releaseId, schema: SCHEMA_VERSION });
  const done: string[] = [];
  for (const { name, config } of WORKERS) {
    print(`${dryRun ? "Building" : "Deploying"} ${name} (${config}) ...`);
    const secrets = deployment.secrets?.paths[name];
    const code = await deployment.wrangler([
      ...["deploy", "-c", config, "--env", deployment.environment, "--message", message],
      ...(secrets === undefined ? [] : ["--secrets-file", secrets]),
      ...(dryRun ? ["--dry-run"] : []),
    ]);
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
    if (isThisMachine(url))
      return { ok: false, problem: `${name} is an address of this machine, which deployed Workers cannot reach.` };
  }
  return { ok: true, address };
}

async function main(args: string[]): Promise<boolean> {
  const { values } = parseArgs({
    args,
    options: {
      ...{ "dry-run": { type: "boolean", default: false }, env: { type: "string", default: "" } },
      "secrets-file": { type: "string" },
    },
  });
  const { "dry-run": dryRun, env: environment } = values;
  const target = findTarget(process.env);
  const problem = !isEnvironment(environment)
    ? `The wrangler files have no environment "${environment}": staging or production.`
    : target.ok
      ? undefined
      : target.problem;
  if (problem !== undefined || !target.ok) {
    console.error(`${problem} Nothing was changed.`);
    return false;
  }
  if (target.address === undefined && !dryRun) {
    console.error("Set DATABASE_URL in the environment; .dev.vars is a local run's and not read. Nothing was changed.");
    return false;
  }
  const sql = target.address && openSql({ ...target.address, timeoutMs: MIGRATION_TIMEOUT_MS });
  const file = values["secrets-file"];
  const secrets = file === undefined ? undefined : await splitSecrets(file);
  try {
    const releaseId = new Date().toISOString();
    return await deploy({ sql, dryRun, environment, releaseId, secrets, wrangler: runWrangler, print: console.log });
  } finally {
    await secrets?.remove();
  }
}

if (import.meta.main) {
  const isDone = await main(process.argv.slice(2)).catch((error: unknown) => {
    console.error(explain(error));
    return false;
  });
  process.exitCode = isDone ? 0 : 1;
}
