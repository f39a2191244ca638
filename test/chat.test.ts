/** One chat through every part: main, session object, LangGraph, cache, llm-agent, MCP tool, Postgres. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { ChatReply } from "../contracts/chat.ts";
import { ErrorBody } from "../contracts/errors.ts";
import { isTerminal } from "../contracts/events.ts";
import { SCHEMA_VERSION } from "../db/schema.ts";
import { answerOf, type House, linesOf, openHouse, readEvents, untilRows } from "./house.ts";

let house: House;
beforeAll(async () => {
  house = await openHouse();
});
afterAll(() => house.close());

/** No two tests ask the same, so that none meets another's cache entry. Letters only: digits would be arithmetic. */
let asked = 0;
const unique = (text: string): string => `${text} ${"again ".repeat((asked += 1))}`.trim();

test("[CHAT-1] a chat is answered as JSON", async () => {
  const as = await house.newTenant();
  const response = await house.call("/chat", { as, body: { prompt: unique("Good morning") } });
  expect(response.status).toBe(200);
  expect(response.headers.get("x-cache")).toBe("MISS");
  const reply = ChatReply.parse(await response.json());
  expect(reply.response).toContain("Good morning");
  expect(reply).toMatchObject({
    model: "demo",
    provider: "openai",
    cache: "miss",
    finish_reason: "stop",
    mcp_tools_used: [],
  });
  expect(reply.usage.total_tokens).toBeGreaterThan(0);
});

test("[CHAT-2] a stream numbers its events from 1 and ends with one terminal event", async () => {
  const as = await house.newTenant();
  const response = await house.call("/chat/stream", { as, body: { prompt: unique("Tell me something") } });
  expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
  expect(response.headers.get("cache-control")).toContain("no-store");
  const events = await readEvents(response, () => false);
  expect(events.map((event) => event.id)).toEqual(events.map((_, at) => at + 1));
  expect(events[0]?.event).toBe("meta");
  expect(events.filter(isTerminal)).toHaveLength(1);
  expect(events.slice(-2).map((event) => event.event)).toEqual(["usage", "done"]);
  expect(answerOf(events)).toContain("Tell me something");
});

test("[CHAT-3] the model calls a tool by MCP, and the turn's messages reach Postgres", async () => {
  const as = await house.newTenant();
  const events = await readEvents(await house.call("/chat/stream", { as, body: { prompt: unique("what is 17*23?") } }));
  const call = events.find((event) => event.event === "tool_call");
  expect(call?.data).toMatchObject({ name: "calculator", arguments: { expression: "17*23" } });
  expect(events.find((event) => event.event === "tool_result")?.data).toMatchObject({ id: call?.data.id, ok: true });
  expect(answerOf(events)).toContain("391");

  const meta = events[0]?.event === "meta" ? events[0].data : undefined;
  const rows = await untilRows(
    house,
    2,
    "select role, content, mcp_tools_used from messages where session_id = $1 order by seq",
    meta?.session_id,
  );
  expect(rows.map((row) => row["role"])).toEqual(["user", "assistant"]);
  expect(rows[1]).toMatchObject({ content: answerOf(events), mcp_tools_used: ["calculator"] });
});

test("[CHAT-4] the same question as a first turn is answered from the cache, as JSON and as a stream", async () => {
  const [one, two] = [await house.newTenant(), await house.newTenant()];
  const body = { prompt: unique("what is 6*7?") };
  const before = house.llm.stats().calls;
  const first = await readEvents(await house.call("/chat/stream", { as: one, body }));
  await house.redis.until(
    (stats) => stats.in_flight === 0 && JSON.stringify(stats.last_request).includes("answered: 42"),
  );
  const calls = house.llm.stats().calls;
  expect(calls).toBe(before + 2);

  const again = await house.call("/chat", { as: two, body });
  expect(again.headers.get("x-cache")).toBe("HIT");
  expect(ChatReply.parse(await again.json()).response).toBe(answerOf(first));
  const stream = await house.call("/chat/stream", { as: two, body });
  expect(stream.headers.get("x-cache")).toBe("HIT");
  const replay = await readEvents(stream);
  expect(new Set(replay.map((event) => event.event))).toEqual(new Set(first.map((event) => event.event)));
  expect(answerOf(replay)).toBe(answerOf(first));
  expect(house.llm.stats().calls).toBe(calls);
});

test("[CHAT-5] later turns are never shared between users, however equal", async () => {
  const body = { prompt: unique("Hello there") };
  const answers = [];
  for (const as of [await house.newTenant(), await house.newTenant()]) {
    const { session_id } = ChatReply.parse(await (await house.call("/chat", { as, body })).json());
    const followUp = await house.call("/chat", { as, body: { prompt: "And now?", session_id } });
    answers.push(followUp.headers.get("x-cache"));
  }
  expect(answers).toEqual(["MISS", "MISS"]);
});

test("[CHAT-6] a client that leaves after two deltas resumes with exactly the missing events", async () => {
  const as = await house.newTenant();
  const body = { prompt: unique("Tell me more"), model: "demo:tokens.40.gap.5" };
  const response = await house.call("/chat/stream", { as, body });
  const turnId = response.headers.get("x-turn-id");
  let deltas = 0;
  const seen = await readEvents(response, (event) => event.event === "delta" && (deltas += 1) === 2);

  const resumed = await house.call(`/chat/turns/${turnId}/stream`, {
    as,
    headers: { "last-event-id": String(seen.at(-1)?.id) },
  });
  const rest = await readEvents(resumed);
  const whole = await readEvents(await house.call(`/chat/turns/${turnId}/stream?after=0`, { as }));
  expect([...seen, ...rest]).toEqual(whole);
  expect(whole.at(-1)?.event).toBe("done");
  await house.llm.until((stats) => stats.in_flight === 0);
  expect(house.llm.stats().aborted).toBe(0);
});

