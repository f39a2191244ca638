/**
 * What a chat costs in calls, counted by the stand-ins and the Workers' lines: rows P1 and P9 of the performance budget.
 * Every dependency call of the path is counted, so a count is also the most round trips that can lie one after another.
 */
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { serveInternet } from "../dev/stand-ins/internet.ts";
import { brave, SEARCH_KEY } from "../dev/stand-ins/search.ts";
import type { StandIn } from "../dev/stand-ins/serve.ts";
import { type House, linesOf, openHouse, readEvents, type Tenant } from "./house.ts";

let house: House;
let internet: StandIn;
let as: Tenant;
beforeAll(async () => {
  internet = await serveInternet({ "api.search.brave.com": brave });
  house = await openHouse({ internet, settings: { BRAVE_API_KEY: SEARCH_KEY } });
  as = await house.newTenant();
  // The isolate fetches the tool list once.
  await chat("Hello");
});
afterAll(async () => {
  await house.close();
  await internet.close();
});

interface Cost {
  session: number;
  llm: number;
  mcp: number;
  redisCalls: number;
  redisCommands: number;
  postgres: number;
}

/** One chat to its end, with all that is written behind it. */
async function chat(prompt: string, reads = 1): Promise<Cost> {
  const before = figures();
  const response = await house.call("/chat/stream", { as, body: { prompt } });
  await readEvents(response);
  await house.neon.until(({ calls, in_flight }) => calls > before.neon && in_flight === 0);
  await house.redis.until(({ calls, in_flight }) => calls > before.redis + reads && in_flight === 0);
  const after = figures();
  const lines = linesOf(house, response.headers.get("x-request-id"));
  // One line a request; the mcp Worker writes another for the tool itself.
  const linesFrom = (service: string): number =>
    lines.filter((line) => line["service"] === service && line["route"] !== undefined).length;
  return {
    session: linesFrom("session"),
    llm: after.llm - before.llm,
    mcp: linesFrom("mcp"),
    redisCalls: after.redis - before.redis,
    redisCommands: after.commands - before.commands,
    postgres: after.neon - before.neon,
  };
}

function figures() {
  const redis = house.redis.stats();
  return {
    llm: house.llm.stats().calls,
    redis: redis.calls,
    commands: Number(redis["commands"]),
    neon: house.neon.stats().calls,
  };
}

test("[P1] [P9] a miss: one session, one cache read and one write behind, one model call, one batch to Postgres behind", async () => {
  const cost = await chat("Tell me about the sea");
  expect(cost).toEqual({ session: 1, llm: 1, mcp: 0, redisCalls: 2, redisCommands: 2, postgres: 1 });
});

test("[P1] [P9] one tool adds one MCP call and one model call, and two entries to the one command of the write behind", async () => {
  const cost = await chat("what is 12*12?");
  expect(cost).toEqual({ session: 1, llm: 2, mcp: 1, redisCalls: 2, redisCommands: 2, postgres: 1 });
});

test("[P1] [P9] a hit: one session, one cache read, nothing else on the path; it is counted behind", async () => {
  const cost = await chat("what is 12*12?");
  expect(cost).toEqual({ session: 1, llm: 0, mcp: 0, redisCalls: 2, redisCommands: 2, postgres: 1 });
});

test("[P1] [P9] a metered tool adds one more cache read, for its result", async () => {
  const cost = await chat("Search the web for tides", 2);
  expect(cost).toEqual({ session: 1, llm: 2, mcp: 1, redisCalls: 3, redisCommands: 3, postgres: 1 });
});

