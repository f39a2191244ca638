/**
 * The cache as its keeper sees it: purging by tags, figures of all Workers. State lives in Redis. What could not be done is a
 * failure, never a pretended success; without Redis there is nothing to purge.
 */
import * as z from "zod";
import { type CacheFilter, type CacheStats, type Layer, LAYERS } from "../../../contracts/cache.ts";
import { fail, ok, type Result } from "../../../contracts/errors.ts";
import type { Log } from "../../../contracts/log.ts";
import type { ModelPrices } from "../../../contracts/prices.ts";
import { readCounts } from "./counts.ts";
import type { RedisStore } from "./redis.ts";
import { PURGE, READ_STATS } from "./scripts.ts";
import { tagsOfFilter } from "./tags.ts";

/** A script runs to its end also when nobody waits any more, so a purge without an answer may have happened: it can be repeated. */
const ADMIN_TIMEOUT_MS = 10_000;

const DAY_MS = 86_400_000;

/** What READ_STATS answers with; what a hash holds is read by readCounts. */
const Reply = z.tuple([z.array(z.array(z.number())), z.array(z.unknown()), z.array(z.array(z.unknown()))]);

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
  /** One round trip. Of so many days, today's first. */
  stats(days: number): Promise<Result<CacheStats>>;
}

export interface CacheAdminOptions {
  redis: RedisStore | undefined;
  prices: ModelPrices;
  now: () => number;
  log: Log;
}

export function createCacheAdmin({ redis, prices, now, log }: CacheAdminOptions): CacheAdmin {
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

    async stats(days) {
      if (redis === undefined) return fail("not_configured", "the cache is not configured: UPSTASH_REDIS_REST_URL");
      const asked = range(days).map((ago) => new Date(now() - ago * DAY_MS).toISOString().slice(0, 10));
      const reply = await redis.run(READ_STATS, [JSON.stringify({ layers: LAYERS, days: asked })], ADMIN_TIMEOUT_MS);
      if (!reply.ok) return fail("upstream_error", "the cache store did not answer");
      const [sizes, total, daily] = Reply.parse(reply.value);
      const counts = (hash: unknown) => byLayer((layer) => readCounts(hash, layer, prices));
      return ok({
        layers: byLayer((layer, at) => {
          const [entries = 0, bytes = 0] = sizes[at] ?? [];
          return { ...readCounts(total, layer, prices), entries, bytes };
        }),
        days: asked.map((day, at) => ({ day, layers: counts(daily[at]) })),
      });
    },
  };
}

function byLayer<T>(of: (layer: Layer, at: number) => T): Record<Layer, T> {
  return Object.fromEntries(LAYERS.map((layer, at) => [layer, of(layer, at)])) as Record<Layer, T>; // each of them
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, at) => at);
}
