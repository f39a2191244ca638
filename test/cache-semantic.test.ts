/** The cache by meaning: other wordings of a question, what keeps them apart, purges, and a database or a model that fails. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CacheHealth, CacheStats } from "../contracts/cache.ts";
import { ChatReply } from "../contracts/chat.ts";
import { holdAll, tryPairs } from "../dev/house/cache-load.ts";
import { faqTrace, nearPairs } from "../dev/house/cache-traces.ts";
import { seededRandom } from "../dev/house/random.ts";
import { type House, openHouse, type Tenant, untilRows } from "./house.ts";

let house: House;
let admin: Tenant;
let users: [Tenant, Tenant];
beforeAll(async () => {
  house = await openHouse({ settings: { CACHE_SEMANTIC_MODEL: "demo" } });
  [admin, users] = [await house.newTenant("admin"), [await house.newTenant(), await house.newTenant()]];
});
afterAll(() => house.close());

async function ask(at: House, as: Tenant, prompt: string, more: Record<string, unknown> = {}) {
  const response = await at.call("/chat", { as, body: { prompt, ...more } });
  const verdict = response.headers.get("x-cache");
  const why = /cache;[^,]*desc="(\w+)"/.exec(response.headers.get("server-timing") ?? "")?.[1];
  return { verdict, why, reply: ChatReply.parse(await response.json()) };
}

/** The same, until its question can be found by its meaning. */
async function askAndKeep(as: Tenant, prompt: string, more: Record<string, unknown> = {}) {
  const [{ count = 0 } = {}] = await house.sql`select count(*)::int as count from semantic_questions`;
  const answer = await ask(house, as, prompt, more);
  expect(answer.verdict).toBe("MISS");
  await untilRows(house, Number(count) + 1, "select 1 from semantic_questions");
  return answer;
}

const asked = (at: House) => ({
  embedded: Number(at.llm.stats()["texts_embedded"]),
  calls: at.llm.stats().calls,
  redis: at.redis.stats().calls,
});
const purge = (path: string, as = admin) => house.call(`/cache/invalidate${path}`, { as, method: "DELETE" });
const healthOf = async (at: House, as: Tenant) =>
  CacheHealth.parse(await (await at.call("/cache/health", { as })).json()).semantic;

describe("[SEM-1] another wording", () => {
  test("finds the answer, for another user too, without the model being asked for words", async () => {
    expect(await healthOf(house, users[0])).toBe("ready");
    const first = await askAndKeep(users[0], "How do I reset my otter?");
    const before = asked(house);
    const second = await ask(house, users[1], "what is the way to reset my otter");
    expect(second).toMatchObject({ verdict: "HIT", why: "similar" });
    expect(second.reply.response).toBe(first.reply.response);
    expect(second.reply.cache).toBe("hit");
    const { embedded, calls } = asked(house);
    expect({ embedded: embedded - before.embedded, calls: calls - before.calls }).toEqual({ embedded: 1, calls: 1 });
    const stats = async () => CacheStats.parse(await (await house.call("/cache/stats", { as: admin })).json());
    await house.redis.until(({ in_flight }) => in_flight === 0);
    expect((await stats()).layers.llm).toMatchObject({ similar: 1, kept: 1 });
  });

  test("is not looked for where the question itself has an answer", async () => {
    await askAndKeep(users[0], "How do I feed my otter?");
    await house.redis.until(({ in_flight }) => in_flight === 0);
    const before = asked(house);
    expect(await ask(house, users[1], "How do I feed my otter?")).toMatchObject({ verdict: "HIT", why: undefined });
    expect(asked(house)).toMatchObject({ embedded: before.embedded, calls: before.calls });
  });

  test("is none where it only looks alike", async () => {
    await askAndKeep(users[0], "How do I sell my otter for 20 euros?");
    for (const prompt of [
      "How do I sell my otter for 30 euros?",
      "How do I not sell my otter for 20 euros?",
      "How do I sell your otter for 20 euros?",
      "Should I sell my otter for 20 euros?",
    ]) {
      expect(await ask(house, users[1], prompt)).toMatchObject({ verdict: "MISS" });
    }
  });

  test("finds nothing by default, and nobody is asked for vectors", async () => {
    const plain = await openHouse();
    const as = await plain.newTenant();
    await ask(plain, as, "How do I reset my otter?");
    await plain.redis.until(({ in_flight }) => in_flight === 0);
    expect(await ask(plain, as, "how can i reset my otter")).toMatchObject({ verdict: "MISS" });
    expect(asked(plain).embedded).toBe(0);
    expect(await healthOf(plain, as)).toBe("off");
    await plain.close();
  });
});

