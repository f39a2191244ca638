/**
 * Keeps a session's debts to Postgres: one drain at a time, tried again by the object's alarm, later each time.
 * Erasing goes the same way: marked first, so that no restart and no late drain can bring anything back.
 */
import type { CacheAdmin } from "../cache/admin.ts";
import { drainOutbox, type OutboxDeps } from "./outbox.ts";
import { markErased, type Session } from "./session.ts";

const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 60_000;
const ERASE_RETRY_MS = 10_000;

export interface Drain {
  /** Pays what is owed, or sets the alarm for another try. Never throws. */
  run(): Promise<void>;
  /** Removes the session here, in Postgres and in the cache. False: one of the two is away, and the alarm tries again. */
  erase(session: Session): Promise<boolean>;
}

export function createDrain(
  storage: DurableObjectStorage,
  deps: Omit<OutboxDeps, "sql"> & { now: () => number; random: () => number; purge: CacheAdmin["purge"] },
): Drain {
  const { now, random, history, purge } = deps;
  let draining: Promise<void> | undefined;
  let failures = 0;

  async function retryLater(): Promise<void> {
    const backoffMs = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** failures);
    failures += 1;
    await storage.setAlarm(now() + backoffMs * (0.5 + random() / 2));
  }

  async function drainOnce(): Promise<void> {
    const outcome = await drainOutbox({ ...deps, sql: storage.sql }).catch(() => "waiting" as const);
    if (outcome === "waiting") await retryLater();
    else failures = 0;
  }

  function run(): Promise<void> {
    draining ??= drainOnce().finally(() => {
      draining = undefined;
    });
    return draining;
  }

  return {
    run,
    async erase(session) {
      markErased(storage.sql);
      // Before anything is awaited: a runtime that dies here comes back to it.
      void storage.setAlarm(now() + ERASE_RETRY_MS);
      await draining; // a batch on its way would arrive after the deletion
      const [removed, purged] = await Promise.all([
        session.stored ? history.eraseSession(session.id, session.userId) : { ok: true },
        purge({ session: session.id }, { userId: session.userId }),
      ]);
      if (!removed.ok || !purged.ok) {
        await retryLater();
        return false;
      }
      // A batch that got no answer may still arrive: the alarm deletes once more before everything goes.
      if (failures === 0) await storage.deleteAll();
      failures = 0;
      return true;
    },
  };
}
