/**
 * The cache as its keeper sees it: purging by tags. State lives in Redis. What could not be done is a failure, never a pretended
 * success; without Redis there is nothing to purge.
 */
import type { CacheFilter } from "../../../contracts/cache.ts";
import { fail, ok, type Result } from "../../../contracts/errors.ts";
import type { Log } from "../../../contracts/log.ts";
import type { RedisStore } from "./redis.ts";
import { PURGE } from "./scripts.ts";
import { tagsOfFilter } from "./tags.ts";

/** A script runs to its end also when nobody waits any more, so a purge without an answer may have happened: it can be repeated. */
const ADMIN_TIMEOUT_MS = 10_000;

export interface Purged {
  /** Entries that carried all the tags and are gone, or would be. */
  deletedCount: number;
}

export interface PurgeOptions {
  /** Left out: of an erasure that goes on by itself. */
  requestId?: string;
  /** On whose wish. */
  userId: string;
  /** Count, and change nothing. */
  dryRun?: boolean;
}

export interface CacheAdmin {
  /**
   * Deletes the entries that carry all the tags of the filter, in one round trip. Once it is answered, nobody is given one of them
   * any more, and what began before it is not kept.
   */
  purge(filter: CacheFilter, options: PurgeOptions): Promise<Result<Purged>>;
}

export function createCacheAdmin({ redis, log }: { redis: RedisStore | undefined; log: Log }): CacheAdmin {
  return {
    async purge(filter, { requestId, userId, dryRun = false }) {
      if (redis === undefined) return ok({ deletedCount: 0 });
      const args = [JSON.stringify(tagsOfFilter(filter)), dryRun ? "1" : "0"];
      const found = await redis.run(PURGE, args, ADMIN_TIMEOUT_MS);
      const count = found.ok && typeof found.value === "number" ? found.value : undefined;
      if (!dryRun) {
        const line = { service: "main", route: "cache.purge", ...(requestId && { request_id: requestId }) };
        log({
          ...line,
          user_id: userId,
          filter,
          ...(count === undefined ? { error: "upstream_error" } : { deleted: count }),
        });
      }
      return count === undefined
        ? fail("upstream_error", "the cache could not be purged: try again")
        : ok({ deletedCount: count });
    },
  };
}
