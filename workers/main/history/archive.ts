/** The history as its owner reads it from Postgres. State lives there; a call is one HTTP round trip. Shows a user's own rows only. */
import type { Archive } from "../../../contracts/archive.ts";
import type { Db } from "../../../db/open.ts";
import { createAttempt, type OnFault } from "./faults.ts";
import { createLimit } from "./limit-work.ts";
import { searchMessages } from "./search.ts";
import { listSessions } from "./sessions.ts";
import { readStats } from "./stats.ts";

export interface ArchiveOptions {
  onFault: OnFault;
  /** How long Postgres may work on a search or on statistics. */
  workTimeoutMs: number;
}

export function createArchive(db: Db, { onFault, workTimeoutMs }: ArchiveOptions): Archive {
  const attempt = createAttempt(onFault);
  const limitWork = createLimit(db, workTimeoutMs);
  return {
    listSessions: (page) => attempt(() => listSessions(db, page)),
    search: (search) => attempt(() => searchMessages(db, search, limitWork)),
    readStats: (userId, window) => attempt(() => readStats(db, { userId, ...window }, limitWork)),
  };
}
