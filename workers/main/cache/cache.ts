/**
 * The three cache layers over one mechanism: read several entries in one round trip, write several in one, with what was counted.
 * State lives in Redis. Redis away means a bypass; a value that does not fit its envelope is a miss and is deleted.
 */
import {
  type About,
  CACHE_VALUE,
  type CacheValue,
  Envelope,
  type Layer,
  type Saves,
  type StoredValues,
} from "../../../contracts/cache.ts";
import { countLooked, type Counts, type Looked } from "./counts.ts";
import { cacheKey, describeParts, PURGE_COUNT, type Scope } from "./key.ts";
import type { QuestionIndex } from "../../../contracts/vectors.ts";
import type { RedisStore } from "./redis.ts";
import { KEEP, REMOVE_ENTRIES } from "./scripts.ts";
import type { Meaning } from "./semantic.ts";
import { type Origin, tagsOf } from "./tags.ts";

/** Larger values are not worth their transfer, and Upstash bounds a request. */
const MAX_VALUE_CHARS = 256 * 1024;
/** Lifetimes are shortened by up to this share, so that entries written together do not end together. */
const TTL_JITTER = 0.1;
/** Fields that wait for Redis to be back, at most. */
const MAX_PENDING = 1_000;

/** Where an entry lives: what it depends on decides its key. */
export interface Slot<L extends Layer> {
  layer: L;
  key: string;
  scope: Scope;
  parts: Record<string, unknown>;
}

export interface CacheEntry<L extends Layer> {
  slot: Slot<L>;
  value: CacheValue<L>;
  saves: Saves;
  origin: Origin;
  /** Shorter than the layer's own, when the request asks for it. */
  ttlSeconds?: number | undefined;
  /** Other wordings of its question may find it. */
  meaning?: Meaning | undefined;
}

/** Why there is no value. `asked`: the request said so; `resumed`: the turn had begun before; `away`: Redis did not answer. */
export type CacheRead<L extends Layer> =
  | {
      verdict: "hit";
      value: CacheValue<L>;
      saves: Saves;
      ageSeconds: number;
      /** Where the entry tells it. */
      question?: string | undefined;
      /** The answer to another wording of the question. */
      isSimilar?: true;
    }
  | { verdict: "miss"; why: "absent" | "unfit" | "too_old" }
  | { verdict: "bypass"; why: "asked" | "resumed" | "away" };

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
  /** To be counted. */
  looked: Looked[];
}

export interface Cache {
  slot<L extends Layer>(layer: L, scope: Scope, parts: Record<string, unknown>): Slot<L>;
  /**
   * One round trip; the request leaves before the first await, so a write that follows does not hold it back. None where `ahead` tells what
   * is stored under just these keys.
   */
  read<const S extends readonly Slot<Layer>[]>(slots: S, options?: ReadOptions): Promise<Lookup<S>>;
  /** What a `read` of the same slots would go by: one round trip. */
  look(slots: readonly Slot<Layer>[]): Promise<StoredValues>;
  /** One round trip, none for nothing. Never throws; gives how many entries were kept, undefined where Redis did not take them. */
  write(turn: TurnWrite): Promise<number | undefined>;
}

export interface ReadOptions {
  /** An older entry is as good as none. */
  maxAgeSeconds?: number | undefined;
  ahead?: Promise<StoredValues | undefined> | undefined;
}

export interface CacheOptions {
  /** Left out: every read is a bypass. */
  redis: RedisStore | undefined;
  ttlSeconds: Record<Layer, number>;
  now: () => number;
  /** 0 <= x < 1 */
  random: () => number;
  /** Left out: entries are found by their key alone. */
  index?: QuestionIndex | undefined;
  /** What could not be counted yet. */
  pending?: Counts;
}

/** Of an isolate: bounded plain data, so it may outlive a request. */
const isolatePending: Counts = new Map();

