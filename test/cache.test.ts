/** The cache from outside: what is purged stays away, what is erased is gone, on real Workers with the Redis stand-in. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { ChatReply } from "../contracts/chat.ts";
import { LOCAL_REDIS_TOKEN } from "../dev/local.ts";
import { type CacheAdmin, createCacheAdmin } from "../workers/main/cache/admin.ts";
import { createRedisStore } from "../workers/main/cache/redis.ts";
import { cacheReason, answerOf, type House, openHouse, readEvents, type Tenant } from "./house.ts";

let house: House;
let as: Tenant;
let admin: CacheAdmin;
beforeAll(async () => {
  house = await openHouse();
  as = await house.newTenant();
  const redis = createRedisStore({ url: house.redis.url, token: LOCAL_REDIS_TOKEN, readTimeoutMs: 5_000 });
  admin = createCacheAdmin({ redis, enabled: true, prices: {}, now: Date.now, log: () => {} });
});
afterAll(() => house.close());

/** No two tests ask the same. Letters only: digits would be arithmetic. */
let asked = 0;
const unique = (text: string): string => `${text} ${"again ".repeat((asked += 1))}`.trim();

/** Waits until what is written behind a reply is written. */
const settled = (): Promise<unknown> => house.redis.until(({ in_flight }) => in_flight === 0);

async function purge(filter: Parameters<CacheAdmin["purge"]>[0], userId: string): Promise<number> {
  const purged = await admin.purge(filter, { userId });
  if (!purged.ok) throw new Error(purged.error.message);
  return purged.value.deletedCount;
}

/** Asks a question to its end, with what is written behind it. */
async function ask(prompt: string, more: Record<string, unknown> = {}, who = as) {
  const before = house.redis.stats().calls;
  const response = await house.call("/chat", { as: who, body: { prompt, ...more } });
  const reply = ChatReply.parse(await response.json());
  if (reply.cache === "miss") await house.redis.until(({ calls, in_flight }) => calls > before + 1 && in_flight === 0);
  return { reply, verdict: response.headers.get("x-cache") };
}

test("[F29] a purge while a generation is in flight, 100 times: no older answer is served after it", async () => {
  const filters = [
    {},
    { layer: "llm" },
    { user: as.id },
    { model: "demo:tokens.12.gap.5" },
    { route: "chat-stream" },
  ] as const;
  const rounds = 20;
  for (let round = 0; round < rounds; round += 1) {
    const prompts = filters.map(() => unique("Count with me"));
    const body = (prompt: string) => ({ prompt, model: "demo:tokens.12.gap.5" });
    const streams = await Promise.all(
      prompts.map(async (prompt) => {
        const response = await house.call("/chat/stream", { as, body: body(prompt) });
        const turn = String(response.headers.get("x-turn-id"));
        await readEvents(response, (event) => event.event === "delta");
        return turn;
      }),
    );
    await purge(filters[round % filters.length] ?? {}, as.id);
    for (const turn of streams) await readEvents(await house.call(`/chat/turns/${turn}/stream`, { as }));
    await settled();
    const calls = house.llm.stats().calls;
    const after = await Promise.all(prompts.map((prompt) => house.call("/chat", { as, body: body(prompt) })));
    expect(after.map((response) => response.headers.get("x-cache"))).toEqual(prompts.map(() => "MISS"));
    await Promise.all(after.map((response) => response.text()));
    expect(house.llm.stats().calls).toBe(calls + prompts.length);
  }
  await settled();
}, 60_000);

test("[CACHE-1] an answer, an intent and a tool's result carry the tags of the turn that made them", async () => {
  const who = await house.newTenant();
  const { reply } = await ask(unique("what is 8*9?"), {}, who);
  const counts = {
    user: await admin.purge({ user: who.id }, { userId: who.id, dryRun: true }),
    session: await admin.purge({ session: reply.session_id }, { userId: who.id, dryRun: true }),
    tool: await admin.purge({ user: who.id, tool: "calculator" }, { userId: who.id, dryRun: true }),
    route: await admin.purge({ user: who.id, route: "chat" }, { userId: who.id, dryRun: true }),
    // A tool's result does not depend on the model.
    model: await admin.purge({ user: who.id, model: "demo" }, { userId: who.id, dryRun: true }),
    layer: await admin.purge({ user: who.id, layer: "intent" }, { userId: who.id, dryRun: true }),
    other: await admin.purge({ user: as.id, tool: "calculator" }, { userId: who.id, dryRun: true }),
  };
  const expected = { user: 3, session: 3, tool: 3, route: 3, model: 2, layer: 1, other: 0 };
  for (const [tag, deletedCount] of Object.entries(expected)) {
    expect([tag, counts[tag as keyof typeof counts]]).toEqual([tag, { ok: true, value: { deletedCount } }]);
  }
});

test("[CACHE-1] purging one layer leaves the others: the intent of a purged answer is still used", async () => {
  const who = await house.newTenant();
  const prompt = unique("what is 7*8?");
  await ask(prompt, {}, who);
  expect(await purge({ user: who.id, layer: "llm" }, who.id)).toBe(1);
  const response = await house.call("/chat/stream", { as: who, body: { prompt } });
  const events = await readEvents(response);
  expect(response.headers.get("x-cache")).toBe("MISS");
  expect(events.find((event) => event.event === "intent")?.data).toMatchObject({ source: "cache" });
  expect(answerOf(events)).toContain("56");
  await settled();
});

