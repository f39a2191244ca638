/**
 * The cache and its purge against the Redis stand-in and, when TEST_REDIS_URL names one, against a real Redis behind it: its
 * database 5 is emptied. A model of what should be there, kept in plain data, is the judge.
 */
import { randomUUID } from "node:crypto";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { CachedRoute as Route, type CacheFilter, type Layer, LAYERS } from "../../../contracts/cache.ts";
import { newId } from "../../../contracts/ids.ts";
import { seededRandom } from "../../../dev/house/random.ts";
import { serveRedis } from "../../../dev/stand-ins/redis.ts";
import type { StandIn } from "../../../dev/stand-ins/serve.ts";
import { type CacheAdmin, createCacheAdmin } from "./admin.ts";
import { type Cache, type CacheEntry, createCache, type Slot } from "./cache.ts";
import { createRedisStore } from "./redis.ts";
import type { Origin } from "./tags.ts";

const TOKEN = "cache-token";
const REAL = process.env["TEST_REDIS_URL"];
const BY = { requestId: "r", userId: "01a208da-e900-7048-8025-8d0d150d1078" };
const id = (): string => newId(Date.now(), (length) => crypto.getRandomValues(new Uint8Array(length)));
const range = (count: number): number[] => Array.from({ length: count }, (_, at) => at);

interface Made {
  entry: CacheEntry<Layer>;
  layer: Layer;
  origin: Origin;
}

const VALUE = {
  llm: { content: "an answer", rounds: [], usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 } },
  intent: { calls: [{ name: "calculator", arguments: {} }] },
  mcp: { ok: true as const, content: "42" },
};

const SAVES = { calls: 1, ms: 20, tokens: { model: "m", prompt: 1, completion: 2 } };

