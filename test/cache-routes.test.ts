/** The routes of the cache: who may purge, read and explain what, and what is refused. A house of its own: it purges everything. */
import type * as z from "zod";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CacheExplanation, CacheStats, EntryList, PurgeReply } from "../contracts/cache.ts";
import { ChatReply } from "../contracts/chat.ts";
import { ErrorBody } from "../contracts/errors.ts";
import { LOCAL_REDIS_TOKEN } from "../dev/local.ts";
import { PURGE_COUNT } from "../workers/main/cache/key.ts";
import { RED_PIXEL } from "./stock-clients.ts";
import { hashedUser, type House, linesOf, openHouse, type Tenant } from "./house.ts";

let house: House;
let admin: Tenant;
let user: Tenant;
beforeAll(async () => {
  house = await openHouse();
  [admin, user] = [await house.newTenant("admin"), await house.newTenant()];
});
afterAll(() => house.close());

let asked = 0;
const unique = (text: string): string => `${text} ${"again ".repeat((asked += 1))}`.trim();

async function ask(as: Tenant, prompt: string, more: Record<string, unknown> = {}, path = "/chat") {
  const before = house.redis.stats().calls;
  const response = await house.call(path, { as, body: { prompt, ...more } });
  const text = await response.text();
  await house.redis.until(({ calls, in_flight }) => calls > before + 1 && in_flight === 0);
  return { verdict: response.headers.get("x-cache"), text };
}

async function purge(as: Tenant, path: string): Promise<z.infer<typeof PurgeReply>> {
  const response = await house.call(`/cache/invalidate${path}`, { as, method: "DELETE" });
  return PurgeReply.parse(await response.json());
}

async function statusOf(as: Tenant | undefined, path: string, method = "GET"): Promise<number> {
  const response = await house.call(path, { ...(as && { as }), method });
  await response.text();
  return response.status;
}

const ADMINS: [method: string, path: string][] = [
  ["GET", "/cache/stats"],
  ["GET", "/cache/keys"],
  ["GET", "/cache/explain?prompt=Hello"],
  ...["/llm", "/mcp", "/intent", "/all", "/route/chat"].map((path): [string, string] => [
    "DELETE",
    `/cache/invalidate${path}`,
  ]),
];

test("[B52] [S5] figures, lists and purges of what is everybody's are the admin's", async () => {
  for (const [method, path] of ADMINS) {
    expect([path, await statusOf(undefined, path, method)]).toEqual([path, 401]);
    expect([path, await statusOf(user, path, method)]).toEqual([path, 403]);
    expect([path, await statusOf(admin, path, method)]).toEqual([path, 200]);
  }
  expect(await statusOf(user, "/cache/health")).toBe(200);
});

test("[B52] a user purges what came of their own turns, and nobody else's", async () => {
  const [mine, theirs] = [unique("Tell me of mice"), unique("Tell me of men")];
  await ask(user, mine);
  await ask(admin, theirs);
  expect(await statusOf(user, `/cache/invalidate?user=${admin.id}`, "DELETE")).toBe(403);
  expect(await purge(user, "?dry_run=true")).toMatchObject({ deleted_count: 1, dry_run: true });
  expect(await purge(user, "")).toMatchObject({ deleted_count: 1, dry_run: false, message: "1 entry deleted" });
  expect(await purge(user, "?layer=llm")).toMatchObject({ deleted_count: 0, message: "0 entries deleted" });
  expect((await ask(user, theirs)).verdict).toBe("HIT");
  expect((await ask(admin, mine)).verdict).toBe("MISS");
});

