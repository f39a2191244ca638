/** What a request tells of itself: its log lines in all Workers, its trace, and where its time went. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { readServerTiming } from "../contracts/timing.ts";
import { hashedUser, type House, linesOf, openHouse, readEvents, type Tenant, untilRows } from "./house.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";

/** A line comes when it comes. */
const PATIENT = { timeout: 30_000 };

let house: House;
let as: Tenant;
beforeAll(async () => {
  house = await openHouse({ llm: { pace: { firstTokenMs: 30, tokensPerSecond: 2_000 } } });
  as = await house.newTenant();
});
afterAll(() => house.close());

test("[LOG-5] [LOG-6] a caller's trace crosses all Workers, comes back, and stands in every line of the request", async () => {
  const headers = { traceparent: `00-${TRACE}-b7ad6b7169203331-01` };
  const response = await house.call("/chat", { as, headers, body: { prompt: "what is 17*23?" } });
  await response.text();
  expect(response.headers.get("traceparent")).toMatch(new RegExp(`^00-${TRACE}-[0-9a-f]{16}-01$`));
  const lines = linesOf(house, response.headers.get("x-request-id"));
  expect(new Set(lines.map((line) => line["service"]))).toEqual(new Set(["main", "session", "llm-agent", "mcp"]));
  expect(lines.filter((line) => line["trace_id"] !== TRACE)).toEqual([]);

  const one = (check: (line: Record<string, unknown>) => boolean) => lines.filter(check);
  const user_id = hashedUser(as);
  expect(one((line) => line["service"] === "main")).toEqual([
    expect.objectContaining({ level: "info", method: "POST", route: "/chat", status: 200, cache: "miss", user_id }),
  ]);
  expect(one((line) => line["call"] === "model")).toEqual(
    Array.from({ length: 2 }, () => expect.objectContaining({ model: "demo", provider: "openai", user_id })),
  );
  expect(one((line) => line["audit"] === "tool_call")).toEqual([
    expect.objectContaining({ tool: "calculator", ok: true, user_id }),
  ]);
  expect(one((line) => line["route"] === "turn")).toEqual([
    expect.objectContaining({ model: "demo", finish_reason: "stop", tools: ["calculator"], user_id }),
  ]);
  expect(JSON.stringify(house.lines)).not.toContain(as.id);
});

test("[LOG-5] without a valid one a trace begins here, on errors as well", async () => {
  for (const traceparent of ["", "00-zz", `00-${"0".repeat(32)}-b7ad6b7169203331-01`]) {
    const response = await house.call("/nothing", { headers: { traceparent } });
    expect(response.headers.get("traceparent")).toMatch(/^00-(?!0{32})[0-9a-f]{32}-[0-9a-f]{16}-01$/);
    const [line] = linesOf(house, response.headers.get("x-request-id"));
    expect(line).toMatchObject({ level: "info", status: 404, code: "not_found" });
  }
});

test("[LOG-6] a drain of the outbox leaves a line, a warning when Postgres did not take it", async () => {
  const outcomes = (id: string | null) =>
    house.lines
      .filter((line) => line["route"] === "outbox" && line["session_id"] === id)
      .map((line) => [line["level"], line["outcome"]]);
  house.neon.control({ mode: "down" });
  const response = await house.call("/chat", { as, body: { prompt: "Tell me of debts" } });
  const id = response.headers.get("x-session-id");
  await expect.poll(() => outcomes(id)).toContainEqual(["warn", "waiting"]);
  house.neon.control({ mode: "up" });
  await expect.poll(() => outcomes(id)).toContainEqual(["info", "drained"]);
});

/** The fields of those lines of a request that are of this route. */
const fieldsOf = (id: string | null, route: string, ...fields: string[]) =>
  linesOf(house, id)
    .filter((line) => line["route"] === route)
    .map((line) => fields.map((field) => line[field]));

