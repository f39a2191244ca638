/**
 * Compares db/schema.ts with the migrations: each builds a schema in an in-memory PGlite, and the catalogues must be
 * equal. State ends with the call. For development and tests: its packages are no part of a deployment.
 */
import { PGlite } from "@electric-sql/pglite";
import { generateDrizzleJson, generateMigration } from "drizzle-kit/api";
import { readMigrations } from "./migrations.ts";
import * as schema from "./schema.ts";

/** What only one of the two has, a line each; none: equal. */
export async function findDrift(folder?: string): Promise<string[]> {
  const migrations = await readMigrations(folder);
  const fromSchema = await generateMigration(generateDrizzleJson({}), generateDrizzleJson(schema));
  const lite = await PGlite.create();
  try {
    const build = async (statements: string[]): Promise<string[]> => {
      await lite.exec("drop schema public cascade; create schema public;");
      for (const statement of statements) await lite.exec(statement);
      return dumpSchema(async (text) => (await lite.query<{ line: string }>(text)).rows);
    };
    const migrated = await build(migrations.flatMap(({ up }) => up));
    const declared = await build(fromSchema);
    return [
      ...migrated.filter((line) => !declared.includes(line)).map((line) => `only in migrations: ${line}`),
      ...declared.filter((line) => !migrated.includes(line)).map((line) => `only in schema.ts:  ${line}`),
    ];
  } finally {
    await lite.close();
  }
}

/** The schema `public` as sorted lines: relations, columns, constraints, indexes, triggers, functions, types. */
export async function dumpSchema(query: (text: string) => Promise<Record<string, unknown>[]>): Promise<string[]> {
  const rows = await query(CATALOGUE);
  return rows.map(({ line }) => String(line)).filter((line) => !line.includes("schema_migrations"));
}

const CATALOGUE = `
  select line from (
    select format('relation %s %s', relkind, relname) as line from pg_class where relnamespace = 'public'::regnamespace
    union all
    select format('column %s.%s at %s: %s%s default %s', relname, attname, attnum, format_type(atttypid, atttypmod),
      case when attnotnull then ' not null' else '' end, coalesce(pg_get_expr(adbin, adrelid), '-'))
    from pg_attribute join pg_class on pg_class.oid = attrelid
      left join pg_attrdef on adrelid = attrelid and adnum = attnum
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm') and attnum > 0 and not attisdropped
    union all
    select format('constraint %s on %s: %s', conname, conrelid::regclass, pg_get_constraintdef(oid))
    from pg_constraint where connamespace = 'public'::regnamespace and contype <> 'n'
    union all
    select indexdef from pg_indexes where schemaname = 'public'
    union all
    select pg_get_triggerdef(pg_trigger.oid) from pg_trigger join pg_class on pg_class.oid = tgrelid
    where relnamespace = 'public'::regnamespace and not tgisinternal
    union all
    select format('function %s', oid::regprocedure) from pg_proc where pronamespace = 'public'::regnamespace
    union all
    select format('type %s %s', typtype, typname) from pg_type where typnamespace = 'public'::regnamespace and typtype not in ('c', 'b')
  ) as lines order by line collate "C"`;
