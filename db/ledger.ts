/** Rows of the ledger, for whoever has what a call of a model took. Pure but for the statement's database. A row that is there stays as it is. */
import type { UsageRecord } from "../contracts/ledger.ts";
import { storable } from "../contracts/text.ts";
import type { Db } from "./open.ts";
import { usage } from "./schema.ts";

export function insertUsage(db: Db, records: UsageRecord[]) {
  return db.insert(usage).values(records.map(toRow)).onConflictDoNothing();
}

function toRow({ createdAtMs, model, provider, ...record }: UsageRecord): typeof usage.$inferInsert {
  const names = { model: storable(model), provider: provider && storable(provider) };
  return { ...record, ...names, createdAt: new Date(createdAtMs) };
}
