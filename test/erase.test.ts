/** Deleting sessions: what goes, what is said of it, and that nothing comes back. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { ChatReply } from "../contracts/chat.ts";
import { ErrorBody } from "../contracts/errors.ts";
import { ErasedSession, SessionView } from "../contracts/sessions.ts";
import { type House, makeId, openHouse, readEvents, tablesOf, type Tenant, untilRows } from "./house.ts";

let house: House;
let as: Tenant;
beforeAll(async () => {
  const policy = JSON.stringify([{ tool: "calculator", action: "ask" }]);
  house = await openHouse({ settings: { TOOL_POLICY: policy, ACCOUNT_RECHECK_MS: "1" } });
  as = await house.newTenant();
});
afterAll(() => house.close());

const SLOW = "demo:tokens.4000.gap.10";

async function say(prompt: string, more: object = {}, who = as): Promise<ChatReply> {
  const response = await house.call("/chat", { as: who, body: { prompt, ...more } });
  expect(response.status).toBe(200);
  return ChatReply.parse(await response.json());
}

async function erase(id: string, status = 200): Promise<ErasedSession> {
  const response = await house.call(`/history/sessions/${id}`, { as, method: "DELETE" });
  expect(response.status).toBe(status);
  return ErasedSession.parse(await response.json());
}

async function startSlow(
  who = as,
  more: object = {},
): Promise<{ turnId: string; sessionId: string; stream: Response }> {
  const body = { prompt: "Go on for long", model: SLOW, cache: { mode: "no-store" }, ...more };
  const stream = await house.call("/chat/stream", { as: who, body });
  expect(stream.status).toBe(200);
  const id = (name: string): string => String(stream.headers.get(name));
  return { turnId: id("x-turn-id"), sessionId: id("x-session-id"), stream };
}

/** Everything of a session that is anywhere. */
async function remains(sessionId: string) {
  const { sql } = house;
  return {
    object: await tablesOf(house, sessionId),
    sessions: await sql`select 1 from chat_sessions where id = ${sessionId}`,
    messages: await sql`select 1 from messages where session_id = ${sessionId}`,
    letters: await sql`select 1 from dead_letters where session_id = ${sessionId}`,
  };
}
const NOTHING = { object: [], sessions: [], messages: [], letters: [] };

/** What Postgres has missed is brought again after a pause that grows with each failed try. */
const PATIENT = { timeout: 150_000 };

test(
  "[ERASE-3] [S31] a deleted session is gone from everywhere, and each store's part of it is counted",
  PATIENT,
  async () => {
    const { session_id } = await say("A question that is only asked here");
    await house.redis.until((stats) => stats.in_flight === 0);
    await untilRows(house, 2, "select 1 from messages where session_id = $1", session_id);
    house.neon.control({ mode: "down" });
    await say("Poison", { session_id, cache: { mode: "no-store" } });
    await house.querySession(session_id, "UPDATE messages SET status = 'no such status' WHERE seq = 3");
    house.neon.control({ mode: "up" });
    await untilRows(house, 1, "select 1 from dead_letters where session_id = $1", session_id);
    await untilRows(house, 3, "select 1 from messages where session_id = $1", session_id);
    const [events] = await house.querySession(session_id, "SELECT count(*) AS count FROM events");
    expect(await erase(session_id)).toEqual({
      session_id,
      erased: true,
      removed: {
        object: { messages: 4, turns: 2, events: events?.["count"], checkpoints: 0 },
        postgres: { sessions: 1, messages: 3, dead_letters: 1 },
        cache_entries: 1,
      },
    });
    expect(await remains(session_id)).toEqual(NOTHING);
  },
);

test("[ERASE-3] checkpoints of a turn that waits for a person are deleted with its session", async () => {
  const body = { prompt: "what is 6*7?", cache: { mode: "no-store" } };
  const waiting = await house.call("/chat", { as, body });
  expect(waiting.status).toBe(202);
  const sessionId = String(waiting.headers.get("x-session-id"));
  await waiting.text();
  const [checkpoints] = await house.querySession(sessionId, "SELECT count(*) AS count FROM checkpoints");
  expect(checkpoints?.["count"]).toBeGreaterThan(0);
  // The turn's end has deleted them already.
  const { removed } = await erase(sessionId);
  expect(removed.object).toMatchObject({ messages: 1, turns: 1, checkpoints: 0 });
  expect(await remains(sessionId)).toEqual(NOTHING);
});

