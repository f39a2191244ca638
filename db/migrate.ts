/**
 * Migrations up, down, status and check, as functions and as a command: `node db/migrate.ts up`. State lives in the
 * table `schema_migrations`. A migration and its row there are one transaction under an advisory lock; deployers that
 * race apply it once, and in order. Refuses a file edited after it was applied, and a database ahead of the files.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs, parseEnv } from "node:util";
import { NeonDbError } from "@neondatabase/serverless";
import { MIGRATIONS_FOLDER, MigrationError, readMigrations, type Migration } from "./migrations.ts";
import { openSql, readDbFault, type DbAddress, type Sql } from "./open.ts";

export interface MigrateOptions {
  folder?: string | undefined;
  /** Says what would be done and does nothing. */
  dryRun?: boolean;
  /** Called as each is done: the ones before one that fails stay done. */
  onDone?: (migration: Migration) => void;
}

export interface MigrationState extends Pick<Migration, "version" | "name"> {
  /** ISO 8601; null: pending. */
  appliedAt: string | null;
}

/** `up` applies all that are pending, `down` takes back the last one. Returns those done here, in order. */
export async function migrate(sql: Sql, direction: "up" | "down", options: MigrateOptions = {}): Promise<Migration[]> {
  const { migrations, applied } = await compare(sql, options.folder);
  const todo = direction === "up" ? migrations.slice(applied.length) : migrations.slice(0, applied.length).slice(-1);
  if (options.dryRun) return todo;
  const done: Migration[] = [];
  for (const migration of todo) {
    if (await run(sql, direction, migration)) {
      done.push(migration);
      options.onDone?.(migration);
    } else {
      // Another deployer was faster, perhaps from other files: nothing more is built on those.
      await compare(sql, options.folder);
    }
  }
  return done;
}

/** Every migration with its state. Throws where files and database contradict each other. */
export async function status(sql: Sql, folder?: string): Promise<MigrationState[]> {
  const { migrations, applied } = await compare(sql, folder);
  return migrations.map(({ version, name }, at) => ({ version, name, appliedAt: applied[at]?.appliedAt ?? null }));
}

interface JournalRow {
  version: number;
  name: string;
  checksum: string;
  appliedAt: string;
}

async function compare(
  sql: Sql,
  folder = MIGRATIONS_FOLDER,
): Promise<{ migrations: Migration[]; applied: JournalRow[] }> {
  const [migrations, applied] = await Promise.all([readMigrations(folder), readJournal(sql)]);
  applied.forEach((row, at) => {
    const file = migrations[at];
    const label = `${row.version} (${row.name})`;
    if (row.version !== at + 1)
      throw new MigrationError(`The journal has a gap before ${label}. Restore schema_migrations from a backup.`);
    if (file === undefined)
      throw new MigrationError(
        `The database has migration ${label}, which is not among the files. Deploy the newer code, or take it back with that code.`,
      );
    if (file.checksum !== row.checksum)
      throw new MigrationError(
        `Migration ${label} was edited after it was applied. Restore the file and write a new migration.`,
      );
  });
  return { migrations, applied };
}

async function readJournal(sql: Sql): Promise<JournalRow[]> {
  const [journal] = await sql`select to_regclass('schema_migrations') is not null as exists`;
  if (journal?.["exists"] !== true) return [];
  const rows = await sql`
    select version, name, checksum, to_char(applied_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as "appliedAt"
    from schema_migrations order by version`;
  return rows as JournalRow[]; // the columns above, typed by the table below
}

/** An arbitrary number that every deployer of this project takes. */
const LOCK = 7_120_386_451;
const ALREADY_TAKEN_BACK = "MG001";
const OUT_OF_ORDER = "MG002";

/** False: another deployer had done it. */
async function run(sql: Sql, direction: "up" | "down", migration: Migration): Promise<boolean> {
  try {
    await sql.transaction(
      [
        sql`select pg_advisory_xact_lock(${LOCK})`,
        sql`create table if not exists schema_migrations (
          version integer primary key, name text not null, checksum text not null, applied_at timestamptz(3) not null default now())`,
        ...writeJournal(sql, direction, migration),
        ...migration[direction].map((statement) => sql.query(statement)),
      ],
      // Each statement sees what a deployer committed while this one waited for the lock.
      { isolationLevel: "ReadCommitted" },
    );
    return true;
  } catch (error) {
    if (!(error instanceof NeonDbError)) throw error;
    if (error.code === ALREADY_TAKEN_BACK || error.constraint === "schema_migrations_pkey") return false;
    throw new MigrationError(describeFailure(migration, error), { cause: error });
  }
}

