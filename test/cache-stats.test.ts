/** The figures of the cache, exact and of all Workers together; a house of its own, so that nobody else counts in it. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { CacheStats } from "../contracts/cache.ts";
import { ChatReply } from "../contracts/chat.ts";
import { LOCAL_REDIS_TOKEN } from "../dev/local.ts";
import { type CacheAdmin, createCacheAdmin } from "../workers/main/cache/admin.ts";
import { createRedisStore } from "../workers/main/cache/redis.ts";
import { cacheReason, type House, openHouse, readEvents, type Tenant } from "./house.ts";

let house: House;
let as: Tenant;
let admin: CacheAdmin;
const PRICES = { demo: { input: 2, output: 10 } };
beforeAll(async () => {
  house = await openHouse();
  as = await house.newTenant();
  const redis = createRedisStore({ url: house.redis.url, token: LOCAL_REDIS_TOKEN, readTimeoutMs: 5_000 });
  admin = createCacheAdmin({ redis, enabled: true, prices: PRICES, now: Date.now, log: () => {} });
});
afterAll(() => house.close());

/** One chat and what is counted behind it: each one sends two requests to Redis, the look-up and the write. */
async function ask(prompt: string, more: Record<string, unknown> = {}, calls = 2): Promise<ChatReply> {
  const before = house.redis.stats().calls;
  const response = await house.call("/chat", { as, body: { prompt, ...more } });
  const reply = ChatReply.parse(await response.json());
  await house.redis.until(({ calls: seen, in_flight }) => seen >= before + calls && in_flight === 0);
  return reply;
}

async function stats(): Promise<CacheStats> {
  const read = await admin.stats(2);
  if (!read.ok) throw new Error(read.error.message);
  return read.value;
}

test("[CACHE-7] hits, misses, bypasses, entries and what was saved, by layer and day, without a command more than two a chat", async () => {
  const first = await ask("Tell me of rivers");
  await ask("Tell me of rivers");
  await ask("Tell me of rivers");
  await ask("what is 3*4?");
  const tool = await ask("what is 3*4?");
  await ask("Tell me of lakes", { cache: { mode: "no-store" } }, 1);
  await ask("Tell me of seas", { cache: { mode: "no-cache" } });
  // A used intent reads its tool's result: one request more.
  const { ok } = await admin.purge({ layer: "llm", tool: "calculator" }, { userId: as.id });
  expect(ok).toBe(true);
  await ask("what is 3*4?", {}, 3);

  const { layers, days } = await stats();
  const tokens = (reply: ChatReply, times: number) => ({
    prompt: reply.usage.prompt_tokens * times,
    completion: reply.usage.completion_tokens * times,
  });
  const [rivers, sums] = [tokens(first, 2), tokens(tool, 1)];
  const saved = {
    calls: 2 + 2,
    prompt_tokens: rivers.prompt + sums.prompt,
    completion_tokens: rivers.completion + sums.completion,
  };
  expect(layers.llm).toMatchObject({ hits: 3, misses: 3, bypasses: 2, outages: 0, hit_rate: 0.5, kept: 4, entries: 3 });
  expect(layers.llm.saved).toMatchObject(saved);
  expect(layers.llm.saved.cost_usd).toBeCloseTo((saved.prompt_tokens * 2 + saved.completion_tokens * 10) / 1e6, 12);
  expect(layers.llm.bytes).toBeGreaterThan(300);
  expect(layers.intent).toMatchObject({ hits: 1, misses: 2, bypasses: 2, kept: 1, entries: 1, saved: { calls: 1 } });
  expect(layers.intent.saved.prompt_tokens).toBeGreaterThan(0);
  expect(layers.mcp).toMatchObject({ hits: 1, misses: 0, kept: 1, entries: 1, saved: { calls: 1, prompt_tokens: 0 } });
  expect(layers.mcp.saved.cost_usd).toBeNull();
  const { entries, bytes, ...today } = layers.llm;
  expect([entries, bytes > 0, days.length]).toEqual([3, true, 2]);
  // All of it was counted within two days, however late it is.
  const sum = days.reduce((total, day) => total + day.layers.llm.hits, 0);
  expect(sum).toBe(today.hits);
});

test("[CACHE-7] [F28] what Redis did not answer is counted once it is back", async () => {
  const before = (await stats()).layers.llm;
  house.redis.control({ mode: "500" });
  for (const prompt of ["Tell me of hills", "Tell me of woods", "Tell me of moors"]) {
    const response = await house.call("/chat/stream", { as, body: { prompt } });
    expect(cacheReason(response.headers)).toBe("away");
    await readEvents(response);
  }
  house.redis.control({ mode: "up" });
  const counted = async (): Promise<number> => {
    await (await house.call("/chat", { as, body: { prompt: "Tell me of rivers" } })).text();
    const { bypasses, outages } = (await stats()).layers.llm;
    return Math.min(bypasses - before.bypasses, outages - before.outages);
  };
  await expect.poll(counted, { timeout: 20_000 }).toBeGreaterThanOrEqual(3);
});

test("[CACHE-7] figures cannot be had from a Redis that does not answer", async () => {
  house.redis.control({ mode: "500" });
  const read = await admin.stats(1);
  house.redis.control({ mode: "up" });
  expect(read).toMatchObject({ ok: false, error: { code: "upstream_error" } });
});
