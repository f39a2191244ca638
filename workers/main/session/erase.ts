/**
 * Ends a session for good: stops its turn, and deletes it here, in Postgres and in the cache, counted. State: the mark in the session's
 * row, which hides it from then on and outlives the runtime. It refuses nobody: the caller has checked the owner.
 */
import { AppError, orThrow } from "../../../contracts/errors.ts";
import type { ModelPrices } from "../../../contracts/prices.ts";
import type { Accounts } from "../accounts/client.ts";
import type { HistoryStore } from "../../../contracts/history.ts";
import type { ErasedSession } from "../../../contracts/sessions.ts";
import type { EraseSession, ObjectCounts } from "../../../contracts/session.ts";
import { hasTables as hasCheckpoints } from "./checkpoints.ts";
import type { CacheAdmin } from "../cache/admin.ts";
import type { Drain, Removed } from "./drain.ts";
import { unreadable } from "./hold.ts";
import type { TurnKeeper } from "./keeper.ts";
import { messagesAfter } from "./messages.ts";
import { usageOf } from "./outbox.ts";
import { markErased, type Session } from "./session.ts";

export interface EraserDeps {
  storage: DurableObjectStorage;
  history: HistoryStore;
  keeper: TurnKeeper;
  drain: Drain;
  accounts: Pick<Accounts, "settle">;
  prices: ModelPrices;
  purge: CacheAdmin["purge"];
}

export interface Eraser {
  erase(session: Session): Promise<Response>;
  /** One that the object does not hold: it is in Postgres alone. */
  eraseUnheld(command: EraseSession): Promise<Response>;
  /** What the object holds, and nothing else. */
  discard(): Promise<ObjectCounts>;
}

/** Messages that Postgres does not have: more than a long time without it leaves. */
const MOST_OWED = 1_000;
const NOTHING: ObjectCounts = { messages: 0, turns: 0, events: 0, checkpoints: 0 };

export function createEraser(deps: EraserDeps): Eraser {
  const { storage, history, keeper, drain, purge } = deps;
  const { sql } = storage;

  /** From here on nobody sees the session, and nothing of it is sent to Postgres. */
  async function stop(): Promise<void> {
    markErased(sql);
    const { live } = keeper;
    if (live === undefined) return;
    keeper.stop(live, "session_deleted");
    await live.ended;
  }

  return {
    async erase(session) {
      await stop();
      const object = countRows(sql);
      tellUsage(deps, session);
      return toResponse(session.id, object, await drain.erase(session));
    },

    async eraseUnheld({ sessionId, userId, requestId }) {
      // First the cache: nobody would come back for it. Both tags: who asks may not be the session's owner.
      const purged = orThrow(await purge({ session: sessionId, user: userId }, { userId, requestId }));
      const erased = await history.eraseSession(sessionId, userId);
      if (!erased.ok) throw unreadable(erased.error);
      if (erased.value.sessions === 0) throw new AppError("not_found", "there is no such session");
      return toResponse(sessionId, NOTHING, { rows: erased.value, cacheEntries: purged.deletedCount });
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

/** What the session cost stays, also of messages that Postgres does not have yet and will never get. */
function tellUsage({ storage, accounts, prices }: EraserDeps, session: Session): void {
  const owed = session.stored ? messagesAfter(storage.sql, session.drainedSeq, MOST_OWED) : [];
  for (const { model, promptTokens, completionTokens, isEstimated, ...record } of usageOf({ prices }, session, owed)) {
    const total_tokens = promptTokens + completionTokens;
    const counted = { prompt_tokens: promptTokens, completion_tokens: completionTokens, total_tokens };
    const usage = { ...counted, ...(isEstimated && { estimated: true }) };
    // Its own reservation has been settled: none has this id.
    void accounts.settle(session.userId, { reservationId: record.id, model, usage, record });
  }
}

function countRows(sql: SqlStorage): ObjectCounts {
  const count = (table: string): number =>
    sql.exec<{ count: number }>(`SELECT count(*) AS count FROM ${table}`).one().count;
  return {
    ...{ messages: count("messages"), turns: count("turns"), events: count("events") },
    checkpoints: hasCheckpoints(sql) ? count("checkpoints") : 0,
  };
}

function toResponse(session_id: string, object: ObjectCounts, { rows, cacheEntries }: Removed): Response {
  const postgres = rows ? { sessions: rows.sessions, messages: rows.messages, dead_letters: rows.deadLetters } : null;
  const removed = { object, postgres, cache_entries: cacheEntries ?? null };
  const erased = postgres !== null && removed.cache_entries !== null;
  return Response.json({ session_id, erased, removed } satisfies ErasedSession, { status: erased ? 200 : 202 });
}