test("[CACHE-4] a session that is deleted takes its cache entries with it, and nobody else's", async () => {
  const [one, two] = [await house.newTenant(), await house.newTenant()];
  const [mine, theirs] = [unique("Tell me a secret"), unique("Tell me a tale")];
  const { reply } = await ask(mine, {}, one);
  await ask(theirs, {}, two);
  expect((await house.call(`/history/sessions/${reply.session_id}`, { as: one, method: "DELETE" })).status).toBe(200);
  expect((await ask(mine, {}, two)).verdict).toBe("MISS");
  expect((await ask(theirs, {}, one)).verdict).toBe("HIT");
});

test("[CACHE-4] a session that is deleted while Redis is away is erased there when it is back", async () => {
  const who = await house.newTenant();
  const { reply } = await ask(unique("Tell me another"), {}, who);
  house.redis.control({ mode: "500" });
  expect((await house.call(`/history/sessions/${reply.session_id}`, { as: who, method: "DELETE" })).status).toBe(202);
  house.redis.control({ mode: "up" });
  const entries = (): Promise<unknown> => admin.purge({ user: who.id }, { userId: who.id, dryRun: true });
  await expect.poll(entries, { timeout: 10_000 }).toEqual({ ok: true, value: { deletedCount: 0 } });
});

test("[CACHE-5] the cache field and Cache-Control decide what is read and written; X-Cache, Age and Server-Timing say what was", async () => {
  const who = await house.newTenant();
  const prompt = unique("Tell me of storms");
  const chat = async (headers: Record<string, string>, cache?: Record<string, unknown>) => {
    const response = await house.call("/chat", { as: who, body: { prompt, ...(cache && { cache }) }, headers });
    await response.text();
    await settled();
    const [verdict, age] = ["x-cache", "age"].map((name) => response.headers.get(name));
    return { status: response.status, verdict, age, why: cacheReason(response.headers) };
  };
  // Nothing is there, nothing may be made.
  expect(await chat({ "cache-control": "only-if-cached" })).toMatchObject({ status: 504, verdict: "MISS" });
  // Neither read nor written.
  expect(await chat({ "cache-control": "no-store" })).toMatchObject({ verdict: "BYPASS", why: "asked" });
  expect(await chat({}, { mode: "only-if-cached" })).toMatchObject({ status: 504, why: "absent" });
  // Written, not read.
  expect(await chat({ "cache-control": "no-cache" })).toMatchObject({ verdict: "BYPASS", age: null });
  await house.redis.until(({ in_flight }) => in_flight === 0);
  await expect.poll(() => chat({ "cache-control": "only-if-cached" })).toMatchObject({ status: 200, verdict: "HIT" });
  const hit = await chat({});
  expect(hit).toMatchObject({ verdict: "HIT", why: null });
  expect(Number(hit.age)).toBeGreaterThanOrEqual(0);
  // Too old for this request, and then replaced by a younger one.
  expect(await chat({ "cache-control": "max-age=0" })).toMatchObject({ verdict: "MISS", why: "too_old" });
  expect(await chat({ "cache-control": "max-age=600" })).toMatchObject({ verdict: "HIT" });
  expect(await chat({ "cache-control": "only-if-cached, no-cache" })).toMatchObject({ status: 504 });
});

test("[CACHE-5] scope: user keeps an answer for its user", async () => {
  const [one, two] = [await house.newTenant(), await house.newTenant()];
  const prompt = unique("Tell me of clouds");
  const cache = { scope: "user" };
  await ask(prompt, { cache }, one);
  expect((await ask(prompt, { cache }, one)).verdict).toBe("HIT");
  expect((await ask(prompt, { cache }, two)).verdict).toBe("MISS");
  expect((await ask(prompt, {}, two)).verdict).toBe("MISS");
});

test.each([
  ["a truncation", "demo:length"],
  ["a filter's refusal", "demo:finish.content_filter"],
  ["a cut stream", "demo:cut.3"],
  ["an error inside a stream", "demo:err.3"],
])("[CACHE-8] %s is never kept", async (_what, model) => {
  const prompt = unique("Tell me of ice");
  const verdicts = [];
  for (const _time of [1, 2]) {
    const response = await house.call("/chat/stream", { as, body: { prompt, model } });
    verdicts.push(response.headers.get("x-cache"));
    await readEvents(response);
    await settled();
  }
  expect(verdicts).toEqual(["MISS", "MISS"]);
  expect(await purge({ user: as.id, model }, as.id)).toBe(0);
});

test("[CACHE-8] an answer from a tool that is not the same each time is never kept, nor is the tool's result", async () => {
  const prompt = unique("what time is it?");
  const who = await house.newTenant();
  expect((await ask(prompt, {}, who)).verdict).toBe("MISS");
  expect((await ask(prompt, {}, who)).verdict).toBe("MISS");
  const count = await admin.purge({ user: who.id, layer: "mcp" }, { userId: who.id, dryRun: true });
  expect(count).toEqual({ ok: true, value: { deletedCount: 0 } });
  // What the model wanted to call is: it is asked once less.
  expect(await purge({ user: who.id, layer: "intent" }, who.id)).toBe(1);
});

test("[CACHE-8] a turn that was stopped is never kept", async () => {
  const body = { prompt: unique("Tell me of snow"), model: "demo:tokens.200.gap.10" };
  const response = await house.call("/chat/stream", { as, body });
  const turn = String(response.headers.get("x-turn-id"));
  await readEvents(response, (event) => event.event === "delta");
  await house.call(`/chat/turns/${turn}/cancel`, { as, method: "POST" });
  await settled();
  expect(await purge({ user: as.id, model: body.model }, as.id)).toBe(0);
});
