/**
 * The cache as its keeper sees it: purging by tags, figures of all Workers, lists of entries. State lives in Redis. What could not
 * be done is a failure, never a pretended success.
 */
import * as z from "zod";
import {
  type CacheExplanation,
  type CacheFilter,
  type CacheHealth,
  type CacheStats,
  type EntryList,
  type Layer,
  LAYERS,
} from "../../../contracts/cache.ts";
import { fail, ok, type Result } from "../../../contracts/errors.ts";
import type { QuestionIndex } from "../../../contracts/vectors.ts";
import type { Log } from "../../../contracts/log.ts";
import type { ModelPrices } from "../../../contracts/prices.ts";
import { askRedis } from "./ask.ts";
import type { Slot } from "./cache.ts";
import { readCounts } from "./counts.ts";
import type { RedisStore } from "./redis.ts";
import { PURGE, READ_STATS } from "./scripts.ts";
import { tagsOfFilter } from "./tags.ts";
import { explainSlots, listEntries } from "./views.ts";

const DAY_MS = 86_400_000;

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
   * any more, and what began before it is not kept. It can be repeated. Without Redis there is nothing to purge.
   */
  purge(filter: CacheFilter, options: PurgeOptions): Promise<Result<Purged>>;
  /** One round trip. Of so many days, today's first. */
  stats(days: number): Promise<Result<CacheStats>>;
  /** One round trip. */
  list(filter: CacheFilter, page: { offset: number; limit: number }): Promise<Result<EntryList>>;
  /** One round trip: what a request with these slots would find, and what comes nearest. */
  explain(slots: { answer: Slot<"llm">; intent: Slot<"intent"> }): Promise<Result<CacheExplanation>>;
  health(): Promise<CacheHealth>;
}

export interface CacheAdminOptions {
  redis: RedisStore | undefined;
  /** Turns use the cache. */
  enabled: boolean;
  /** Left out: entries are found by their key alone. */
  index?: QuestionIndex | undefined;
  prices: ModelPrices;
  now: () => number;
  log: Log;
}

export function createCacheAdmin(options: CacheAdminOptions): CacheAdmin {
  return {
    purge: (filter, how) => purge(options, filter, how),
    stats: (days) => readStats(options, days),
    list: (filter, page) => listEntries(options, filter, page),
    explain: (slots) => explainSlots(options, slots),
    health: () => readHealth(options),
  };
}

async function purge(
  { redis, log, now }: CacheAdminOptions,
  filter: CacheFilter,
  { requestId, userId, dryRun = false }: PurgeOptions,
): Promise<Result<Purged>> {
  if (redis === undefined) return ok({ deletedCount: 0 });
  const args = [JSON.stringify(tagsOfFilter(filter)), dryRun ? "1" : "0"];
  const startedAtMs = now();
  const found = await askRedis(redis, { script: PURGE, args, reply: z.int() });
  if (!dryRun) {
    const line = { service: "main", route: "cache.purge", ...(requestId && { request_id: requestId }) };
    const outcome = found.ok ? { deleted: found.value } : { error: found.error.code };
    log({ ...line, user_id: userId, filter, ...outcome, ms: now() - startedAtMs });
  }
  return found.ok
    ? ok({ deletedCount: found.value })
    : fail("upstream_error", "the cache could not be purged: try again");
}

/** What a hash holds is read by readCounts. */
const StatsReply = z.tuple([z.array(z.array(z.int())), z.array(z.unknown()), z.array(z.array(z.unknown()))]);

async function readStats({ redis, prices, now }: CacheAdminOptions, days: number): Promise<Result<CacheStats>> {
  const asked = Array.from({ length: days }, (_, ago) => new Date(now() - ago * DAY_MS).toISOString().slice(0, 10));
  const args = [JSON.stringify({ layers: LAYERS, days: asked })];
  const read = await askRedis(redis, { script: READ_STATS, args, reply: StatsReply });
  if (!read.ok) return read;
  const [sizes, total, daily] = read.value;
  return ok({
    layers: byLayer((layer, at) => {
      const [entries = 0, bytes = 0] = sizes[at] ?? [];
      return { ...readCounts(total, layer, prices), entries, bytes };
    }),
    days: asked.map((day, at) => ({ day, layers: byLayer((layer) => readCounts(daily[at], layer, prices)) })),
  });
}

async function readHealth({ redis, enabled, index, now }: CacheAdminOptions): Promise<CacheHealth> {
  const askedAtMs = now();
  const [pong, found] = await Promise.all([redis?.ping(), index?.ping()]);
  const latencyMs = pong?.ok ? now() - askedAtMs : null;
  return {
    status: latencyMs === null ? "unhealthy" : "healthy",
    latency_ms: latencyMs,
    enabled,
    semantic: stateOf(found),
  };
}

function stateOf(found: Result<void> | undefined): CacheHealth["semantic"] {
  if (found === undefined) return "off";
  if (found.ok) return "ready";
  return found.error.code === "not_configured" ? "not_configured" : "unhealthy";
}

function byLayer<T>(of: (layer: Layer, at: number) => T): Record<Layer, T> {
  return Object.fromEntries(LAYERS.map((layer, at) => [layer, of(layer, at)])) as Record<Layer, T>; // each of them
}