export function createCache(options: CacheOptions): Cache {
  const { redis, ttlSeconds, now, random, index, pending = isolatePending } = options;
  /** An entry as the script KEEP takes it: how it is kept, and its envelope. */
  function toKept(entry: CacheEntry<Layer>) {
    const { slot, value, saves, origin, ttlSeconds: asked = Infinity, meaning } = entry;
    const { layer, key, scope, parts } = slot;
    const [tags, createdAtMs] = [tagsOf(layer, origin), now()];
    const about = { layer, tags, parts: describeParts(scope, parts), created_at_ms: createdAtMs } satisfies About;
    const question = meaning && { question: meaning.question };
    const envelope = { key, created_at_ms: createdAtMs, saves, value, ...question } satisfies typeof Envelope._output;
    const ttlMs = lifetimeMs(Math.min(asked, ttlSeconds[layer]), random());
    return {
      plan: { layer, key, tags, about: JSON.stringify(about), ttl_ms: ttlMs },
      envelope: JSON.stringify(envelope),
      indexed: meaning && { ...meaning, key, userId: origin.userId, expiresAtMs: createdAtMs + ttlMs },
    };
  }

  async function fetchValues(keys: string[]): Promise<StoredValues> {
    const stored = await redis?.getMany(keys);
    return { keys, values: stored?.ok ? stored.value : undefined };
  }

  return {
    slot: (layer, scope, parts) => ({ layer, key: cacheKey(layer, scope, parts), scope, parts }),

    look: (slots) => fetchValues(keysOf(slots)),

    async read(slots, { maxAgeSeconds = Infinity, ahead } = {}) {
      const keys = keysOf(slots);
      const told = ahead && (await ahead);
      const isTold = told?.keys.length === keys.length && keys.every((key, at) => key === told.keys[at]);
      const { values: stored } = told && isTold ? told : await fetchValues(keys);
      const since = stored && Number(stored.at(-1) ?? 0);
      const newerThanMs = now() - maxAgeSeconds * 1_000;
      const reads = slots.map((slot, at): CacheRead<Layer> => {
        if (stored === undefined) return { verdict: "bypass", why: "away" };
        return openEnvelope(slot, stored[at] ?? null, { nowMs: now(), newerThanMs });
      });
      const unfit = slots.flatMap(({ key }, at) => (isUnfit(reads[at]) ? [key] : []));
      // Behind the turn: it is a miss in any case.
      if (unfit.length > 0) void redis?.run(REMOVE_ENTRIES, unfit);
      return { reads: reads as Reads<typeof slots>, since }; // one a slot, by its own schema
    },

    async write({ since, entries, looked }) {
      if (redis === undefined) return 0;
      const kept = since === undefined ? [] : entries.map(toKept);
      const small = kept.filter(({ envelope }) => envelope.length <= MAX_VALUE_CHARS);
      const counts = addCounts(takeAll(pending), countLooked(looked));
      if (small.length === 0 && counts.size === 0) return 0;
      const plan = {
        ...{ since, now_ms: now(), day: new Date(now()).toISOString().slice(0, 10) },
        ...{ entries: small.map((entry) => entry.plan), counts: [...counts] },
      };
      const written = await redis.run(KEEP, [JSON.stringify(plan), ...small.map(({ envelope }) => envelope)]);
      if (!written.ok && pending.size < MAX_PENDING) addCounts(pending, counts);
      // One that Redis has not kept leads nowhere.
      if (index !== undefined && written.ok && written.value !== 0) {
        await Promise.all(small.flatMap(({ indexed }) => (indexed ? [index.add(indexed)] : [])));
      }
      return written.ok ? Number(written.value) : undefined;
    },
  };
}

function openEnvelope<L extends Layer>(
  slot: Slot<L>,
  text: string | null,
  { nowMs, newerThanMs }: { nowMs: number; newerThanMs: number },
): CacheRead<L> {
  if (text === null) return { verdict: "miss", why: "absent" };
  if (text.length > MAX_VALUE_CHARS) return { verdict: "miss", why: "unfit" };
  try {
    const { key, created_at_ms: createdAtMs, saves, value, question } = Envelope.parse(JSON.parse(text));
    if (key !== slot.key) return { verdict: "miss", why: "unfit" };
    const checked = CACHE_VALUE[slot.layer].parse(value) as CacheValue<L>; // the layer's own schema
    if (createdAtMs <= newerThanMs) return { verdict: "miss", why: "too_old" };
    // Clocks of two machines differ.
    const ageSeconds = Math.max(0, Math.floor((nowMs - createdAtMs) / 1_000));
    return { verdict: "hit", value: checked, saves, ageSeconds, question };
  } catch {
    return { verdict: "miss", why: "unfit" };
  }
}

/** With the count of purges behind them. */
function keysOf(slots: readonly Slot<Layer>[]): string[] {
  return [...slots.map(({ key }) => key), PURGE_COUNT];
}

function isUnfit(read: CacheRead<Layer> | undefined): boolean {
  return read?.verdict === "miss" && read.why === "unfit";
}

function takeAll(pending: Counts): Counts {
  const taken: Counts = new Map(pending);
  pending.clear();
  return taken;
}

/** Adds to `counts` and gives it. */
function addCounts(counts: Counts, more: Counts): Counts {
  for (const [field, by] of more) counts.set(field, (counts.get(field) ?? 0) + by);
  return counts;
}

function lifetimeMs(ttlSeconds: number, random: number): number {
  return Math.max(1_000, Math.round(ttlSeconds * 1_000 * (1 - TTL_JITTER * random)));
}
