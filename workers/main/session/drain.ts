/**
 * Keeps a session's debts to Postgres: one drain at a time, tried again by the object's alarm, later each time.
 * Erasing goes the same way: marked first, so that no restart and no late drain can bring anything back.
 */
import type { ErasedRows } from "../../../contracts/history.ts";
import type { OnBehalfOf, Served } from "../../../contracts/log.ts";
import type { Meter } from "../../../contracts/metrics.ts";
import type { CacheAdmin } from "../cache/admin.ts";
import { drainOutbox, type DrainOutcome, type OutboxDeps, owedBy, owedRequests } from "./outbox.ts";
import { isOwed, markErased, readSession, type Session } from "./session.ts";

const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 60_000;
const ERASE_RETRY_MS = 10_000;

/** What was removed of a session outside its object; undefined: the store is away. */
export interface Removed {
  rows: ErasedRows | undefined;
  cacheEntries: number | undefined;
}

export interface Drain {
  /** Pays what is owed, or sets the alarm for another try. Never throws. */
  run(): Promise<void>;
  /** Settles when no drain is under way. */
  idle(): Promise<void>;
  /** Removes the session here, in Postgres and in the cache. If one of the two is away, the alarm tries again. */
  erase(session: Session): Promise<Removed>;
}

export interface DrainDeps extends Omit<OutboxDeps, "sql"> {
  now: () => number;
  random: () => number;
  onBehalfOf: OnBehalfOf;
  purge: CacheAdmin["purge"];
  meter: Meter;
  /** The session's user is gone from Postgres, and so is to go the session. */
  onOrphaned(): Promise<void>;
}

const NOTHING = { ok: true, value: { sessions: 0, messages: 0, deadLetters: 0 } } as const;

export function createDrain(storage: DurableObjectStorage, deps: DrainDeps): Drain {
  const { now, random, history, purge, meter } = deps;
  let draining: Promise<void> | undefined;
  let failures = 0;

  async function retryLater(): Promise<void> {
    const backoffMs = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** failures);
    failures += 1;
    await storage.setAlarm(now() + backoffMs * (0.5 + random() / 2));
  }

  function isPaid(): boolean {
    const session = readSession(storage.sql);
    return session === undefined || !isOwed(storage.sql, session);
  }

  async function payAll(): Promise<void> {
    let outcome: DrainOutcome;
    do outcome = await pay(storage.sql, deps);
    while (outcome === "drained" && !isPaid());
    // In the same breath as the look at what is owed: whoever comes later starts another drain.
    draining = undefined;
    if (outcome === "waiting") return retryLater();
    failures = 0;
    if (outcome === "orphaned") await deps.onOrphaned();
  }

  return {
    run() {
      draining ??= payAll();
      return draining;
    },
    idle: async () => draining,
    async erase(session) {
      markErased(storage.sql);
      // Before anything is awaited: a runtime that dies here comes back to it.
      void storage.setAlarm(now() + ERASE_RETRY_MS);
      await draining; // a batch on its way would arrive after the deletion
      const [erased, purged] = await Promise.all([
        session.stored ? history.eraseSession(session.id, session.userId) : NOTHING,
        purge({ session: session.id }, { userId: session.userId }),
      ]);
      const removed = {
        rows: erased.ok ? erased.value : undefined,
        cacheEntries: purged.ok ? purged.value.deletedCount : undefined,
      };
      if (!erased.ok || !purged.ok) {
        await retryLater();
        return removed;
      }
      // A batch that got no answer may still arrive: the alarm deletes once more before everything goes.
      if (failures === 0) await storage.deleteAll();
      meter.owes(session.id, undefined);
      failures = 0;
      return removed;
    },
  };
}

/** On behalf of the newest turn whose messages it brings; of none, of whoever began the drain. */
function pay(sql: SqlStorage, deps: DrainDeps): Promise<DrainOutcome> {
  const requests = owedRequests(sql);
  const newest = requests.at(-1);
  const work = async (): Promise<DrainOutcome> => {
    const startedAtMs = deps.now();
    const outcome = await drainOutbox({ ...deps, sql }).catch(() => "waiting" as const);
    tell(sql, deps, { outcome, requests, ms: deps.now() - startedAtMs });
    return outcome;
  };
  return newest === undefined ? work() : deps.onBehalfOf(newest, work);
}

interface Drained {
  outcome: DrainOutcome;
  /** Whose messages it was to bring. */
  requests: Served[];
  ms: number;
}

/** What is still owed counts among what all sessions owe. */
function tell(sql: SqlStorage, { meter, log, now }: DrainDeps, { outcome, requests, ms }: Drained): void {
  const session = readSession(sql);
  meter.count("basechat_outbox_drains_total", { outcome });
  if (session === undefined) return;
  const owed = outcome === "waiting" ? owedBy(sql, session) : undefined;
  const level = outcome === "waiting" ? "warn" : "info";
  const { id, userId: user_id } = session;
  const others = requests.length > 1 ? { request_ids: requests.map(({ requestId }) => requestId) } : {};
  log({
    service: "session",
    level,
    route: "outbox",
    session_id: id,
    user_id,
    outcome,
    owed: owed?.messages,
    ms,
    ...others,
  });
  meter.owes(id, owed && { ...owed, oldestMs: owed.oldestMs ?? now() });
  meter.flushSoon();
}