test("[CACHE-9] each layer and each route can be purged by itself", async () => {
  await purge(admin, "/all");
  const [sum, plain] = [unique("what is 4*5?"), unique("Tell me of bees")];
  await ask(user, sum);
  await ask(user, plain, {}, "/chat/stream");
  expect(await purge(admin, "/route/chat-stream?dry_run=true")).toMatchObject({ deleted_count: 1 });
  expect(await purge(admin, "/route/chat?dry_run=true")).toMatchObject({ deleted_count: 3 });
  expect(await purge(admin, "/mcp?tool_name=echo")).toMatchObject({ deleted_count: 0 });
  expect(await purge(admin, "/mcp?tool_name=calculator")).toMatchObject({ deleted_count: 1 });
  expect(await purge(admin, "/intent")).toMatchObject({ deleted_count: 1 });
  expect((await ask(user, sum)).verdict).toBe("HIT");
  expect(await purge(admin, "/route/chat-stream")).toMatchObject({ deleted_count: 1 });
  expect(await purge(admin, "/llm")).toMatchObject({ deleted_count: 1 });
  expect(await purge(admin, "/all")).toMatchObject({ deleted_count: 0 });
});

test("[CACHE-3] a purge leaves one line with its request's id, who asked and how many", async () => {
  await ask(user, unique("Tell me of wasps"));
  const response = await house.call(`/cache/invalidate?user=${user.id}`, { as: admin, method: "DELETE" });
  const { deleted_count } = PurgeReply.parse(await response.json());
  const line = {
    route: "cache.purge",
    user_id: hashedUser(admin),
    filter: { user: hashedUser(user) },
    deleted: deleted_count,
  };
  const lines = linesOf(house, response.headers.get("x-request-id"));
  expect(lines.filter((one) => one["route"] === "cache.purge")).toMatchObject([line]);
});

test("[B58] a layer, route or tag that is none is refused, and no pattern is read as one", async () => {
  await ask(user, unique("Tell me of ants"));
  const bad: [string, number][] = [
    ["/unknown", 404],
    ["/*", 404],
    ["/__proto__", 404],
    ["/%2e%2e%2fall", 404],
    ["/llm/", 404],
    ["/LLM", 404],
    ["/route/unknown", 400],
    ["/route/*", 400],
    ["/route/__proto__", 400],
    ["?layer=*", 400],
    ["?layer=__proto__", 400],
    ["?route=chat*", 400],
    ["?user=*", 400],
    ["?user=..", 400],
    ["?session=%5B", 400],
    ["?model=%5Bd%5Demo", 400],
    ["?model=dem%3F", 400],
    ["?tool=a%5Cb", 400],
    ["?tool=", 400],
    ["?dry_run=yes", 400],
    ["?layer=llm&layer=mcp", 400],
    ["?nothing=1", 400],
    ["/mcp?tool_name=*", 400],
  ];
  for (const [path, status] of bad) {
    const response = await house.call(`/cache/invalidate${path}`, { as: admin, method: "DELETE" });
    expect([path, response.status]).toEqual([path, status]);
    ErrorBody.parse(await response.json());
  }
  // Names that are well-formed and nobody's.
  for (const path of ["?model=dem.", "?tool=.", "?tool=user"]) {
    expect([path, (await purge(admin, path)).deleted_count]).toEqual([path, 0]);
  }
  expect((await purge(admin, "/all?dry_run=true")).deleted_count).toBe(1);
});

test("[B59] purges at the same time as chats and as each other: each answers, and nothing is counted twice", async () => {
  await purge(admin, "/all");
  const prompts = Array.from({ length: 12 }, () => unique("Tell me of flies"));
  for (const prompt of prompts) await ask(user, prompt);
  const [purges, replies] = await Promise.all([
    Promise.all(Array.from({ length: 5 }, () => purge(admin, "/llm"))),
    Promise.all(prompts.map((prompt) => house.call("/chat", { as: user, body: { prompt } }))),
  ]);
  expect(replies.map((response) => response.status)).toEqual(prompts.map(() => 200));
  await Promise.all(replies.map((response) => response.text()));
  const deleted = purges.reduce((sum, one) => sum + one.deleted_count, 0);
  // The twelve, and those that were made anew between two purges.
  expect(deleted).toBeGreaterThanOrEqual(12);
  expect(deleted).toBeLessThanOrEqual(
    12 + replies.filter((response) => response.headers.get("x-cache") === "MISS").length,
  );
  await house.redis.until(({ in_flight }) => in_flight === 0);
});

