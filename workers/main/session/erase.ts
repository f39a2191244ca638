/**
 * Ends a session for good: stops its turn, and deletes it here, in Postgres and in the cache, counted. State: the mark in the session's
 * row, which hides it from then on and outlives the runtime. It refuses nobody: the caller has checked the owner.
 */
import { AppError } from "../../../contracts/errors.ts";
import type { ErasedRows, ErasedSession, HistoryStore } from "../../../contracts/history.ts";
import type { EraseSession, ObjectCounts } from "../../../contracts/session.ts";
import { hasTables as hasCheckpoints } from "./checkpoints.ts";
import type { Drain } from "./drain.ts";
import { unreadable } from "./hold.ts";
import type { TurnKeeper } from "./keeper.ts";
import { markErased, type Session } from "./session.ts";

export interface EraserDeps {
  storage: DurableObjectStorage;
  history: HistoryStore;
  keeper: TurnKeeper;
  drain: Drain;
  /** Deletes what the cache keeps of a session, counted; left out: there is no cache. */
  purge?: ((tags: { session: string }) => Promise<number>) | undefined;
}

export interface Eraser {
  erase(session: Session): Promise<Response>;
  /** One that the object does not hold: it is in Postgres alone. */
  eraseUnheld(command: EraseSession): Promise<Response>;
  /** What the object holds, and nothing else. */
  discard(): Promise<ObjectCounts>;
}

/** Of a session that no object holds. */
export const NOTHING: ObjectCounts = { messages: 0, turns: 0, events: 0, checkpoints: 0 };

export function createEraser({ storage, history, keeper, drain, purge }: EraserDeps): Eraser {
  const { sql } = storage;

  /** From here on nobody sees the session, and nothing of it is sent to Postgres. */
  async function stop(): Promise<void> {
    markErased(sql);
    const { live } = keeper;
    if (live === undefined) return;
    keeper.stop(live, "session_deleted");
    await live.ended;
  }

  const purged = async (session: string): Promise<number> => (await purge?.({ session })) ?? 0;

  return {
    async erase({ id, ...session }) {
      await stop();
      const object = countRows(sql);
      const [rows, cacheEntries] = await Promise.all([drain.erase({ id, ...session }), purged(id)]);
      return toResponse(id, object, rows, cacheEntries);
    },

    async eraseUnheld({ sessionId, userId }) {
      const erased = await history.eraseSession(sessionId, userId);
      if (!erased.ok) throw unreadable(erased.error);
      if (erased.value.sessions === 0) throw new AppError("not_found", "there is no such session");
      return toResponse(sessionId, NOTHING, erased.value, await purged(sessionId));
    },

    async discard() {
      await stop();
      await drain.idle();
      const counts = countRows(sql);
      await storage.deleteAll();
      return counts;
    },
  };
}

function countRows(sql: SqlStorage): ObjectCounts {
  const count = (table: string): number =>
    sql.exec<{ count: number }>(`SELECT count(*) AS count FROM ${table}`).one().count;
  return {
    ...{ messages: count("messages"), turns: count("turns"), events: count("events") },
    checkpoints: hasCheckpoints(sql) ? count("checkpoints") : 0,
  };
}

function toResponse(
  session_id: string,
  object: ObjectCounts,
  rows: ErasedRows | undefined,
  cache_entries: number,
): Response {
  const postgres = rows ? { sessions: rows.sessions, messages: rows.messages, dead_letters: rows.deadLetters } : null;
  const erased: ErasedSession = {
    session_id,
    erased: rows !== undefined,
    removed: { object, postgres, cache_entries },
  };
  return Response.json(erased, { status: erased.erased ? 200 : 202 });
}