/** The journal is changed first, and must then hold the versions up to this one and no others. */
function writeJournal(sql: Sql, direction: "up" | "down", { version, name, checksum }: Migration) {
  const newest = direction === "up" ? version : version - 1;
  return [
    direction === "up"
      ? sql`insert into schema_migrations (version, name, checksum) values (${version}, ${name}, ${checksum})`
      : sql.query(`do $$ begin
          delete from schema_migrations where version = ${version};
          if not found then raise exception 'already taken back' using errcode = '${ALREADY_TAKEN_BACK}'; end if;
        end $$`),
    sql.query(`do $$ begin
        if (select count(*) <> ${newest} or max(version) > ${newest} from schema_migrations)
        then raise exception 'out of order' using errcode = '${OUT_OF_ORDER}'; end if;
      end $$`),
  ];
}

function describeFailure({ version, name }: Migration, error: NeonDbError): string {
  const label = `Migration ${version} (${name})`;
  if (error.code === OUT_OF_ORDER)
    return `${label} was not run: somebody else migrated at the same time. Run "status", then the same command again.`;
  if (error.code)
    return `${label} failed and changed nothing: ${error.message} [${error.code}]. Mend the file, then run the same command again.`;
  return `${label} got no answer, so it may have been applied. Run "status" once the database answers.`;
}

const USAGE = "Usage: node db/migrate.ts up|down|status|check [--url postgres://...] [--dry-run]";
export const MIGRATION_TIMEOUT_MS = 120_000;

/** The command line; the answer is its exit code. */
export async function main(args: string[], print: (line: string) => void, folder?: string): Promise<number> {
  const { positionals, values } = parseArgs({
    args,
    allowPositionals: true,
    options: { url: { type: "string" }, "dry-run": { type: "boolean", default: false } },
  });
  const [command] = positionals;
  const address = await findAddress(values.url);
  if (address === undefined) {
    print("No database: set DATABASE_URL in the environment or in .dev.vars, or pass --url.");
    return 1;
  }
  const sql = openSql({ ...address, timeoutMs: MIGRATION_TIMEOUT_MS });
  if (command === "up" || command === "down") {
    const dryRun = values["dry-run"];
    const tell = ({ version, name }: Migration) =>
      print(`${dryRun ? "would run" : "done"}: ${command} ${version} (${name})`);
    const done = await migrate(sql, command, { dryRun, folder, onDone: tell });
    if (dryRun) done.forEach(tell);
    if (done.length === 0)
      print(command === "up" ? "Nothing to apply: the schema is current." : "Nothing to take back.");
    return 0;
  }
  if (command === "status" || command === "check") {
    const states = await status(sql, folder);
    for (const { version, name, appliedAt } of states)
      print(`${String(version).padStart(4, "0")}  ${name.padEnd(24)}  ${appliedAt ?? "pending"}`);
    return command === "status" ? 0 : check(states, print, folder);
  }
  print(USAGE);
  return 1;
}

async function check(states: MigrationState[], print: (line: string) => void, folder?: string): Promise<number> {
  const { findDrift } = await import("./drift.ts");
  const drift = await findDrift(folder);
  for (const line of drift) print(line);
  if (drift.length > 0)
    print('db/schema.ts and db/migrations/ differ: draft a migration with "npm run db:new -- <name>", or mend them.');
  const pending = states.filter(({ appliedAt }) => appliedAt === null).length;
  if (pending > 0) print(`${pending} pending: run "node db/migrate.ts up".`);
  return drift.length + pending === 0 ? 0 : 1;
}

/** Both addresses come from one place: a local DATABASE_HTTP_URL never redirects another database's migration. */
export async function findAddress(url: string | undefined): Promise<MigrationAddress | undefined> {
  if (url) return { databaseUrl: url };
  const fromEnvironment = readAddress(process.env);
  if (fromEnvironment !== undefined) return fromEnvironment;
  return readAddress(parseEnv(await readFile(join(import.meta.dirname, "../.dev.vars"), "utf8").catch(() => "")));
}

export type MigrationAddress = Omit<DbAddress, "timeoutMs">;

export function readAddress(vars: NodeJS.Dict<string>): MigrationAddress | undefined {
  const { DATABASE_URL: databaseUrl, DATABASE_HTTP_URL: httpUrl } = vars;
  return databaseUrl ? { databaseUrl, httpUrl: httpUrl || undefined } : undefined;
}

/** Never the driver's words where they could hold the connection string. */
export function explain(error: unknown): string {
  if (error instanceof MigrationError) return error.message;
  if (error instanceof NeonDbError)
    return `The database did not answer (${readDbFault(error).reason}). Check DATABASE_URL, then run the same command again.`;
  return error instanceof Error ? error.message : String(error);
}

if (import.meta.main) {
  process.exitCode = await main(process.argv.slice(2), console.log).catch((error: unknown) => {
    console.error(explain(error));
    if (!(error instanceof MigrationError || error instanceof NeonDbError)) console.error(USAGE);
    return 1;
  });
}