describe.each([
  { backend: "memory", redisUrl: undefined, skip: false },
  { backend: "real Redis (set TEST_REDIS_URL to run)", redisUrl: REAL, skip: REAL === undefined },
])("cache on $backend", ({ redisUrl, skip }) => {
  let standIn: StandIn;
  let cache: Cache;
  let admin: CacheAdmin;
  const lines: Record<string, unknown>[] = [];

  describe.skipIf(skip)("contract", () => {
    beforeAll(async () => {
      standIn = await serveRedis({ token: TOKEN, ...(redisUrl && { redisUrl: databaseOf(redisUrl) }) });
      const redis = createRedisStore({ url: standIn.url, token: TOKEN, readTimeoutMs: 5_000 });
      const ttlSeconds = { llm: 3_600, intent: 7_200, mcp: 1_800 };
      cache = createCache({ redis, ttlSeconds, now: Date.now, random: Math.random });
      admin = createCacheAdmin({
        redis,
        enabled: true,
        prices: {},
        now: Date.now,
        log: (line) => void lines.push(line),
      });
    });
    afterAll(() => standIn.close());
    beforeEach(async () => {
      await command("FLUSHDB");
    });

    async function command(...words: string[]): Promise<unknown> {
      const headers = { authorization: `Bearer ${TOKEN}` };
      const reply = await fetch(standIn.url, { method: "POST", headers, body: JSON.stringify(words) });
      return (await reply.json<{ result?: unknown }>()).result;
    }

    /** Every key of Redis, as only a test may ask. */
    async function scan(): Promise<string[]> {
      const found: string[] = [];
      let cursor = "0";
      do {
        const [next, keys] = (await command("SCAN", cursor, "COUNT", "1000")) as [string, string[]];
        found.push(...keys);
        cursor = next;
      } while (cursor !== "0");
      return found;
    }

    const begin = async (): Promise<number | undefined> => (await cache.read([])).since;
    const isHit = async (slot: Slot<Layer>): Promise<boolean> => (await cache.read([slot])).reads[0]?.verdict === "hit";
    async function hitsOf(all: Made[]): Promise<Made[]> {
      const { reads } = await cache.read(all.map(({ entry }) => entry.slot));
      return all.filter((_, at) => reads[at]?.verdict === "hit");
    }

    function make(layer: Layer, origin: Origin, parts: Record<string, unknown> = { unique: randomUUID() }): Made {
      const slot = cache.slot(layer, { shared: true }, parts);
      const value = layer === "llm" ? { ...VALUE.llm, model: "m", provider: "p" } : VALUE[layer];
      return { layer, origin, entry: { slot, value, saves: SAVES, origin } };
    }

    const one = (more: Partial<Origin> = {}): Origin => ({
      ...{ userId: id(), sessionId: id(), route: "chat", models: ["demo"], tools: [] },
      ...more,
    });

    /** So many entries over users, sessions, models, tools and routes, by chance from a seed. */
    function population(count: number, seed: number): Made[] {
      const random = seededRandom(seed);
      const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T;
      const users = range(8).map(() => ({ userId: id(), sessions: range(5).map(id) }));
      return range(count).map((at) => {
        const { userId, sessions } = pick(users);
        const origin: Origin = {
          ...{ userId, sessionId: pick(sessions), route: pick(Route.options) },
          models: pick([["demo"], ["gpt-4o", "gpt-4o-2026"], ["org/model:v1.2"]]),
          tools: pick([[], ["calculator"], ["echo", "current_time"], ["a.b-c_d"]]),
        };
        return make(pick(LAYERS), origin, { at });
      });
    }

    /** The filters that name one tag each, of those that the entries carry. */
    function everyFilter(all: Made[]): CacheFilter[] {
      const distinct = <T>(values: T[]): T[] => [...new Set(values)];
      const origins = all.map(({ origin }) => origin);
      return [
        {},
        ...LAYERS.map((layer) => ({ layer })),
        ...distinct(origins.map(({ route }) => route)).map((route) => ({ route })),
        ...distinct(origins.map(({ userId }) => userId)).map((user) => ({ user })),
        ...distinct(origins.map(({ sessionId }) => sessionId))
          .slice(0, 4)
          .map((session) => ({ session })),
        ...distinct(origins.flatMap(({ models }) => models)).map((model) => ({ model })),
        ...distinct(origins.flatMap(({ tools }) => tools)).map((tool) => ({ tool })),
      ];
    }

    function carries({ layer, origin }: Made, filter: CacheFilter): boolean {
      return (
        (filter.layer === undefined || filter.layer === layer) &&
        (filter.route === undefined || filter.route === origin.route) &&
        (filter.user === undefined || filter.user === origin.userId) &&
        (filter.session === undefined || filter.session === origin.sessionId) &&
        (filter.model === undefined || origin.models.includes(filter.model)) &&
        (filter.tool === undefined || origin.tools.includes(filter.tool))
      );
    }

    test("[CACHE-1] [B59] 1,000 entries: a dry run and a purge by each tag agree with a full scan, and the others stay hits", async () => {
      const all = population(1_000, 20_261);
      let missing = all;
      for (const filter of everyFilter(all)) {
        const entries = missing.map(({ entry }) => entry);
        await cache.write({ since: await begin(), entries, looked: [] });
        expect(await hitsOf(all)).toHaveLength(1_000);
        const doomed = all.filter((made) => carries(made, filter));
        missing = doomed;
        const calls = standIn.stats().calls;
        const dry = await admin.purge(filter, { ...BY, dryRun: true });
        expect([filter, dry]).toEqual([filter, { ok: true, value: { deletedCount: doomed.length } }]);
        expect(await admin.purge(filter, BY)).toEqual(dry);
        // One round trip each, however many entries there are.
        expect(standIn.stats().calls).toBe(calls + 2);
        expect(await hitsOf(all)).toEqual(all.filter((made) => !carries(made, filter)));
        const keys = new Set(await scan());
        expect(doomed.filter(({ entry }) => keys.has(entry.slot.key) || keys.has(`${entry.slot.key}:about`))).toEqual(
          [],
        );
        expect(await admin.purge(filter, BY)).toEqual({ ok: true, value: { deletedCount: 0 } });
      }
    }, 60_000);

    test("[CACHE-1] several tags purge what carries all of them", async () => {
      const all = population(300, 7);
      await cache.write({ since: await begin(), entries: all.map(({ entry }) => entry), looked: [] });
      const [first] = all;
      const filter: CacheFilter = { layer: "llm", user: first?.origin.userId, model: "demo", tool: "calculator" };
      const doomed = all.filter((made) => carries(made, filter));
      expect(await admin.purge(filter, BY)).toEqual({ ok: true, value: { deletedCount: doomed.length } });
      expect(await hitsOf(all)).toEqual(all.filter((made) => !carries(made, filter)));
    });

    test("[CACHE-1] a purge leaves nothing behind: when every entry is purged, only counts are left", async () => {
      const all = population(200, 9);
      await cache.write({ since: await begin(), entries: all.map(({ entry }) => entry), looked: [] });
      await admin.purge({}, BY);
      const left = (await scan()).filter((key) => !key.startsWith("basechat:stats"));
      expect(left.toSorted()).toEqual(["basechat:purged", "basechat:purges"]);
    });

    test("[CACHE-1] an entry that somebody else has made anew belongs to them", async () => {
      const [one1, two] = [one(), one()];
      const parts = { same: "question" };
      const first = make("llm", one1, parts);
      await cache.write({ since: await begin(), entries: [first.entry], looked: [] });
      await cache.write({ since: await begin(), entries: [make("llm", two, parts).entry], looked: [] });
      expect(await admin.purge({ user: one1.userId }, BY)).toEqual({ ok: true, value: { deletedCount: 0 } });
      expect(await isHit(first.entry.slot)).toBe(true);
      expect(await admin.purge({ user: two.userId }, BY)).toEqual({ ok: true, value: { deletedCount: 1 } });
      expect(await isHit(first.entry.slot)).toBe(false);
    });

    test("[CACHE-1] an expired entry does not count", async () => {
      const made = make("llm", one());
      await cache.write({ since: await begin(), entries: [made.entry], looked: [] });
      await command("PEXPIRE", made.entry.slot.key, "1");
      await expect.poll(() => command("EXISTS", made.entry.slot.key)).toBe(0);
      expect(await admin.purge({}, BY)).toEqual({ ok: true, value: { deletedCount: 0 } });
    });

    test("[F29] what began before a purge of one of its tags is not kept, and what it does not touch is", async () => {
      const all = population(60, 11);
      for (const filter of everyFilter(all)) {
        const since = await begin();
        await admin.purge(filter, BY);
        const kept = await cache.write({ since, entries: all.map(({ entry }) => entry), looked: [] });
        const spared = all.filter((made) => !carries(made, filter));
        expect([filter, kept]).toEqual([filter, spared.length]);
        expect(await hitsOf(all)).toEqual(spared);
        // What begins after it is kept.
        expect(await cache.write({ since: await begin(), entries: all.map(({ entry }) => entry), looked: [] })).toBe(
          all.length,
        );
        await admin.purge({}, BY);
      }
    });

    test("[F29] [B59] any order of beginnings, purges and writes: no older value is read after a purge", async () => {
      const users = [id(), id()];
      const step = fc.oneof(
        fc.record({ act: fc.constant("begin" as const), user: fc.nat(1), turn: fc.nat(3) }),
        fc.record({ act: fc.constant("write" as const), turn: fc.nat(3) }),
        fc.record({ act: fc.constant("purge" as const), user: fc.nat(2) }),
      );
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 14 }), async (steps) => {
          await command("FLUSHDB");
          const turns = new Map<number, { since: number | undefined; begunAt: number; made: Made; userAt: number }>();
          const purgedAt = [-1, -1];
          const [seen, right]: [unknown[], unknown[]] = [[], []];
          const written = new Map<string, { begunAt: number; userAt: number; slot: Slot<Layer> }>();
          for (const [at, current] of steps.entries()) {
            if (current.act === "begin") {
              const made = make("llm", one({ userId: users[current.user] ?? "" }), { turn: current.turn });
              turns.set(current.turn, { since: await begin(), begunAt: at, made, userAt: current.user });
            } else if (current.act === "purge") {
              for (const user of [0, 1]) if (current.user === user || current.user === 2) purgedAt[user] = at;
              await admin.purge(current.user === 2 ? {} : { user: users[current.user] }, BY);
            } else {
              const turn = turns.get(current.turn);
              if (turn === undefined) continue;
              const kept = await cache.write({ since: turn.since, entries: [turn.made.entry], looked: [] });
              seen.push(kept);
              right.push(turn.begunAt > (purgedAt[turn.userAt] ?? -1) ? 1 : 0);
              if (kept === 1) written.set(turn.made.entry.slot.key, { ...turn, slot: turn.made.entry.slot });
            }
            for (const { begunAt, userAt, slot } of written.values()) {
              seen.push(await isHit(slot));
              right.push(begunAt > (purgedAt[userAt] ?? -1));
            }
          }
          expect(seen).toEqual(right);
        }),
        { numRuns: 60 },
      );
    }, 60_000);

    test("[F29] without an answer from Redis at its start a turn keeps nothing", async () => {
      standIn.control({ mode: "500" });
      const since = await begin();
      standIn.control({ mode: "up" });
      expect(since).toBeUndefined();
      expect(await cache.write({ since, entries: [make("llm", one()).entry], looked: [] })).toBe(0);
    });

    test("[CACHE-2] a value that does not fit its envelope is a miss and is deleted", async () => {
      const misfits = [
        "no JSON",
        "{}",
        "null",
        JSON.stringify({ key: "another", created_at_ms: 1, value: VALUE.mcp }),
        JSON.stringify({ key: "", created_at_ms: 1, value: { ok: false, content: "a failure" } }),
        JSON.stringify({ key: "", created_at_ms: 1, value: VALUE.mcp, more: 1 }),
      ];
      for (const text of misfits) {
        const made = make("mcp", one());
        const { slot } = made.entry;
        await cache.write({ since: await begin(), entries: [made.entry], looked: [] });
        await command("SET", slot.key, text.replace('"key":""', `"key":"${slot.key}"`));
        expect(await isHit(slot)).toBe(false);
        await standIn.until(({ in_flight }) => in_flight === 0);
        await expect.poll(() => command("EXISTS", slot.key, `${slot.key}:about`)).toBe(0);
      }
      expect(await command("EXISTS", "basechat:tag:all")).toBe(0);
    });

    test("[CACHE-11] an entry lives as long as its layer's setting says, up to a tenth less, or as short as the request asks", async () => {
      const entries = range(40).map((at) => make(LAYERS[at % 3] ?? "llm", one()).entry);
      const short = { ...make("llm", one()).entry, ttlSeconds: 5 };
      const long = { ...make("llm", one()).entry, ttlSeconds: 999_999 };
      await cache.write({ since: await begin(), entries: [...entries, short, long], looked: [] });
      const lives = async (key: string): Promise<number> => Number(await command("PTTL", key)) / 1_000;
      const full = { llm: 3_600, intent: 7_200, mcp: 1_800 };
      const seen = [];
      for (const { slot } of entries) seen.push((await lives(slot.key)) / full[slot.layer]);
      expect(Math.max(...seen)).toBeLessThanOrEqual(1);
      expect(Math.min(...seen)).toBeGreaterThan(0.89);
      expect(new Set(seen.map((share) => share.toFixed(3))).size).toBeGreaterThan(10);
      expect(await lives(short.slot.key)).toBeLessThanOrEqual(5);
      expect(await lives(long.slot.key)).toBeLessThanOrEqual(3_600);
      // What tells of an entry ends with it.
      expect(await lives(`${short.slot.key}:about`)).toBeLessThanOrEqual(5);
    });

    test("[CACHE-8] a value that is too large is not kept; the others of its turn are", async () => {
      const small = make("mcp", one());
      const { slot, saves, origin } = make("mcp", one()).entry;
      const big: CacheEntry<Layer> = { slot, saves, origin, value: { ok: true, content: "x".repeat(300_000) } };
      expect(await cache.write({ since: await begin(), entries: [big, small.entry], looked: [] })).toBe(1);
      expect([await isHit(slot), await isHit(small.entry.slot)]).toEqual([false, true]);
    });

    test("[CACHE-3] a purge writes one audit line with who, what and how many; a dry run none", async () => {
      const made = make("llm", one());
      await cache.write({ since: await begin(), entries: [made.entry], looked: [] });
      lines.length = 0;
      await admin.purge({ layer: "llm" }, { ...BY, dryRun: true });
      await admin.purge({ layer: "llm" }, BY);
      const who = { request_id: BY.requestId, user_id: BY.userId };
      const ms: unknown = expect.any(Number);
      const line = { service: "main", route: "cache.purge", ...who, filter: { layer: "llm" }, deleted: 1, ms };
      expect(lines).toEqual([line]);
    });

    test("[CACHE-3] a purge that Redis did not answer is a failure, and says so in its line", async () => {
      lines.length = 0;
      standIn.control({ mode: "500" });
      const outcome = await admin.purge({}, BY);
      standIn.control({ mode: "up" });
      expect(outcome).toMatchObject({ ok: false, error: { code: "upstream_error" } });
      expect(lines).toMatchObject([{ route: "cache.purge", error: "upstream_error" }]);
    });
  });
});

/** Another database than the one that the stand-in's own tests empty. */
function databaseOf(redisUrl: string): string {
  const url = new URL(redisUrl);
  url.pathname = "/5";
  return url.href;
}