test("[LOG-8] a drain carries the ids of the requests whose messages it brings, and so does what Postgres says to it", async () => {
  house.neon.control({ mode: "down" });
  const first = await house.call("/chat", { as, body: { prompt: "The first debt" } });
  const session_id = first.headers.get("x-session-id") ?? "";
  const second = await house.call("/chat", { as, body: { prompt: "The second debt", session_id } });
  const [one, two] = [first, second].map(({ headers }) => headers.get("x-request-id"));
  await expect
    .poll(() => fieldsOf(two ?? null, "outbox", "outcome", "request_ids"), PATIENT)
    .toContainEqual(["waiting", [one, two]]);
  expect(fieldsOf(one ?? null, "outbox", "outcome", "request_ids")).toContainEqual(["waiting", undefined]);
  for (const id of [one, two]) {
    expect(fieldsOf(id ?? null, "postgres", "error", "service")).toContainEqual(["unavailable", "main"]);
  }
  house.neon.control({ mode: "up" });
  await untilRows(house, 4, "select 1 from messages where session_id = $1", session_id);
  await expect.poll(() => fieldsOf(two ?? null, "outbox", "outcome"), PATIENT).toContainEqual(["drained"]);
});

test("[LOG-8] a message that comes while others are brought is brought under its own request's id", async () => {
  house.neon.control({ latencyMs: 1_000 });
  const first = await house.call("/chat", { as, body: { prompt: "A slow debt" } });
  const session_id = first.headers.get("x-session-id") ?? "";
  await house.neon.until(({ in_flight }) => in_flight > 0);
  const second = await house.call("/chat", { as, body: { prompt: "A debt meanwhile", session_id } });
  house.neon.control({ latencyMs: 0 });
  for (const { headers } of [first, second]) {
    const drains = () => fieldsOf(headers.get("x-request-id"), "outbox", "outcome", "request_ids");
    await expect.poll(drains, PATIENT).toContainEqual(["drained", undefined]);
  }
});

test("[LOG-8] what Postgres says has the id of the request that asked it: of main, of an account, of a tool", async () => {
  const unknown = await house.newTenant();
  house.neon.control({ mode: "down" });
  const body = { tool_name: "search_history", input_data: { query: "debts" } };
  const asked = [
    await house.call("/history/search?q=debts", { as }),
    await house.call("/auth/me", { as: unknown }),
    await house.call("/mcp/tools/call", { as, body }),
  ];
  house.neon.control({ mode: "up" });
  const told = () => asked.map(({ headers }) => fieldsOf(headers.get("x-request-id"), "postgres", "service"));
  await expect.poll(told, PATIENT).toEqual([[["main"]], [["main"]], [["mcp"]]]);
});

test("[LOG-9] a purge tells how long it took; whatever is written belongs to a request, or to one run of what goes on by itself", async () => {
  const { headers } = await house.call(`/cache/invalidate?user=${as.id}`, { as, method: "DELETE" });
  const told = () => fieldsOf(headers.get("x-request-id"), "cache.purge", "deleted", "ms");
  await expect.poll(told, PATIENT).toEqual([[expect.any(Number), expect.any(Number)]]);
  expect(house.lines.filter((one) => one["request_id"] === undefined && one["route"] !== "start")).toEqual([]);
});

