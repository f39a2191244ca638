/**
 * What an isolate knows of the toolbox's object. State: the last snapshot, bounded plain data, so it may outlive a request.
 * A copy is believed for two seconds; while the object cannot be reached or does not
 * answer within a second, for a minute.
 */
import type { Snapshot } from "./object.ts";

const FRESH_MS = 2_000;
const STALE_MS = 60_000;
/** Every door waits for it. */
const TIME_LIMIT_MS = 1_000;

export interface Snapshots {
  /** As it was known within the last two seconds; undefined: it must be fetched. */
  fresh(): Snapshot | undefined;
  /** Undefined: the object cannot be reached, and nothing is known that is not too old. */
  fetch(): Promise<Snapshot | undefined>;
  /** What a change gave. */
  put(snapshot: Snapshot): void;
}

export interface KeptSnapshot {
  snapshot?: Snapshot;
  atMs: number;
}

interface SnapshotsOptions {
  ask(): Promise<Snapshot>;
  now: () => number;
  kept: KeptSnapshot;
  timeLimitMs?: number;
}

export function createSnapshots({ ask, now, kept, timeLimitMs = TIME_LIMIT_MS }: SnapshotsOptions): Snapshots {
  const put = (snapshot: Snapshot, atMs: number): void => {
    // A slower answer must not undo a newer one.
    if ((kept.snapshot?.revision ?? -1) <= snapshot.revision) Object.assign(kept, { snapshot, atMs });
  };
  return {
    fresh: () => (now() - kept.atMs < FRESH_MS ? kept.snapshot : undefined),
    async fetch() {
      const askedAtMs = now();
      try {
        put(await inTime(ask(), timeLimitMs), askedAtMs);
        return kept.snapshot;
      } catch {
        return now() - kept.atMs < STALE_MS ? kept.snapshot : undefined;
      }
    },
    put: (snapshot) => put(snapshot, now()),
  };
}

async function inTime<T>(work: Promise<T>, timeLimitMs: number): Promise<T> {
  const limit = Promise.withResolvers<never>();
  const timer = setTimeout(() => limit.reject(new Error("late")), timeLimitMs);
  try {
    return await Promise.race([work, limit.promise]);
  } finally {
    clearTimeout(timer);
  }
}
