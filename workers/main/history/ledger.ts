/**
 * The ledger in Postgres: a row for what a turn or another call of a model took. No state; a save is one HTTP round trip. The same
 * record may be sent twice.
 */
import type { Ledger, UsageRecord } from "../../../contracts/ledger.ts";
import { ok, type Result } from "../../../contracts/errors.ts";
import { insertUsage } from "../../../db/ledger.ts";
import { type Db, readDbFault } from "../../../db/open.ts";
import { type OnFault, toFailure } from "./faults.ts";

/** A batch can break one foreign key only: its user's. */
const NO_SUCH_USER = "23503";

export function createLedger(db: Db, onFault: OnFault): Ledger {
  async function save(records: UsageRecord[]): Promise<Result<void>> {
    try {
      await insertUsage(db, records);
      return ok(undefined);
    } catch (error) {
      const fault = readDbFault(error);
      if (fault.kind !== "values") return toFailure(error, onFault);
      if (fault.reason !== NO_SUCH_USER && records.length > 1) return saveEach(records);
      // The user is gone, or it can never be stored: nobody is helped by trying again.
      onFault(fault);
      return ok(undefined);
    }
  }

  async function saveEach(records: UsageRecord[]): Promise<Result<void>> {
    for (const record of records) {
      const saved = await save([record]);
      if (!saved.ok) return saved;
    }
    return ok(undefined);
  }

  return { save };
}
