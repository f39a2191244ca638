/**
 * Records of the ledger that Postgres does not have yet, in the account's SQLite: the outbox of whatever no session's outbox brings there.
 * Written with the settlement, deleted once Postgres has them; sending one twice does no harm.
 */
import type { Ledger, UsageRecord } from "../../../contracts/ledger.ts";

const BATCH = 100;

export function owe(sql: SqlStorage, record: UsageRecord): void {
  sql.exec("CREATE TABLE IF NOT EXISTS owed_usage (id TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID");
  sql.exec(
    "INSERT INTO owed_usage (id, record) VALUES (?, ?) ON CONFLICT DO NOTHING",
    record.id,
    JSON.stringify(record),
  );
}

/** False: Postgres cannot be reached, and something is owed still. */
export async function payOwed(sql: SqlStorage, ledger: Ledger): Promise<boolean> {
  for (;;) {
    const records = readOwed(sql);
    if (records.length === 0) return true;
    const saved = await ledger.save(records);
    if (!saved.ok) return false;
    const ids = JSON.stringify(records.map(({ id }) => id));
    sql.exec("DELETE FROM owed_usage WHERE id IN (SELECT value FROM json_each(?))", ids);
  }
}

function readOwed(sql: SqlStorage): UsageRecord[] {
  const isThere = sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'owed_usage'").toArray().length > 0;
  if (!isThere) return [];
  return sql
    .exec("SELECT record FROM owed_usage ORDER BY id LIMIT ?", BATCH)
    .toArray()
    .map(({ record }) => JSON.parse(String(record)) as UsageRecord); // written by owe
}
