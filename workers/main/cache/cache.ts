/**
 * The three cache layers over one mechanism: read several entries in one round trip, write several in one.
 * State lives in Redis. Redis away means a bypass; a value that does not fit its envelope is a miss.
 */
import { CACHE_VALUE, type CacheValue, Envelope, type Layer } from "../../../contracts/cache.ts";
import { cacheKey, type Scope } from "./key.ts";
import type { RedisStore } from "./redis.ts";

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
  /** Shorter than the layer's own, when the request asks for it. */
  ttlSeconds?: number | undefined;
}

export type CacheRead<L extends Layer> = { verdict: "hit"; value: CacheValue<L> } | { verdict: "miss" | "bypass" };

export interface Cache {
  slot<L extends Layer>(layer: L, scope: Scope, parts: Record<string, unknown>): Slot<L>;
  /** One round trip; the request leaves before the first await, so a write that follows does not hold it back. */
  read<const S extends readonly Slot<Layer>[]>(slots: S): Promise<{ [I in keyof S]: CacheRead<S[I]["layer"]> }>;
  /** One round trip. Never throws; false when nothing was kept. */
  write(entries: CacheEntry<Layer>[]): Promise<boolean>;
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
  return {
    slot: (layer, scope, parts) => ({ layer, key: cacheKey(layer, scope, parts) }),

    async read(slots) {
      const stored = redis && (await redis.getMany(slots.map((slot) => slot.key)));
      const reads = slots.map((slot, at) =>
        stored?.ok ? openEnvelope(slot, stored.value[at] ?? null) : { verdict: "bypass" },
      );
      return reads as { [I in keyof typeof slots]: CacheRead<(typeof slots)[I]["layer"]> }; // one read a slot, in order
    },

    async write(entries) {
      const kept = entries.map((entry) => ({
        key: entry.slot.key,
        value: JSON.stringify({
          key: entry.slot.key,
          created_at_ms: now(),
          value: entry.value,
        } satisfies typeof Envelope._output),
        ttlSeconds: lifetime(Math.min(entry.ttlSeconds ?? Infinity, ttlSeconds[entry.slot.layer]), random()),
      }));
      const small = kept.filter((entry) => entry.value.length <= MAX_VALUE_CHARS);
      if (redis === undefined || small.length === 0) return false;
      return (await redis.setMany(small)).ok;
    },
  };
}

function openEnvelope<L extends Layer>(slot: Slot<L>, text: string | null): CacheRead<L> {
  if (text === null) return { verdict: "miss" };
  try {
    const envelope = Envelope.parse(JSON.parse(text));
    if (envelope.key !== slot.key) return { verdict: "miss" };
    const value = CACHE_VALUE[slot.layer].parse(envelope.value) as CacheValue<L>; // the layer's own schema
    return { verdict: "hit", value };
  } catch {
    return { verdict: "miss" };
  }
}

function lifetime(ttlSeconds: number, random: number): number {
  return Math.max(1, Math.round(ttlSeconds * (1 - TTL_JITTER * random)));
}