test("[P9] rows that a turn writes in its object, those of the drain included", async () => {
  const first = await house.call("/chat", { as, body: { prompt: "Tell me about the mountains" } });
  const sessionId = String(first.headers.get("x-session-id"));
  await first.text();
  const rows = await rowsOf(sessionId);
  await (await house.call("/chat", { as, body: { prompt: "And about the lakes?", session_id: sessionId } })).text();
  const after = await rowsOf(sessionId);
  // Two messages, one turn row (written twice), events up to the first delta and the rest, the mark of the drain, one alarm.
  expect(after.messages - rows.messages).toBe(2);
  expect(after.turns - rows.turns).toBe(1);
  expect(after.events - rows.events).toBe(2);
});

async function rowsOf(sessionId: string): Promise<{ messages: number; turns: number; events: number }> {
  const [row] = await house.querySession(
    sessionId,
    "SELECT (SELECT count(*) FROM messages) AS messages, (SELECT count(*) FROM turns) AS turns, (SELECT count(*) FROM events) AS events",
  );
  return { messages: Number(row?.["messages"]), turns: Number(row?.["turns"]), events: Number(row?.["events"]) };
}

test("[P7] a long session shows the model no more than a short one, and no query of a turn scans it", async () => {
  const filler = "word ".repeat(800);
  const promptBytes: number[] = [];
  for (const length of [11, 101, 1_001, 5_001]) {
    const first = await house.call("/chat", { as, body: { prompt: `Start ${filler}`, cache: { mode: "no-store" } } });
    const sessionId = String(first.headers.get("x-session-id"));
    await first.text();
    await house.querySession(
      sessionId,
      `WITH RECURSIVE counter(n) AS (SELECT 3 UNION ALL SELECT n + 1 FROM counter WHERE n < ${length})
       INSERT INTO messages (seq, id, parent_seq, turn_id, role, content, status, tokens, details, created_at)
       SELECT n, 'm' || n, n - 1, 't', CASE n % 2 WHEN 1 THEN 'user' ELSE 'assistant' END, '${filler}', 'complete', 0, '{}', 0 FROM counter`,
    );
    const next = await house.call("/chat", {
      as,
      body: { prompt: "And now?", session_id: sessionId, cache: { mode: "no-store" } },
    });
    expect(next.status).toBe(200);
    await next.text();
    promptBytes.push(JSON.stringify(house.llm.stats().last_request).length);
    for (const query of [
      "WITH RECURSIVE path AS (SELECT * FROM messages WHERE seq = 5 UNION ALL SELECT messages.* FROM messages JOIN path ON messages.seq = path.parent_seq) SELECT * FROM path",
      "SELECT max(seq) AS seq FROM messages",
      "SELECT * FROM turns ORDER BY id DESC LIMIT 1",
      "SELECT * FROM messages WHERE seq > 5 ORDER BY seq LIMIT 100",
    ]) {
      const plan = await house.querySession(sessionId, `EXPLAIN QUERY PLAN ${query}`);
      const steps = plan.map((row) => String(row["detail"])).filter((detail) => /\b(messages|turns)\b/.test(detail));
      expect(steps.filter((step) => step.startsWith("SCAN") && query.includes("WHERE"))).toEqual([]);
    }
  }
  console.log(`prompt bytes at 10, 100, 1,000 and 5,000 messages: ${promptBytes.join(", ")}`);
  for (const bytes of promptBytes) expect(bytes / (promptBytes[0] ?? 1)).toBeLessThanOrEqual(1.25);
});

test.each([
  ["wrangler.toml", 600],
  ["wrangler.llm-agent.toml", 150],
  ["wrangler.mcp.toml", 250],
])("[P15] the bundle of %s is at most %d kB, compressed", (config, mostKb) => {
  const kb = gzipSync(inject("bundles")[config] ?? "").length / 1_000;
  console.log(`${config}: ${kb.toFixed(1)} kB of ${mostKb} kB`);
  expect(kb).toBeGreaterThan(10);
  expect(kb).toBeLessThanOrEqual(mostKb);
});

test("[P15] what LangGraph brings to trace what it runs is not in the bundle", () => {
  expect(inject("bundles")["wrangler.toml"]).not.toContain("api.smith.langchain.com");
});
