/** Figures of a scripted run against what the stand-ins have counted, who may read them, and what becomes of debts to Postgres. */
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ChatReply } from "../contracts/chat.ts";
import { HistoryHealth } from "../contracts/history.ts";
import { METRICS } from "../contracts/metrics.ts";
import { SHARDS } from "../workers/main/metrics/reporter.ts";
import { LOCAL_REDIS_TOKEN } from "../dev/local.ts";
import { readEntries } from "./canary/places.ts";
import { readExposition, scrape, scrapeUntil } from "./exposition.ts";
import { type House, openHouse, readEvents, type Tenant, untilRows } from "./house.ts";

const METRICS_TOKEN = randomBytes(24).toString("base64url");
const PRICE = { input: 1, output: 3 };
const MODELS = JSON.stringify({ models: { demo: { price: PRICE }, "demo:*": {} } });

let house: House;
let as: Tenant;
let admin: Tenant;
beforeAll(async () => {
  house = await openHouse({ settings: { METRICS_TOKEN, MODELS, KEEP_ALIVE_MS: "300" } });
  [as, admin] = [await house.newTenant(), await house.newTenant("admin")];
});
afterAll(() => house.close());

async function expectError(response: Response, status: number, code: string): Promise<void> {
  const { error } = await response.json<{ error: { code: string } }>();
  expect([response.status, error.code]).toEqual([status, code]);
}

async function chat(prompt: string, more: Record<string, unknown> = {}): Promise<ChatReply> {
  const response = await house.call("/chat", { as, body: { prompt, ...more } });
  return ChatReply.parse(await response.json());
}

/** The keys of the answers that Redis holds. */
async function keptIn(of: House): Promise<string[]> {
  const places = (await readEntries(of, LOCAL_REDIS_TOKEN)).map(({ place }) => place);
  return places.filter((place) => /^basechat:(llm|intent|mcp):.*[\da-f]{64}$/.test(place));
}

