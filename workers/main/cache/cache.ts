/**
 * The three cache layers over one mechanism: read several entries in one round trip, write several in one.
 * State lives in Redis. Redis away means a bypass; a value that does not fit its envelope is a miss and is deleted.
 */
import { CACHE_VALUE, type CacheValue, Envelope, type Layer } from "../../../contracts/cache.ts";
import { cacheKey, PURGE_COUNT, type Scope } from "./key.ts";
import type { RedisStore } from "./redis.ts";
import { KEEP, REMOVE_ENTRIES } from "./scripts.ts";
import { type Origin, tagsOf } from "./tags.ts";

/** Larger values are not worth their transfer, and Upstash bounds a request. */
const MAX_VALUE_CHARS = 256 * 1024;
/** Lifetimes are shortened by up to this share, so that entries written together do not end together. */
const TTL_JITTER = 0.1;

/** Where an entry lives: what it depends on decides its key. */
export interface Slot<L extends Layer> {
  layer: L;
  key: string;
}

export interface CacheEntry<L extends Layer> {
  slot: Slot<L>;
  value: CacheValue<L>;
  origin: Origin;
  /** Shorter than the layer's own, when the request asks for it. */
  ttlSeconds?: number | undefined;
}

export type CacheRead<L extends Layer> = { verdict: "hit"; value: CacheValue<L> } | { verdict: "miss" | "bypass" };

type Reads<S extends readonly Slot<Layer>[]> = { [I in keyof S]: CacheRead<S[I]["layer"]> };

export interface Lookup<S extends readonly Slot<Layer>[]> {
  /** One a slot, in order. */
  reads: Reads<S>;
  /** How many purges there had been; undefined when Redis did not say. */
  since: number | undefined;
}

/** What a turn leaves in the cache. */
export interface TurnWrite {
  /** From the look-up that the turn began with: what was purged since is not written back. Undefined: nothing is kept. */
  since: number | undefined;
  entries: CacheEntry<Layer>[];
}

export interface Cache {
  slot<L extends Layer>(layer: L, scope: Scope, parts: Record<string, unknown>): Slot<L>;
  /** One round trip; the request leaves before the first await, so a write that follows does not hold it back. */
  read<const S extends readonly Slot<Layer>[]>(slots: S): Promise<Lookup<S>>;
  /** One round trip, none for nothing. Never throws; gives how many entries were kept. */
  write(turn: TurnWrite): Promise<number>;
}

export interface CacheOptions {
  /** Left out: every read is a bypass. */
  redis: RedisStore | undefined;
  ttlSeconds: Record<Layer, number>;
  now: () => number;
  /** 0 <= x < 1 */
  random: () => number;
}

export function createCache({ redis, ttlSeconds, now, random }: CacheOptions): Cache {
  /** An entry as the script KEEP takes it: how it is kept, and its envelope. */
  function toKept({ slot, value, origin, ttlSeconds: asked = Infinity }: CacheEntry<Layer>) {
    const createdAtMs = now();
    const tags = tagsOf(slot.layer, origin);
    return {
      plan: {
        ...{ key: slot.key, tags, about: JSON.stringify({ tags }) },
        ttl_ms: lifetimeMs(Math.min(asked, ttlSeconds[slot.layer]), random()),
      },
      envelope: JSON.stringify({ key: slot.key, created_at_ms: createdAtMs, value } satisfies typeof Envelope._output),
    };
  }

  return {
    slot: (layer, scope, parts) => ({ layer, key: cacheKey(layer, scope, parts) }),

    async read(slots) {
      const stored = redis && (await redis.getMany([...slots.map((slot) => slot.key), PURGE_COUNT]));
      const since = stored?.ok ? Number(stored.value.at(-1) ?? 0) : undefined;
      const opened = slots.map((slot, at) =>
        stored?.ok ? openEnvelope(slot, stored.value[at] ?? null) : ({ verdict: "bypass" } as const),
      );
      const misfits = slots.flatMap(({ key }, at) => (opened[at]?.verdict === "misfit" ? [key] : []));
      // Behind the turn: it is a miss in any case.
      if (misfits.length > 0) void redis?.run(REMOVE_ENTRIES, misfits);
      const reads = opened.map((read) => (read.verdict === "misfit" ? { verdict: "miss" } : read));
      return { reads: reads as Reads<typeof slots>, since }; // one a slot, by its own schema
    },

    async write({ since, entries }) {
      const kept = since === undefined ? [] : entries.map(toKept);
      const small = kept.filter(({ envelope }) => envelope.length <= MAX_VALUE_CHARS);
      if (redis === undefined || small.length === 0) return 0;
      const plan = { since, now_ms: now(), entries: small.map((entry) => entry.plan) };
      const written = await redis.run(KEEP, [JSON.stringify(plan), ...small.map(({ envelope }) => envelope)]);
      return written.ok ? Number(written.value) : 0;
    },
  };
}

function openEnvelope<L extends Layer>(slot: Slot<L>, text: string | null): CacheRead<L> | { verdict: "misfit" } {
  if (text === null) return { verdict: "miss" };
  if (text.length > MAX_VALUE_CHARS) return { verdict: "misfit" };
  try {
    const envelope = Envelope.parse(JSON.parse(text));
    if (envelope.key !== slot.key) return { verdict: "misfit" };
    const value = CACHE_VALUE[slot.layer].parse(envelope.value) as CacheValue<L>; // the layer's own schema
    return { verdict: "hit", value };
  } catch {
    return { verdict: "misfit" };
  }
}

function lifetimeMs(ttlSeconds: number, random: number): number {
  return Math.max(1_000, Math.round(ttlSeconds * 1_000 * (1 - TTL_JITTER * random)));
}