test("[CHAT-7] the model is shown the newest messages of the session", async () => {
  const as = await house.newTenant();
  const first = ChatReply.parse(await (await house.call("/chat", { as, body: { prompt: "My name is Ada." } })).json());
  const body = { prompt: "What is my name?", session_id: first.session_id };
  const second = ChatReply.parse(await (await house.call("/chat", { as, body })).json());
  expect(second.session_id).toBe(first.session_id);
  expect(second.response).toContain("Ada");
});

test("[CHAT-8] the user's message is kept when the model fails", async () => {
  const as = await house.newTenant();
  const prompt = unique("Is anybody there?");
  const response = await house.call("/chat", { as, body: { prompt, model: "demo:status.503" } });
  expect(response.status).toBe(502);
  const { error } = ErrorBody.parse(await response.json());
  expect(error.code).toBe("upstream_error");
  const rows = await untilRows(
    house,
    1,
    "select content from messages where session_id = $1",
    error.details?.["session_id"],
  );
  expect(rows).toEqual([{ content: prompt }]);
});

test("[CHAT-9] somebody else's session or turn looks like a missing one", async () => {
  const [owner, other] = [await house.newTenant(), await house.newTenant()];
  const mine = ChatReply.parse(await (await house.call("/chat", { as: owner, body: { prompt: unique("Hi") } })).json());
  const body = { prompt: "Hello", session_id: mine.session_id };
  expect((await house.call("/chat", { as: other, body })).status).toBe(404);
  expect((await house.call("/chat/stream", { as: other, body })).status).toBe(404);
  expect((await house.call(`/chat/turns/${mine.turn_id}/stream`, { as: other })).status).toBe(404);
});

test("[CHAT-10] a second message to a busy session is refused, and the first goes on", async () => {
  const as = await house.newTenant();
  const { session_id } = ChatReply.parse(
    await (await house.call("/chat", { as, body: { prompt: unique("Hi") } })).json(),
  );
  const slow = await house.call("/chat/stream", {
    as,
    body: { prompt: "Go on", session_id, model: "demo:tokens.300.gap.10" },
  });
  const refused = await house.call("/chat", { as, body: { prompt: "Me too", session_id } });
  expect(refused.status).toBe(409);
  expect(ErrorBody.parse(await refused.json()).error.code).toBe("turn_in_progress");
  expect((await readEvents(slow)).at(-1)?.event).toBe("done");
});

test("[CHAT-11] store: false keeps the turn out of the history", async () => {
  const as = await house.newTenant();
  const body = { prompt: unique("Off the record"), store: false };
  const quiet = ChatReply.parse(await (await house.call("/chat", { as, body })).json());
  const loud = ChatReply.parse(await (await house.call("/chat", { as, body: { prompt: unique("On it") } })).json());
  await untilRows(house, 2, "select id from messages where session_id = $1", loud.session_id);
  expect(await house.sql`select id from messages where session_id = ${quiet.session_id}`).toEqual([]);
});

test("[F20] Postgres down: chat is answered, and the messages arrive once each when it is back", async () => {
  const as = await house.newTenant();
  // Whoever was here once is known to the account's object.
  expect((await house.call("/chat/health", { as })).status).toBe(200);
  house.neon.control({ mode: "down" });
  const first = ChatReply.parse(await (await house.call("/chat", { as, body: { prompt: unique("One") } })).json());
  const body = { prompt: unique("Two"), session_id: first.session_id };
  expect((await house.call("/chat", { as, body })).status).toBe(200);
  house.neon.control({ mode: "up" });
  const rows = await untilRows(
    house,
    4,
    "select seq, role from messages where session_id = $1 order by seq",
    first.session_id,
  );
  expect(rows).toEqual([1, 2, 3, 4].map((seq) => ({ seq, role: seq % 2 === 1 ? "user" : "assistant" })));
});

test("[F26] Redis down: chat is answered and says that the cache was passed by", async () => {
  const as = await house.newTenant();
  house.redis.control({ mode: "down" });
  const response = await house.call("/chat", { as, body: { prompt: unique("Still there?") } });
  house.redis.control({ mode: "up" });
  expect(response.status).toBe(200);
  expect(response.headers.get("x-cache")).toBe("BYPASS");
});

test("[LOG-1] one request id crosses all three Workers and comes back as a header", async () => {
  const as = await house.newTenant();
  const response = await house.call("/chat", { as, body: { prompt: unique("what is 2+3?") } });
  const requestId = response.headers.get("x-request-id");
  await response.text();
  const services = linesOf(house, requestId).map((line) => line["service"]);
  expect(new Set(services)).toEqual(new Set(["main", "session", "llm-agent", "mcp"]));
});

test("[DB-1] /health/ready tells the version of the last migration found, and the one expected", async () => {
  const as = await house.newTenant("admin");
  const healthOf = async (): Promise<unknown> => (await house.call("/health/ready", { as })).json();
  expect(await healthOf()).toMatchObject({ schema: { found: SCHEMA_VERSION, expected: SCHEMA_VERSION } });
  await house.sql`update schema_migrations set version = -version where version = ${SCHEMA_VERSION}`;
  const behind = await healthOf();
  await house.sql`update schema_migrations set version = -version where version < 0`;
  expect(behind).toMatchObject({ status: "degraded", schema: { found: SCHEMA_VERSION - 1, expected: SCHEMA_VERSION } });
  house.neon.control({ mode: "down" });
  const away = await healthOf();
  house.neon.control({ mode: "up" });
  expect(away).toMatchObject({ status: "degraded", schema: { found: null, expected: SCHEMA_VERSION } });
});
