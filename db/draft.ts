/**
 * `npm run db:new -- <name>`: drafts the next migration, up, down and snapshot, from what changed in db/schema.ts since
 * the newest snapshot, and tries it on an in-memory PostgreSQL. Writes three files into db/migrations/, for a person to
 * read and mend. Refuses a name that no file can have; overwrites nothing.
 */
import { writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { isDeepStrictEqual, parseArgs } from "node:util";
import { findDrift } from "./drift.ts";
import { MIGRATIONS_FOLDER, MigrationError, readMigrations, STATEMENT_BREAKPOINT } from "./migrations.ts";
import * as currentSchema from "./schema.ts";
import { readNewestSnapshot, takeSnapshot, writeSql, type Snapshot } from "./snapshots.ts";

export interface DraftOptions {
  folder?: string;
  /** The exports of a schema file. */
  schema?: Record<string, unknown>;
}

export interface Draft {
  version: number;
  /** Paths of the files written: up, down, snapshot. */
  files: string[];
}

/** Undefined: the schema is that of the newest snapshot, and nothing was written. */
export async function draftMigration(name: string, options: DraftOptions = {}): Promise<Draft | undefined> {
  const { folder = MIGRATIONS_FOLDER, schema = currentSchema } = options;
  if (!/^[a-z][a-z0-9_]*$/.test(name))
    throw new MigrationError(`"${name}" is no name for a migration: use small letters, digits and "_".`);
  const migrations = await readMigrations(folder);
  const previous = await readNewestSnapshot(folder);
  const current = takeSnapshot(schema);
  if (isDeepStrictEqual(previous, current)) return undefined;
  const version = migrations.length + 1;
  const stem = join(folder, `${String(version).padStart(4, "0")}_${name}`);
  const texts = {
    [`${stem}.up.sql`]: await draftSql(previous, current),
    [`${stem}.down.sql`]: await draftSql(current, previous),
    [`${stem}.snapshot.json`]: JSON.stringify(current, null, 2),
  };
  for (const [file, text] of Object.entries(texts)) await writeFile(file, `${text}\n`, { flag: "wx" });
  return { version, files: Object.keys(texts) };
}

async function draftSql(from: Snapshot, to: Snapshot): Promise<string> {
  const statements = await writeSql(from, to).catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    // drizzle-kit asks whether what is new is what is gone under another name.
    throw new MigrationError(`drizzle-kit could not draft the change: ${reason}
If something was renamed, run the command in a terminal and answer for up and down, or add the new one in this migration and drop the old one in a later one.`);
  });
  return statements.join(`\n${STATEMENT_BREAKPOINT}\n`);
}

const USAGE = "Usage: npm run db:new -- <name>, for example: npm run db:new -- message_search";

const ADVICE = `Read all of it before you commit, and mend it by hand:
- drizzle-kit does not write extensions, functions, triggers or changes of data. What it makes of an expression in an index or
  a check the trial cannot judge: both sides are drizzle-kit's.
- What "up" drops comes back empty with "down", a column at the end of its table. The trial had no rows: NOT NULL without a
  default fails on a table that has some.
- The Workers of before run on the new schema until they are replaced: drop what they use in a later migration.
- The snapshot stays as it is. To draft again, remove the three files first.`;

/** The command line; the answer is its exit code. */
export async function main(args: string[], print: (line: string) => void, options: DraftOptions = {}): Promise<number> {
  const [name, ...more] = parseArgs({ args, allowPositionals: true }).positionals;
  if (name === undefined || more.length > 0) {
    print(USAGE);
    return 1;
  }
  const draft = await draftMigration(name, options);
  if (draft === undefined) {
    print("Nothing to draft: db/schema.ts is as the newest snapshot has it.");
    return 0;
  }
  for (const file of draft.files) print(`written: ${relative(process.cwd(), file)}`);
  const drift = await findDrift(options.folder, options.schema);
  for (const line of drift) print(line);
  print(
    drift.length === 0
      ? "Tried on an in-memory PostgreSQL: up gives the schema of db/schema.ts, down the one before."
      : "Tried on an in-memory PostgreSQL, with the differences above.",
  );
  print(ADVICE);
  print(`Then set SCHEMA_VERSION in db/schema.ts to ${draft.version} and run: npm run db:check`);
  return 0;
}

if (import.meta.main) {
  process.exitCode = await main(process.argv.slice(2), console.log).catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    return 1;
  });
}