test("[METRICS-1] after a scripted run the figures are what the stand-ins have counted", async () => {
  const before = house.llm.stats();
  const miss = await chat("Tell me of the sea");
  await house.redis.until(({ calls, in_flight }) => calls > 1 && in_flight === 0);
  const hit = await chat("Tell me of the sea");
  const tool = await chat("what is 17*23?");
  const stream = await house.call("/chat/stream", { as, body: { prompt: "Tell me of the hills" } });
  const events = await readEvents(stream);
  await expectError(
    await house.call("/chat", { as, body: { prompt: "Hi", model: "demo:status.500" } }),
    502,
    "upstream_error",
  );
  const absent = { prompt: "Tell me of the sand", cache: { mode: "only-if-cached" } };
  const missed = await house.call("/chat", { as, body: absent });
  expect(missed.headers.has("x-error-code")).toBe(false);
  await expectError(missed, 504, "cache_miss");
  const direct = await (
    await house.call("/llm/generate", { as, body: { prompt: "Name a river" } })
  ).json<Pick<ChatReply, "usage">>();
  await house.call("/nothing", { as });
  const turns = 6;
  await untilRows(house, 2 * turns - 2, "select 1 from messages");
  // Two answers, and one of a tool with the tool's result and what called for it.
  while ((await keptIn(house)).length < 5);
  const kept = (await keptIn(house)).length;
  const purge = await house.call("/cache/invalidate/all", { as: admin, method: "DELETE" });
  const { deleted_count } = await purge.json<{ deleted_count: number }>();
  expect([kept, deleted_count, await keptIn(house)]).toEqual([5, kept, []]);

  const figures = await scrapeUntil(house, admin, ({ sum }) => sum("basechat_outbox_drains_total") >= turns);
  const { sum, total } = figures;
  expect([hit.cache, tool.mcp_tools_used, sum("basechat_requests_total", { route: "/chat" })]).toEqual([
    "hit",
    ["calculator"],
    5,
  ]);
  const statusOf = (status: string) => sum("basechat_requests_total", { route: "/chat", status });
  expect([statusOf("2xx"), statusOf("5xx"), sum("basechat_requests_total", { status: "4xx" })]).toEqual([3, 1, 2]);
  expect(sum("basechat_request_duration_seconds", { route: "/chat/stream" })).toBe(1);

  // Two for the tool, two for the provider that fails and is asked once more.
  expect(house.llm.stats().calls - before.calls).toBe(7);
  expect(sum("basechat_model_attempts_total")).toBe(7);
  expect(sum("basechat_model_attempts_total", { code: "upstream_error" })).toBe(2);
  expect(sum("basechat_model_retries_total")).toBe(1);
  expect(sum("gen_ai_client_operation_duration_seconds")).toBe(6);
  expect(sum("gen_ai_client_operation_duration_seconds", { error_type: "upstream_error" })).toBe(1);
  const streamed = events.find((event) => event.event === "usage");
  const usages = [miss.usage, tool.usage, direct.usage, ...(streamed?.event === "usage" ? [streamed.data] : [])];
  expect(usages).toHaveLength(4);
  const tokens = (of: "prompt_tokens" | "completion_tokens") => usages.reduce((all, usage) => all + usage[of], 0);
  expect(total("gen_ai_client_token_usage", { gen_ai_token_type: "input" })).toBe(tokens("prompt_tokens"));
  expect(total("gen_ai_client_token_usage", { gen_ai_token_type: "output" })).toBe(tokens("completion_tokens"));
  const billed = (of: "billed_tokens" | "reported_tokens") => Number(house.llm.stats()[of]) - Number(before[of]);
  expect([billed("billed_tokens"), billed("reported_tokens")]).toEqual(
    Array(2).fill(total("gen_ai_client_token_usage")),
  );
  const costOf = ({ prompt_tokens, completion_tokens }: ChatReply["usage"]) =>
    (prompt_tokens * PRICE.input + completion_tokens * PRICE.output) / 1e6;
  expect(sum("basechat_cost_usd_total")).toBeCloseTo(
    usages.reduce((all, usage) => all + costOf(usage), 0),
    12,
  );

  expect(sum("basechat_turn_duration_seconds")).toBe(turns);
  expect(sum("basechat_turn_duration_seconds", { cache: "hit", outcome: "complete" })).toBe(1);
  expect(sum("basechat_turn_duration_seconds", { outcome: "upstream_error" })).toBe(1);
  expect(sum("basechat_first_token_seconds")).toBe(turns - 2);
  expect(sum("basechat_tool_calls_total", { tool: "calculator", outcome: "ok" })).toBe(1);
  expect(sum("basechat_tool_duration_seconds")).toBe(1);
  expect(sum("basechat_cache_lookups_total", { layer: "llm", result: "hit" })).toBe(1);
  expect(sum("basechat_cache_lookups_total", { layer: "llm", result: "miss" })).toBe(5);
  expect([sum("basechat_purges_total"), sum("basechat_purged_entries_total")]).toEqual([1, kept]);
  expect(sum("basechat_outbox_drains_total", { outcome: "drained" })).toBe(turns);
});

test("[METRICS-2] a model that the registry does not name is `other`, and no label holds an id", async () => {
  await chat("Hi there", { model: "demo:nousage" });
  const { samples, text } = await scrape(house, admin);
  const labelled = [...samples.values()].flat().flatMap(({ labels }) => Object.entries(labels));
  const models = labelled.flatMap(([label, value]) => (/model/.test(label) ? [value] : []));
  expect(new Set(models)).toEqual(new Set(["demo", "other"]));
  expect(text).not.toMatch(/[0-9a-f]{8}-[0-9a-f]{4}-/);
  expect(text).not.toContain(as.id);
});