test("[B59] each purge counts one more, and a dry run none", async () => {
  const filters = ["/llm", "/intent", "/mcp", "/all", "/route/chat", `?user=${user.id}`, "?model=nobody"];
  const counts = [await purgeCount()];
  for (const filter of filters) {
    await purge(admin, filter);
    counts.push(await purgeCount());
    await purge(admin, `${filter}${filter.startsWith("?") ? "&" : "?"}dry_run=true`);
    expect([filter, await purgeCount()]).toEqual([filter, counts.at(-1)]);
  }
  const first = counts[0] ?? NaN;
  expect(counts).toEqual(counts.map((_, at) => first + at));
  await Promise.all(Array.from({ length: 10 }, () => purge(admin, "/llm")));
  expect(await purgeCount()).toBe(first + filters.length + 10);
});

/** As Redis has it. */
async function purgeCount(): Promise<number> {
  const headers = { authorization: `Bearer ${LOCAL_REDIS_TOKEN}` };
  const body = JSON.stringify(["GET", PURGE_COUNT]);
  const { result } = await (await fetch(house.redis.url, { method: "POST", headers, body })).json<{ result: string }>();
  return Number(result ?? 0);
}

test("[CACHE-9] entries are listed by tag, page by page, without what they hold", async () => {
  await purge(admin, "/all");
  const prompts = ["badgers", "foxes", "hares"].map((animal) => unique(`Tell me of ${animal}`));
  for (const prompt of prompts) await ask(user, prompt);
  const list = async (query: string): Promise<EntryList> => {
    const response = await house.call(`/cache/keys?${query}`, { as: admin });
    const text = await response.text();
    expect(text).not.toMatch(/badgers|foxes|hares|demo model/);
    return EntryList.parse(JSON.parse(text));
  };
  const all = await list(`user=${user.id}&layer=llm`);
  expect(all).toMatchObject({ total: 3 });
  expect(all.entries[0]).toMatchObject({ layer: "llm", parts: { scope: "shared" } });
  expect(all.entries[0]?.tags).toEqual(expect.arrayContaining(["all", `user:${user.id}`, "model:demo", "route:chat"]));
  expect(all.entries.every(({ bytes, expires_at, created_at }) => bytes > 100 && expires_at > created_at)).toBe(true);
  const pages = [await list("limit=2"), await list("limit=2&offset=2")];
  expect(pages.flatMap(({ entries }) => entries.map(({ key }) => key))).toEqual(all.entries.map(({ key }) => key));
  expect(await list(`user=${admin.id}`)).toEqual({ total: 0, entries: [] });
});