test("[LOG-10] a request and its turn tell what they cost, and a failure its code", async () => {
  const price = { input: 100, output: 200 };
  const models = { models: { demo: { price }, "demo:status.500": { price } } };
  const priced = await openHouse({ settings: { MODELS: JSON.stringify(models) } });
  try {
    const tenant = await priced.newTenant();
    const ask = async (model: string) => {
      const response = await priced.call("/chat", { as: tenant, body: { prompt: "What does it cost?", model } });
      await response.text();
      const about = (part: string) => () =>
        linesOf(priced, response.headers.get("x-request-id")).filter((line) => line[part] !== undefined);
      return {
        turn: about("finish_reason"),
        failed: about("error"),
        request: () => about("status")().filter(({ service }) => service === "main"),
      };
    };
    const user_id = hashedUser(tenant);
    const [ms, amount] = [expect.any(Number), expect.any(Number)] as unknown[];
    const good = await ask("demo");
    const turn = { route: "turn", user_id, ms, cache: "miss", model: "demo", provider: "openai", tokens: amount };
    await expect
      .poll(good.turn, PATIENT)
      .toMatchObject([{ ...turn, cost_usd: amount, stages: { cache: ms, model: ms } }]);
    const request = { route: "/chat", method: "POST", user_id, ms };
    const stages = { auth: ms, input: ms, handler: ms, start: ms, cache: ms, model: ms };
    await expect.poll(good.request, PATIENT).toMatchObject([{ ...request, status: 200, cache: "miss", stages }]);
    const bad = await ask("demo:status.500");
    await expect
      .poll(bad.request, PATIENT)
      .toMatchObject([{ ...request, level: "error", status: 502, code: "upstream_error" }]);
    await expect
      .poll(bad.failed, PATIENT)
      .toContainEqual(expect.objectContaining({ route: "turn", error: "upstream_error" }));
  } finally {
    await priced.close();
  }
});

test("[LOG-2] [LOG-3] settings of the log hold in all Workers; a malformed one is named", async () => {
  const quiet = await openHouse({ settings: { LOG_LEVEL: "warn", LOG_SAMPLE: "many" } });
  try {
    const tenant = await quiet.newTenant();
    const response = await quiet.call("/chat", { as: tenant, body: { prompt: "what is 17*23?" } });
    await response.text();
    expect(linesOf(quiet, response.headers.get("x-request-id"))).toEqual([]);
    await quiet.call("/chat", { as: tenant, body: { prompt: "Hi", model: "demo:status.500" } });
    expect(quiet.lines.map((line) => line["service"])).toEqual(
      expect.arrayContaining(["llm-agent", "session", "main"]),
    );
    expect(await (await quiet.call("/health")).text()).toContain("LOG_SAMPLE is malformed");
  } finally {
    await quiet.close();
  }
});

/** Clocks of two objects are read at different moments: each reading may be off by one. */
const ROUNDING_MS = 3;

test("[TIME-2] on every reply the stages add up to the total, and a chat tells of cache, model and tools", async () => {
  const chat = async (body: Record<string, unknown>) => {
    const response = await house.call("/chat", { as, body });
    await response.text();
    return response;
  };
  const stream = await house.call("/chat/stream", { as, body: { prompt: "Tell me of streams" } });
  await readEvents(stream);
  const replies = [
    await chat({ prompt: "what is 4*5?" }),
    await chat({ prompt: "what is 4*5?" }),
    await chat({ prompt: 1 }),
    await chat({ prompt: "Hi", model: "demo:status.500" }),
    stream,
    await house.call("/nothing"),
    await house.call("/chat/health", { as }),
    await house.call("/history/health", { as }),
    await house.call("/auth/me"),
  ];
  for (const { headers, status } of replies) {
    const { total = -1, ...stages } = readServerTiming(headers.get("server-timing"));
    const sum = Object.values(stages).reduce((all, ms) => all + ms, 0);
    expect([Math.abs(sum - total) <= ROUNDING_MS, status], headers.get("server-timing") ?? "none").toEqual([
      true,
      status,
    ]);
  }
  const tool = readServerTiming(replies[0]?.headers.get("server-timing") ?? null);
  expect(Object.keys(tool)).toEqual(
    expect.arrayContaining(["auth", "input", "handler", "start", "cache", "model", "tools", "total"]),
  );
  expect(tool["model"]).toBeGreaterThanOrEqual(2 * 25);
  const [line] = linesOf(house, replies[0]?.headers.get("x-request-id") ?? null).filter(
    (one) => one["service"] === "main",
  );
  expect({ ...(line?.["stages"] as object), total: line?.["ms"] }).toEqual(tool);
});