test("[METRICS-3] every metric is there from the start, with its help and type", async () => {
  const fresh = await openHouse();
  try {
    const { names } = await scrape(fresh, await fresh.newTenant("admin"));
    expect(names.sort()).toEqual(Object.keys(METRICS).sort());
  } finally {
    await fresh.close();
  }
});

test("[METRICS-4] read by an admin or with the scrape token, which is taken from the header alone", async () => {
  const call = (headers: Record<string, string>, path = "/metrics") => house.call(path, { headers });
  const read = await call({ authorization: `Bearer ${METRICS_TOKEN}` });
  expect([read.status, read.headers.get("content-type")]).toEqual([200, "text/plain; version=0.0.4; charset=utf-8"]);
  expect(readExposition(await read.text()).sum("basechat_requests_total")).toBeGreaterThan(0);
  await expectError(await house.call("/metrics", { as }), 403, "forbidden");
  for (const wrong of [METRICS_TOKEN.slice(1), `${METRICS_TOKEN}x`, ""]) {
    await expectError(await call({ authorization: `Bearer ${wrong}` }), 401, "unauthorized");
  }
  await expectError(await call({}, `/metrics?token=${METRICS_TOKEN}`), 401, "unauthorized");
  // Good for nothing else.
  await expectError(await call({ authorization: `Bearer ${METRICS_TOKEN}` }, "/auth/me"), 401, "unauthorized");
});

test("[METRICS-5] [F20] what sessions owe to Postgres is told while it is away, and falls to nothing when it is back", async () => {
  house.neon.control({ mode: "down" });
  await chat("Tell me of the rain");
  await chat("Tell me of the wind");
  const owing = await scrapeUntil(house, admin, ({ sum }) => sum("basechat_outbox_sessions") === 2);
  expect(owing.sum("basechat_outbox_messages")).toBe(4);
  expect(owing.sum("basechat_outbox_oldest_age_seconds")).toBeGreaterThanOrEqual(0);
  expect(owing.sum("basechat_outbox_drains_total", { outcome: "waiting" })).toBeGreaterThanOrEqual(2);
  const health = async () => HistoryHealth.parse(await (await house.call("/history/health", { as })).json());
  expect(await health()).toMatchObject({ status: "unhealthy", outbox: { sessions: 2, messages: 4 } });
  house.neon.control({ mode: "up" });
  await scrapeUntil(house, admin, ({ sum }) => sum("basechat_outbox_sessions") === 0);
  expect((await health()).outbox).toEqual({ sessions: 0, messages: 0, oldest_seconds: 0 });
});

test("[METRICS-6] open streams are counted up, and down however they end", async () => {
  for (const route of ["/chat/stream", "/llm/generate/stream"]) {
    const leave = new AbortController();
    const slow = { as, body: { prompt: "Say a lot", model: "demo:stall.2" }, signal: leave.signal };
    const stream = await house.call(route, slow);
    await scrapeUntil(house, admin, ({ sum }) => sum("basechat_active_streams") === 1);
    leave.abort();
    await stream.text().catch(() => undefined);
    const { sum } = await scrapeUntil(house, admin, (figures) => figures.sum("basechat_active_streams") === 0);
    expect(sum("basechat_requests_total", { route })).toBeGreaterThan(0);
  }
});

test("[METRICS-7] figures outlive the objects that hold them, in one row a shard", async () => {
  const before = await scrape(house, admin);
  const shards = Array.from({ length: SHARDS }, (_, at) => `shard-${at}`);
  for (const shard of shards) await house.evictObject("MetricsObject", shard);
  const after = await scrape(house, admin);
  const turnsOf = ({ sum }: typeof after) => sum("basechat_turn_duration_seconds");
  expect(turnsOf(after)).toBe(turnsOf(before));
  const rows = await Promise.all(
    shards.map((shard) => house.queryObject("MetricsObject", shard, "SELECT count(*) AS rows FROM figures")),
  );
  expect(Math.max(...rows.map(([row]) => Number(row?.["rows"])))).toBe(1);
});
