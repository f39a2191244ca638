/**
 * Erasing a user, a part at a time: the objects of the sessions, the cache, then Postgres in one transaction, and last the account itself.
 * State: the progress row of the account's SQLite, so that a cut or a store that is away only delays it. Each part may be done twice.
 */
import type { ErasedCounts, ErasureReport, UserStore } from "../../../contracts/accounts.ts";
import { fail, ok, type Result } from "../../../contracts/errors.ts";

export interface ErasureDeps {
  users: UserStore;
  /** Empties a session's object; false: it held nothing. */
  discardSession(sessionId: string, userId: string): Promise<Result<boolean>>;
  /** Removes what the cache keeps for the user alone, and says how many entries that were. */
  purgeUser(userId: string): Promise<Result<number>>;
}

/** Sessions that one round asks for, and how many of their objects are asked at a time. */
const PAGE = 50;
const AT_A_TIME = 5;
/** A text of SQLite has 2 MB at most. */
const NOTED_AT_ONCE = 10_000;
/** Rounds before the rest is left to the alarm. */
const ROUNDS = 10;

interface Progress {
  /** Sessions up to this id are done. */
  after: string | undefined;
  /** Nothing of the user is in Postgres and in the cache any more. */
  isOutOfPostgres: boolean;
  removed: ErasedCounts;
  finished: boolean;
}

export const NOTHING_REMOVED: ErasedCounts = {
  postgres: { users: 0, sessions: 0, messages: 0, api_keys: 0, preferences: 0, documents: 0, usage_records: 0 },
  session_objects: 0,
  cache_entries: 0,
};

export function isErasing(sql: SqlStorage): boolean {
  return sql.exec("SELECT 1 FROM account WHERE erasing = 1").toArray().length > 0;
}

export function readReport(sql: SqlStorage): ErasureReport {
  const { finished, removed } = readProgress(sql);
  return { finished, removed };
}

/** Goes on for a while. Fails when a store is away: what is done stays done. */
export async function continueErasure(sql: SqlStorage, userId: string, deps: ErasureDeps): Promise<Result<void>> {
  for (let round = 0; round < ROUNDS; round += 1) {
    const progress = readProgress(sql);
    const listed = progress.isOutOfPostgres ? ok([]) : await deps.users.sessionIds(userId, progress.after, PAGE);
    if (!listed.ok) return listed;
    const noted = sql.exec<{ id: string }>("SELECT id FROM unstored_sessions LIMIT ?", PAGE).toArray();
    const ids = [...listed.value, ...noted.map(({ id }) => id)];
    if (ids.length === 0 && progress.isOutOfPostgres) {
      writeProgress(sql, { ...progress, finished: true });
      return ok(undefined);
    }
    const done = ids.length === 0 ? await eraseStores(sql, userId, deps) : await empty(sql, { ids, userId, deps });
    if (!done.ok) return done;
    const after = listed.value.at(-1) ?? progress.after;
    writeProgress(sql, { ...readProgress(sql), after });
  }
  return ok(undefined);
}

async function empty(
  sql: SqlStorage,
  { ids, userId, deps }: { ids: string[]; userId: string; deps: ErasureDeps },
): Promise<Result<void>> {
  const discarded = await discardAll(ids, userId, deps);
  if (!discarded.ok) return discarded;
  const progress = readProgress(sql);
  progress.removed.session_objects += discarded.value;
  writeProgress(sql, progress);
  const list = JSON.stringify(ids);
  sql.exec("INSERT INTO emptied_sessions (id) SELECT value FROM json_each(?) WHERE true ON CONFLICT DO NOTHING", list);
  sql.exec("DELETE FROM unstored_sessions WHERE id IN (SELECT value FROM json_each(?))", list);
  return ok(undefined);
}

async function discardAll(ids: string[], userId: string, deps: ErasureDeps): Promise<Result<number>> {
  let held = 0;
  for (let at = 0; at < ids.length; at += AT_A_TIME) {
    const outcomes = await Promise.all(ids.slice(at, at + AT_A_TIME).map((id) => deps.discardSession(id, userId)));
    for (const outcome of outcomes) {
      if (!outcome.ok) return fail(outcome.error.code, outcome.error.message);
      if (outcome.value) held += 1;
    }
  }
  return ok(held);
}

/** The cache, then Postgres. Sessions that came to Postgres since they were listed are noted: their objects are still to be emptied. */
async function eraseStores(sql: SqlStorage, userId: string, deps: ErasureDeps): Promise<Result<void>> {
  const purged = await deps.purgeUser(userId);
  if (!purged.ok) return purged;
  const progress = readProgress(sql);
  progress.removed.cache_entries += purged.value;
  writeProgress(sql, progress);
  const erased = await deps.users.erase(userId);
  if (!erased.ok) return erased;
  const { counts, sessionIds } = erased.value;
  for (let at = 0; at < sessionIds.length; at += NOTED_AT_ONCE) {
    sql.exec(
      `INSERT INTO unstored_sessions (id, noted_at) SELECT value, 0 FROM json_each(?)
       WHERE value NOT IN (SELECT id FROM emptied_sessions) ON CONFLICT DO NOTHING`,
      JSON.stringify(sessionIds.slice(at, at + NOTED_AT_ONCE)),
    );
  }
  progress.removed.postgres = addCounts(progress.removed.postgres, counts);
  writeProgress(sql, { ...progress, isOutOfPostgres: true });
  return ok(undefined);
}

function addCounts(one: ErasedCounts["postgres"], other: ErasedCounts["postgres"]): ErasedCounts["postgres"] {
  return {
    ...{ users: one.users + other.users, sessions: one.sessions + other.sessions },
    ...{ messages: one.messages + other.messages, api_keys: one.api_keys + other.api_keys },
    preferences: one.preferences + other.preferences,
    documents: one.documents + other.documents,
    // An erasure that an earlier version of this code began has not counted them.
    usage_records: (one.usage_records ?? 0) + other.usage_records,
  };
}

function readProgress(sql: SqlStorage): Progress {
  const row = sql.exec("SELECT progress FROM erasure").toArray()[0];
  // Written by writeProgress.
  return row
    ? (JSON.parse(String(row["progress"])) as Progress)
    : structuredClone({ after: undefined, isOutOfPostgres: false, removed: NOTHING_REMOVED, finished: false });
}

function writeProgress(sql: SqlStorage, progress: Progress): void {
  const text = JSON.stringify(progress);
  sql.exec(
    "INSERT INTO erasure (id, progress) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET progress = excluded.progress",
    text,
  );
}
