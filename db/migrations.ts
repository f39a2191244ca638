/**
 * The migration files: `NNNN_name.up.sql` with its `NNNN_name.down.sql`, statements parted by a marker line, and the
 * `NNNN_name.snapshot.json` that it was drafted with. Reads a folder, writes nothing. Refuses a gap in the numbers, a
 * missing half, a statement that would end the migration's transaction, and any other file.
 */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

export const MIGRATIONS_FOLDER = join(import.meta.dirname, "migrations");
/** The line between two statements. */
export const STATEMENT_BREAKPOINT = "--> statement-breakpoint";

export interface Migration {
  version: number;
  name: string;
  /** SHA-256 of the up file, hexadecimal. A down file may be mended after it was applied. */
  checksum: string;
  up: string[];
  down: string[];
}

/** A state that no command may go on from. The message says what to do. */
export class MigrationError extends Error {
  override readonly name = "MigrationError";
}

/** In order, from version 1 on. */
export async function readMigrations(folder = MIGRATIONS_FOLDER): Promise<Migration[]> {
  const files = (await readdir(folder)).sort();
  const ups = files.filter((file) => /^\d{4}_\w+\.up\.sql$/.test(file));
  const stray = files.find((file) => !ups.includes(file.replace(/\.(down\.sql|snapshot\.json)$/, ".up.sql")));
  if (stray !== undefined) throw new MigrationError(`${stray} is no migration, or its .up.sql is missing.`);
  return Promise.all(ups.map((file, at) => readMigration(folder, file, at + 1)));
}

async function readMigration(folder: string, upFile: string, version: number): Promise<Migration> {
  if (Number(upFile.slice(0, 4)) !== version) {
    throw new MigrationError(`${upFile} should have number ${version}: numbers are neither skipped nor used twice.`);
  }
  const up = await readFile(join(folder, upFile), "utf8");
  const downFile = upFile.replace(/\.up\.sql$/, ".down.sql");
  const down = await readFile(join(folder, downFile), "utf8").catch(() => {
    throw new MigrationError(`${downFile} is missing: every migration can be taken back.`);
  });
  const name = upFile.slice(5, -".up.sql".length);
  const checksum = createHash("sha256").update(up.replaceAll("\r\n", "\n")).digest("hex");
  return { version, name, checksum, up: split(upFile, up), down: split(downFile, down) };
}

function split(file: string, text: string): string[] {
  const statements = text
    .split(new RegExp(`^${STATEMENT_BREAKPOINT}\\s*$`, "m"))
    .map((statement) => statement.trim())
    .filter((statement) => statement !== "");
  const breaker = statements
    .map((statement) => OWN_TRANSACTION.exec(statement)?.[1])
    .find((word) => word !== undefined);
  if (breaker !== undefined)
    throw new MigrationError(`${file} has "${breaker}": a migration is one transaction, begun and ended for it.`);
  return statements;
}

/** A statement, comments before it left aside, that would leave the one transaction. */
const OWN_TRANSACTION = /^(?:--.*\n\s*)*(begin|start|commit|end|rollback|abort|prepare)\b/i;
