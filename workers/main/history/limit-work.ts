/** The time that Postgres may work on the statements of one transaction. The client's own limit ends only the waiting. No state. */
import { sql } from "drizzle-orm";
import type { Db } from "../../../db/open.ts";

/** The first statement of a batch: what comes after it is given up with 57014 when it takes too long. */
export type LimitWork = ReturnType<typeof createLimit>;

export function createLimit(db: Db, timeoutMs: number) {
  return () => db.execute(sql`select set_config('statement_timeout', ${String(timeoutMs)}, true)`);
}