test("[ERASE-3] what cannot be deleted now is told", async () => {
  const { session_id } = await say("Held up");
  await untilRows(house, 2, "select 1 from messages where session_id = $1", session_id);
  house.neon.control({ mode: "down" });
  expect(await erase(session_id, 202)).toMatchObject({
    ...{ erased: false, removed: { object: { messages: 2 }, postgres: null, cache_entries: 1 } },
  });
  house.neon.control({ mode: "up" });
  for (;;) {
    const { calls } = house.neon.stats();
    const { sessions } = await remains(session_id);
    if (sessions.length === 0) break;
    // Our own queries are three; the next one is a Worker's.
    await house.neon.until((stats) => stats.calls > calls + 3);
  }
  expect(await remains(session_id)).toMatchObject({ sessions: [], messages: [], letters: [] });
});

test("[F41] messages that wait for a turn of a session that is deleted are not answered", async () => {
  const { sessionId, stream } = await startSlow();
  await readEvents(stream, (event) => event.event === "delta");
  const { calls } = house.llm.stats();
  const body = { prompt: "And then?", session_id: sessionId, on_busy: "enqueue" };
  const waiting = [1, 2].map(() => house.call("/chat", { as, body }));
  const title = { method: "PATCH", body: { title: "Still there" }, as };
  await house.call(`/history/sessions/${sessionId}`, title);
  await erase(sessionId);
  for (const asked of waiting) {
    const response = await asked;
    expect([response.status, ErrorBody.parse(await response.json()).error.code]).toEqual([404, "not_found"]);
  }
  expect(house.llm.stats().calls).toBe(calls);
  expect(await remains(sessionId)).toEqual(NOTHING);
});

test("[F41] a rename on its way when its session is deleted brings nothing back", async () => {
  const { session_id } = await say("To be renamed");
  await untilRows(house, 2, "select 1 from messages where session_id = $1", session_id);
  house.neon.control({ latencyMs: 300 });
  const patch = house.call(`/history/sessions/${session_id}`, { as, method: "PATCH", body: { title: "Late" } });
  await house.neon.until((stats) => stats.in_flight > 0);
  await erase(session_id);
  house.neon.control({ latencyMs: 0 });
  await (await patch).text();
  expect(await remains(session_id)).toEqual(NOTHING);
});

test("[ERASE-4] a session whose user is gone from Postgres ends by itself, and leaves no dead letter", async () => {
  const gone = await house.newTenant();
  const { turnId, sessionId, stream } = await startSlow(gone);
  await readEvents(stream, (event) => event.event === "delta");
  await house.sql`delete from users where id = ${gone.id}`;
  const { calls } = house.neon.stats();
  const command = { kind: "inspect", turnId, cancel: true, userId: gone.id, requestId: makeId() } as const;
  expect(await house.commandSession(sessionId, command)).toMatchObject({ status: 200 });
  await house.neon.until((stats) => stats.calls > calls && stats.in_flight === 0);
  while ((await tablesOf(house, sessionId)).length > 0) await house.call("/chat/health", { as });
  expect(await remains(sessionId)).toEqual(NOTHING);
});

test("[ERASE-6] what an object holds is discarded for its owner alone, and Postgres is left alone", async () => {
  const { sessionId, stream } = await startSlow();
  const events = readEvents(stream, () => false);
  await untilRows(house, 0, "select 1");
  const command = { kind: "discard", sessionId, userId: as.id, requestId: makeId() } as const;
  expect(await house.commandSession(sessionId, { ...command, userId: makeId() })).toMatchObject({ status: 404 });
  const discarded = await house.commandSession(sessionId, command);
  expect(discarded).toMatchObject({ status: 200, body: { messages: expect.any(Number) as number, turns: 1 } });
  expect((await events).at(-1)).toMatchObject({ event: "error", data: { code: "session_deleted" } });
  expect(await remains(sessionId)).toEqual(NOTHING);
  expect(await house.commandSession(sessionId, command)).toMatchObject({ status: 404 });

  const kept = await say("Kept in Postgres", { cache: { mode: "no-store" } });
  await untilRows(house, 2, "select 1 from messages where session_id = $1", kept.session_id);
  const there = { ...command, sessionId: kept.session_id };
  expect(await house.commandSession(kept.session_id, there)).toMatchObject({ body: { messages: 2, checkpoints: 0 } });
  expect(await remains(kept.session_id)).toMatchObject({ object: [], sessions: [{}], messages: [{}, {}] });
  const view = await house.call(`/history/sessions/${kept.session_id}`, { as });
  expect(SessionView.parse(await view.json())).toMatchObject({ message_count: 2 });
});
