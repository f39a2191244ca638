/**
 * Tries the migrations in an in-memory PGlite: up they must give the schema that db/schema.ts declares, each down must
 * take its up back, and the newest snapshot must be of db/schema.ts. State ends with the call. For development and
 * tests: its packages are no part of a deployment.
 */
import { isDeepStrictEqual } from "node:util";
import { PGlite } from "@electric-sql/pglite";
import { readMigrations, type Migration } from "./migrations.ts";
import * as currentSchema from "./schema.ts";
import { readNewestSnapshot, takeSnapshot, writeSql } from "./snapshots.ts";

/** What is not as it should be, a line each; none: all is well. */
export async function findDrift(folder?: string, schema: Record<string, unknown> = currentSchema): Promise<string[]> {
  const migrations = await readMigrations(folder);
  const newest = await readNewestSnapshot(folder);
  const declared = takeSnapshot(schema);
  const declaring = await writeSql(takeSnapshot({}), declared);
  const lite = await PGlite.create();
  try {
    const trial = await tryAll(lite, migrations);
    if (trial.failure !== undefined) return [trial.failure];
    await lite.exec("drop schema public cascade; create schema public;");
    for (const statement of declaring) await lite.query(statement);
    const inSchema = await dump(lite);
    return [
      ...difference(trial.top, inSchema)
        .filter(isDeclarable)
        .map((line) => `only in migrations: ${line}`),
      ...difference(inSchema, trial.top).map((line) => `only in schema.ts:  ${line}`),
      ...trial.left,
      ...(isDeepStrictEqual(newest, declared) ? [] : ["db/schema.ts is not as the newest snapshot has it"]),
    ];
  } finally {
    await lite.close();
  }
}

interface Trial {
  /** The statement's file and what the database said to it; nothing after it was tried. */
  failure?: string;
  /** The schema with all migrations. */
  top: string[];
  /** What a down leaves changed. */
  left: string[];
}

/** All migrations up, then down one by one. */
async function tryAll(lite: PGlite, migrations: Migration[]): Promise<Trial> {
  const before: string[][] = [];
  const trial: Trial = { top: [], left: [] };
  try {
    for (const migration of migrations) {
      before.push(await dump(lite));
      await runAll(lite, migration, "up");
    }
    trial.top = await dump(lite);
    for (const migration of migrations.toReversed()) {
      await runAll(lite, migration, "down");
      const [wanted, found] = [before.pop() ?? [], await dump(lite)];
      const label = `down ${migration.version} (${migration.name})`;
      trial.left.push(
        ...difference(wanted, found).map((line) => `${label} does not bring back: ${line}`),
        ...difference(found, wanted).map((line) => `${label} leaves behind: ${line}`),
      );
    }
  } catch (error) {
    if (!(error instanceof TrialError)) throw error;
    trial.failure = error.message;
  }
  return trial;
}

class TrialError extends Error {
  override readonly name = "TrialError";
}

async function runAll(lite: PGlite, migration: Migration, direction: "up" | "down"): Promise<void> {
  for (const statement of migration[direction]) {
    await lite.query(statement).catch((error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error);
      throw new TrialError(`${direction} ${migration.version} (${migration.name}) fails: ${reason}`);
    });
  }
}

function dump(lite: PGlite): Promise<string[]> {
  return dumpSchema(async (text) => (await lite.query<{ line: string }>(text)).rows);
}

function difference(lines: string[], others: string[]): string[] {
  return lines.filter((line) => !others.includes(line));
}

/** drizzle-kit has no words for the rest, so it is written by hand and only has to be taken back. */
function isDeclarable(line: string): boolean {
  return !/^(function|extension|CREATE (CONSTRAINT )?TRIGGER) /.test(line);
}

/**
 * The schema `public` as sorted lines: what a migration can make or change there, and extensions. A column's place in
 * its table is left out: Postgres brings a dropped column back at the end only, and every query names its columns.
 */
export async function dumpSchema(query: (text: string) => Promise<Record<string, unknown>[]>): Promise<string[]> {
  const rows = await query(CATALOGUE);
  return rows.map(({ line }) => String(line)).filter((line) => !line.includes("schema_migrations"));
}

const CATALOGUE = `
  select line from (
    select format('relation %s %s%s', relkind, relname, case when relrowsecurity then ' row security' else '' end) as line
    from pg_class where relnamespace = 'public'::regnamespace
    union all
    select format('column %s.%s: %s%s%s %s %s', relname, attname, format_type(atttypid, atttypmod),
      case when attnotnull then ' not null' else '' end, case when attidentity = '' then '' else format(' identity %s', attidentity) end,
      case when attgenerated <> '' then 'generated' else 'default' end, coalesce(pg_get_expr(adbin, adrelid), '-'))
    from pg_attribute join pg_class on pg_class.oid = attrelid
      left join pg_attrdef on adrelid = attrelid and adnum = attnum
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm') and attnum > 0 and not attisdropped
    union all
    select format('constraint %s on %s: %s', conname, conrelid::regclass, pg_get_constraintdef(oid))
    from pg_constraint where connamespace = 'public'::regnamespace and contype <> 'n'
    union all
    select indexdef from pg_indexes where schemaname = 'public'
    union all
    select format('view %s: %s', relname, pg_get_viewdef(oid))
    from pg_class where relnamespace = 'public'::regnamespace and relkind in ('v', 'm')
    union all
    select format('sequence %s: %s from %s by %s', sequencename, data_type, start_value, increment_by)
    from pg_sequences where schemaname = 'public'
    union all
    select pg_get_triggerdef(pg_trigger.oid) from pg_trigger join pg_class on pg_class.oid = tgrelid
    where relnamespace = 'public'::regnamespace and not tgisinternal
    union all
    select format('function %s %s', oid::regprocedure, case when prokind in ('f', 'p') then md5(pg_get_functiondef(oid)) end)
    from pg_proc where pronamespace = 'public'::regnamespace
    union all
    select format('type %s %s%s', typtype, typname,
      (select ': ' || string_agg(enumlabel, ', ' order by enumsortorder) from pg_enum where enumtypid = pg_type.oid))
    from pg_type where typnamespace = 'public'::regnamespace and typtype not in ('c', 'b')
    union all
    select format('extension %s', extname) from pg_extension where extname <> 'plpgsql'
  ) as lines order by line collate "C"`;
