/** Redis in trouble, seen from the API: the answer is right and says that the cache was passed by; nobody waits for long or twice. */
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { ChatReply } from "../contracts/chat.ts";
import { serveInternet } from "../dev/stand-ins/internet.ts";
import { brave, SEARCH_KEY } from "../dev/stand-ins/search.ts";
import type { StandIn } from "../dev/stand-ins/serve.ts";
import { scrapeUntil } from "./exposition.ts";
import { type House, openHouse, type Tenant } from "./house.ts";

let house: House;
let internet: StandIn;
let as: Tenant;
let admin: Tenant;
beforeAll(async () => {
  internet = await serveInternet({ "api.search.brave.com": brave });
  house = await openHouse({ internet, settings: { CACHE_READ_TIMEOUT_MS: "180", BRAVE_API_KEY: SEARCH_KEY } });
  [as, admin] = [await house.newTenant(), await house.newTenant("admin")];
});
afterAll(async () => {
  await house.close();
  await internet.close();
});
afterEach(() => house.redis.control({ mode: "up" }));

const LLM = { layer: "llm" };
let chats = 0;
let asked = 0;
const unique = (): string => `Is anybody there ${"again ".repeat((asked += 1))}`.trim();

async function ask(prompt: string, of = house, who = as): Promise<{ verdict: string | null; response: string }> {
  const response = await of.call("/chat", { as: who, body: { prompt } });
  if (of === house) chats += 1;
  expect(response.status).toBe(200);
  return { verdict: response.headers.get("x-cache"), response: ChatReply.parse(await response.json()).response };
}

/** Of the house, once all of its chats are counted. */
async function figures() {
  const { sum } = await scrapeUntil(house, admin, (seen) => seen.sum("basechat_cache_lookups_total", LLM) >= chats);
  const away = sum("basechat_cache_lookups_total", { ...LLM, result: "away" });
  return { away, writes: sum("basechat_cache_writes_failed_total") };
}

/** Asks until Redis is read again: a turn that finds it back does not wait for it. */
async function untilRead(of = house, who = as): Promise<string | null> {
  for (;;) {
    const { verdict } = await ask(unique(), of, who);
    if (verdict !== "BYPASS") return verdict;
  }
}

/** How often Redis is read, which is what turns wait for: a body that arrives is the one change that no figure of the stand-in tells of. */
function watchReads({ redis }: House) {
  const watch = { reads: 0, isOver: false };
  let before = "";
  void redis.until(({ last_request: body, ...counts }) => {
    const now = JSON.stringify(counts);
    if (now === before && Array.isArray(body) && body[0] === "mget") watch.reads += 1;
    before = now;
    return watch.isOver;
  });
  return watch;
}

/** The reads of each of five turns. */
async function readsOfTurns(of: House, who: Tenant, mode: string): Promise<number[]> {
  await untilRead(of, who);
  await of.redis.until(({ in_flight }) => in_flight === 0);
  const watch = watchReads(of);
  of.redis.control({ mode });
  const reads: number[] = [];
  for (let turn = 0; turn < 5; turn += 1) {
    const before = watch.reads;
    expect((await ask(unique(), of, who)).verdict).toBe("BYPASS");
    reads.push(watch.reads - before);
  }
  of.redis.control({ mode: "up" });
  watch.isOver = true;
  return reads;
}

test("[F26] a turn waits for a Redis that fails once, and the third one not at all", async () => {
  // Whoever has to wait for longer than a turn does reads twice: it is Redis that decides here, not this machine.
  const patient = await openHouse();
  try {
    const who = await patient.newTenant();
    for (const mode of ["refuse", "500", "401", "max_requests"]) {
      expect([mode, await readsOfTurns(patient, who, mode)]).toEqual([mode, [1, 1, 0, 0, 0]]);
    }
  } finally {
    await patient.close();
  }
});

test.each(["blackhole", "slow"])("[F26] Redis %s: two turns wait for it at most", async (mode) => {
  const [first, _second, ...others] = await readsOfTurns(house, as, mode);
  expect(first).not.toBe(0);
  expect(others).toEqual([0, 0, 0]);
});

test.each(["refuse", "500", "401", "blackhole", "slow", "max_requests"])(
  "[F26] [F28] Redis %s: thirty chats are answered, and not each of them waits for it",
  async (mode) => {
    await untilRead();
    await house.redis.until(({ in_flight }) => in_flight === 0);
    const [before, counted] = [house.redis.stats().calls, await figures()];
    house.redis.control({ mode });
    const prompts = Array.from({ length: 30 }, unique);
    for (const prompt of prompts) {
      const { verdict, response } = await ask(prompt);
      expect([verdict, response.includes(prompt.slice(0, 40))]).toEqual(["BYPASS", true]);
    }
    // Two reads, and besides them no more than a ping a second.
    expect(house.redis.stats().calls - before).toBeLessThanOrEqual(20);
    const { away, writes } = await figures();
    expect([away - counted.away, writes > counted.writes]).toEqual([30, true]);
    house.redis.control({ mode: "up" });
    expect(await untilRead()).toBe("MISS");
    // Nothing of the outage was kept.
    for (const prompt of prompts.slice(0, 3)) expect((await ask(prompt)).verdict).not.toBe("HIT");
  },
);

test("[F26] Redis away: a turn with a metered tool asks it once", async () => {
  await untilRead();
  await house.redis.until(({ in_flight }) => in_flight === 0);
  house.redis.control({ mode: "max_requests" });
  const before = Number(house.redis.stats()["reads"]);
  expect((await ask("Search the web for seals")).response).toContain("Result 1");
  expect(Number(house.redis.stats()["reads"]) - before).toBe(1);
});

test("[F28] a full Redis is read and not written: every chat is answered, and what was there is still a hit", async () => {
  // Redis answers: however slow the machine is, it is waited for.
  const patient = await openHouse({ settings: { CACHE_READ_TIMEOUT_MS: "20000" } });
  try {
    const [who, keeper] = [await patient.newTenant(), await patient.newTenant("admin")];
    const verdict = async (prompt: string) => {
      const response = await patient.call("/chat", { as: who, body: { prompt } });
      await response.text();
      return [response.status, response.headers.get("x-cache")];
    };
    const kept = unique();
    expect(await verdict(kept)).toEqual([200, "MISS"]);
    await patient.redis.until(({ in_flight }) => in_flight === 0);
    patient.redis.control({ mode: "oom" });
    for (let turn = 0; turn < 3; turn += 1) expect(await verdict(unique())).toEqual([200, "MISS"]);
    expect(await verdict(kept)).toEqual([200, "HIT"]);
    // Three that were to be kept; a hit leaves a count, which grows as well.
    await scrapeUntil(patient, keeper, ({ sum }) => sum("basechat_cache_writes_failed_total") === 4);
  } finally {
    await patient.close();
  }
});

test("[F28] a Redis that answers with ten megabytes is no hit, and the chat is answered", async () => {
  await untilRead();
  const prompt = unique();
  await ask(prompt);
  await house.redis.until(({ in_flight }) => in_flight === 0);
  const before = await figures();
  house.redis.control({ mode: "huge" });
  const { verdict, response } = await ask(prompt);
  expect(verdict).not.toBe("HIT");
  expect(response).toContain("You asked");
  // In time it is a value that fits no envelope, else as good as none.
  const counted = await figures();
  expect(counted.away - before.away).toBe(verdict === "BYPASS" ? 1 : 0);
});
