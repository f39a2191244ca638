/**
 * Snapshots of db/schema.ts as drizzle-kit sees it, kept as `NNNN_name.snapshot.json` beside the migration that led to
 * them, and the SQL that leads from one to another. Reads a folder, writes nothing. For development and tests:
 * drizzle-kit is no part of a deployment.
 */
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { generateDrizzleJson, generateMigration } from "drizzle-kit/api";
import { MIGRATIONS_FOLDER, MigrationError } from "./migrations.ts";

/** drizzle-kit's own form, which it checks when it reads one. */
export type Snapshot = Readonly<Record<string, unknown>>;

/** In place of drizzle-kit's random ids: snapshots of one schema are equal. */
const NO_ID = "00000000-0000-0000-0000-000000000000";

export function takeSnapshot(schema: Record<string, unknown>): Snapshot {
  const snapshot = { ...(generateDrizzleJson(schema) as Snapshot), id: NO_ID, prevId: NO_ID }; // its own types need zod 3
  // Through JSON, as a stored one is: members that are undefined make no difference.
  return JSON.parse(JSON.stringify(snapshot)) as Snapshot;
}

/** The snapshot of the newest migration that has one: hand-written SQL that changes no table needs none. */
export async function readNewestSnapshot(folder = MIGRATIONS_FOLDER): Promise<Snapshot> {
  const files = (await readdir(folder)).sort();
  if (!files.some((file) => file.endsWith(".up.sql"))) return takeSnapshot({});
  const newest = files.findLast((file) => file.endsWith(".snapshot.json"));
  if (newest === undefined)
    throw new MigrationError(
      `${folder} has migrations and no snapshot: bring *.snapshot.json back from version control.`,
    );
  return JSON.parse(await readFile(join(folder, newest), "utf8")) as Snapshot; // written by `db:new`
}

/** Statements that turn one schema into another. */
export async function writeSql(from: Snapshot, to: Snapshot): Promise<string[]> {
  const statements = await generateMigration(from, to);
  return statements.map((statement) => statement.trim());
}