test("[CACHE-10] explain says hit or miss, and which part of the key differs from the nearest entry's", async () => {
  await purge(admin, "/all");
  const prompt = unique("Tell me of owls");
  const explain = async (query: Record<string, string>): Promise<CacheExplanation["llm"]> => {
    const response = await house.call(`/cache/explain?${String(new URLSearchParams(query))}`, { as: admin });
    return CacheExplanation.parse(await response.json()).llm;
  };
  expect(await explain({ prompt })).toMatchObject({ verdict: "miss", entry: null, nearest: null });
  const { text } = await ask(user, prompt);
  const session_id = ChatReply.parse(JSON.parse(text)).session_id;
  const hit = await explain({ prompt });
  expect(hit).toMatchObject({ verdict: "hit", nearest: null, entry: { layer: "llm", key: hit.key } });
  expect(hit.entry?.tags).toContain(`session:${session_id}`);
  const { created_at, age_seconds } = hit.entry ?? {};
  expect(age_seconds).toBeGreaterThanOrEqual(0);
  expect(age_seconds).toBeLessThanOrEqual((Date.now() - Date.parse(String(created_at))) / 1_000);
  // White space around it is no difference.
  expect((await explain({ prompt: ` ${prompt}\n` })).verdict).toBe("hit");
  const differs: [Record<string, string>, string[]][] = [
    [{ prompt: `${prompt}!` }, ["question"]],
    [{ prompt, temperature: "0.5" }, ["temperature"]],
    [{ prompt, model: "gpt-4o" }, ["model"]],
    // Without tools there is none to ask for first.
    [{ prompt, tools: "none" }, ["ask_first", "tools"]],
    [{ prompt, scope: "user" }, ["scope"]],
    [{ prompt, max_tokens: "10", model_type: "vllm" }, ["max_tokens", "model_type", "only_type"]],
  ];
  for (const [query, parts] of differs) {
    expect([query, (await explain(query)).nearest?.differs]).toEqual([query, parts]);
  }
  // Nothing was started or kept by asking.
  expect((await explain({ prompt: `${prompt}!` })).verdict).toBe("miss");
});

test("[CACHE-10] explain takes whole requests of /chat, and keeps nothing of them", async () => {
  const image = { type: "image_url", image_url: { url: RED_PIXEL } };
  const format = { response_format: { type: "json_object" } };
  const said = ["Tell me of crows", "They fly", "And of rooks?"].map((content, at) => ({
    ...{ role: at === 1 ? "assistant" : "user", content: unique(content) },
  }));
  const requests: [object, string][] = [
    [{ messages: said }, "history"],
    [{ prompt: unique("Tell me of jays"), ...format }, "question"],
    [{ parts: [{ type: "text", text: unique("What is it?") }, image] }, "question"],
  ];
  for (const [body, differs] of requests) {
    const explain = async (more: object = {}) => {
      const response = await house.call("/cache/explain", { as: admin, body: { ...body, ...more } });
      return CacheExplanation.parse(await response.json()).llm;
    };
    expect((await explain()).nearest?.differs ?? [differs]).toContain(differs);
    expect((await ask(admin, "", { prompt: undefined, ...body })).verdict).toBe("MISS");
    expect(await explain()).toMatchObject({ verdict: "hit" });
    expect((await explain({ temperature: 0.25 })).nearest?.differs).toEqual(["temperature"]);
  }
});

test("[CACHE-10] explain knows the history of one's own session, and no other", async () => {
  const { text } = await ask(admin, unique("Tell me of elks"));
  const { session_id } = ChatReply.parse(JSON.parse(text));
  const query = new URLSearchParams({ prompt: "And of moose?", session_id });
  await ask(admin, "And of moose?", { session_id });
  const response = await house.call(`/cache/explain?${String(query)}`, { as: admin });
  // Its history has grown by that turn.
  expect(CacheExplanation.parse(await response.json()).llm).toMatchObject({ nearest: { differs: ["history"] } });
  const other = ChatReply.parse(JSON.parse((await ask(user, unique("Tell me of deer"))).text)).session_id;
  expect(await statusOf(admin, `/cache/explain?prompt=Hello&session_id=${other}`)).toBe(404);
});

test("[F26] without Redis the cache's routes say so, and a purge does not pretend", async () => {
  house.redis.control({ mode: "500" });
  const statuses = await Promise.all(ADMINS.map(([method, path]) => statusOf(admin, path, method)));
  const health = await house.call("/cache/health", { as: user });
  house.redis.control({ mode: "up" });
  expect(statuses).toEqual(ADMINS.map(() => 502));
  expect([health.status, await health.json()]).toEqual([
    503,
    { status: "unhealthy", latency_ms: null, enabled: true, semantic: "off" },
  ]);
  const stats = CacheStats.parse(await (await house.call("/cache/stats?days=1", { as: admin })).json());
  expect(stats.days).toHaveLength(1);
});