test("[SEM-3] what else an answer depends on keeps wordings apart", async () => {
  const WORDING = "how can i paint my otter";
  await askAndKeep(users[0], "How do I paint my otter?");
  for (const more of [
    ...[{ model: "demo:tokens.3" }, { temperature: 0.1 }, { max_tokens: 500 }, { tools: "none" }],
    ...[{ response_format: { type: "json_object" } }, { cache: { scope: "user" } }, { cache: { mode: "no-cache" } }],
  ]) {
    expect([more, (await ask(house, users[1], WORDING, more)).verdict]).not.toEqual([more, "HIT"]);
  }
  const { reply } = await ask(house, users[1], "Hello");
  expect(await ask(house, users[1], WORDING, { session_id: reply.session_id })).toMatchObject({ verdict: "MISS" });
  expect(await ask(house, users[1], WORDING)).toMatchObject({ verdict: "HIT" });
});

describe("[SEM-4] a purge", () => {
  test.each([
    ["layer", () => purge("/llm")],
    ["everything", () => purge("/all")],
    ["its user, by that user", () => purge(`?user=${users[0].id}`, users[0])],
    ["its route", () => purge("/route/chat")],
    ["its model", () => purge("?model=demo")],
  ] as const)("of the %s is of its wordings too, at once", async (what, run) => {
    const name = what.replaceAll(/\W/g, "");
    await askAndKeep(users[0], `How do I hide ${name}?`, { model: "demo" });
    expect(await ask(house, users[1], `how can i hide ${name}`, { model: "demo" })).toMatchObject({ verdict: "HIT" });
    expect((await run()).status).toBe(200);
    expect(await ask(house, users[1], `how can we hide ${name}`, { model: "demo" })).toMatchObject({ verdict: "MISS" });
  });

  test("of a session comes with its deletion, and Postgres knows no words, and nothing of a user who is erased", async () => {
    const as = await house.newTenant();
    const { reply } = await askAndKeep(as, "How do I wash my wombat?");
    const rows = await house.sql`select key, scope, user_id from semantic_questions where user_id = ${as.id}`;
    expect(rows).toHaveLength(1);
    expect(JSON.stringify(rows)).not.toContain("wombat");
    await house.call(`/history/sessions/${reply.session_id}`, { as, method: "DELETE" });
    await house.redis.until(({ in_flight }) => in_flight === 0);
    expect(await ask(house, users[1], "how can i wash my wombat")).toMatchObject({ verdict: "MISS" });
    await house.call(`/history/users/${as.id}`, { as, method: "DELETE" });
    expect(await house.sql`select 1 from semantic_questions where user_id = ${as.id}`).toEqual([]);
  });
});

describe("[SEM-5] what fails costs a wording its hit and nothing else", () => {
  test("a database without pgvector", async () => {
    await house.sql`alter table semantic_questions rename to away`;
    expect(await healthOf(house, users[0])).toBe("not_configured");
    expect(await ask(house, users[0], "How do I call my otter?")).toMatchObject({ verdict: "MISS" });
    await house.sql`alter table away rename to semantic_questions`;
    expect(await healthOf(house, users[0])).toBe("ready");
  });

  test("a model that makes no vectors", async () => {
    const broken = await openHouse({ settings: { CACHE_SEMANTIC_MODEL: "demo:status.500" } });
    const as = await broken.newTenant();
    for (let at = 0; at < 5; at += 1) {
      expect(await ask(broken, as, `How do I find otter ${at}?`)).toMatchObject({ verdict: "MISS" });
    }
    const said = broken.lines.filter(({ route }) => route === "cache.semantic");
    // Each isolate gives up after three in a row.
    expect(said.length).toBeGreaterThan(0);
    expect(said.length).toBeLessThan(5);
    expect(said[0]).toMatchObject({ error: "upstream_error" });
    await broken.close();
  });
});

test("[SEM-6] the workload has no wrong answer, and saves more calls than without", async () => {
  const { users: count, conversations } = faqTrace(seededRandom(7), 60);
  await purge("/all");
  const before = asked(house).calls - asked(house).embedded;
  const answers = await holdAll(house, count, conversations);
  expect(answers.filter(({ right }) => !right)).toEqual([]);
  expect(answers.some(({ similar }) => similar)).toBe(true);
  const wordings = new Set(conversations.map(({ turns }) => turns[0]?.prompt.trim()));
  expect(asked(house).calls - asked(house).embedded - before).toBeLessThan(wordings.size);
  const kinds = await tryPairs(house, nearPairs(seededRandom(7), 2));
  for (const [kind, figures] of kinds) expect([kind, figures.wrong]).toEqual([kind, 0]);
}, 120_000);
