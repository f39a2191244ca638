/** The runtime loses objects or is killed in mid-turn, and Postgres goes away meanwhile: what was acknowledged is kept. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { ChatReply } from "../contracts/chat.ts";
import type { NumberedEvent } from "../contracts/events.ts";
import { CrashLoad } from "../dev/house/crash-load.ts";
import { seededRandom } from "../dev/house/random.ts";
import { answerOf, type House, openHouse, readEvents, type Tenant, untilRows } from "./house.ts";

/** Of a run that failed: CHAOS_SEED=… repeats its chance. */
const seed = Number(process.env["CHAOS_SEED"] ?? Date.now() % 1_000_000);

/** Longer than any test: who is stalled so is let go by the test. */
const FOR_EVER_MS = 600_000;

let house: House;
let as: Tenant;
let persistTo: string;
beforeAll(async () => {
  persistTo = await mkdtemp(join(tmpdir(), "basechat-chaos-"));
  house = await openHouse({ persistTo });
  as = await house.newTenant();
});
afterAll(async () => {
  await house.close();
  await rm(persistTo, { recursive: true });
});
beforeEach(() => house.llm.until((stats) => stats.in_flight === 0));

/** A turn that was cut, as its first client saw it until the connection broke. */
interface CutTurn {
  turnId: string;
  sessionId: string;
  seen: NumberedEvent[];
}

interface Kill {
  /** The runtime is killed once the client sees this event, */
  at: NumberedEvent["event"];
  /** and this has come. */
  also?: () => Promise<unknown>;
  headers?: Record<string, string>;
}

/** Sends a message, has the runtime killed in mid-turn, and starts it again. */
async function killDuring(body: object, { at, also, headers = {} }: Kill): Promise<CutTurn> {
  const response = await house.call("/chat/stream", { as, body, headers });
  const seen: NumberedEvent[] = [];
  const reached = Promise.withResolvers<void>();
  const cut = readEvents(response, (event) => {
    seen.push(event);
    if (event.event === at) reached.resolve();
    return false;
  });
  await Promise.all([reached.promise, also?.()]);
  await Promise.all([house.kill(), expect(cut).rejects.toThrow("terminated")]);
  await house.restart();
  const turnId = String(response.headers.get("x-turn-id"));
  return { turnId, sessionId: String(response.headers.get("x-session-id")), seen };
}

function resume({ turnId, seen }: CutTurn): Promise<Response> {
  return house.call(`/chat/turns/${turnId}/stream`, { as, headers: { "last-event-id": String(seen.at(-1)?.id) } });
}

async function rowsOf(sessionId: string, count: number): Promise<Record<string, unknown>[]> {
  const query = "select seq, role, content, status, mcp_tools_used from messages where session_id = $1 order by seq";
  return untilRows(house, count, query, sessionId);
}

/** The next message of a session, sent at once and answered. */
async function goOn(sessionId: string): Promise<ChatReply> {
  const response = await house.call("/chat", { as, body: { prompt: "And now?", session_id: sessionId } });
  expect(response.status).toBe(200);
  return ChatReply.parse(await response.json());
}

test("[F16] an object that is evicted between turns goes on where it was", async () => {
  const response = await house.call("/chat/stream", { as, body: { prompt: "My name is Grace." } });
  const sessionId = String(response.headers.get("x-session-id"));
  const events = await readEvents(response);
  await rowsOf(sessionId, 2);
  // What the object still has under way would be held up until its time is over.
  await house.neon.until((stats) => stats.in_flight === 0);
  await house.evict(sessionId);
  const path = `/chat/turns/${response.headers.get("x-turn-id")}/stream`;
  expect(await readEvents(await house.call(path, { as }))).toEqual(events);
  const body = { prompt: "What is my name?", session_id: sessionId };
  expect(await (await house.call("/chat", { as, body })).text()).toContain("Grace");
});

test("[F16] a turn that is cut after a word was shown ends as interrupted, and its session is free at once", async () => {
  const cut = await killDuring({ prompt: "Tell me much", model: "demo:tokens.400.gap.20" }, { at: "delta" });
  const rest = await readEvents(await resume(cut));
  expect(rest.map((event) => event.event)).toEqual(["rewind", "usage", "error"]);
  expect(rest.at(-1)?.data).toMatchObject({ code: "interrupted", retryable: true });

  const reply = await goOn(cut.sessionId);
  expect(reply.session_id).toBe(cut.sessionId);
  const rows = await rowsOf(cut.sessionId, 4);
  expect(rows.map(({ seq, role, status }) => ({ seq, role, status }))).toEqual([
    { seq: 1, role: "user", status: "complete" },
    { seq: 2, role: "assistant", status: "interrupted" },
    { seq: 3, role: "user", status: "complete" },
    { seq: 4, role: "assistant", status: "complete" },
  ]);
  // What a viewer holds after the rewind is what the history holds.
  const rewind = rest.find((event) => event.event === "rewind");
  const kept = cut.seen.filter((event) => event.id <= (rewind?.data.after ?? 0));
  expect(rows[1]?.["content"]).toBe(answerOf(kept));
  expect(answerOf(kept)).not.toBe("");
});

test("[F16] a viewer that comes new to an interrupted turn is told the same as one that comes back", async () => {
  const cut = await killDuring({ prompt: "Tell me more", model: "demo:tokens.400.gap.20" }, { at: "delta" });
  const back = await readEvents(await resume(cut));
  const whole = await readEvents(await house.call(`/chat/turns/${cut.turnId}/stream`, { as }));
  const rewind = back.find((event) => event.event === "rewind");
  expect([...cut.seen.filter((event) => event.id <= (rewind?.data.after ?? 0)), ...back]).toEqual(whole);
  expect(whole.map((event) => event.id)).toEqual(whole.map((_, at) => at + 1));
});

test("[F16] a turn that is cut before its first word is taken up again and completes", async () => {
  const { calls } = house.llm.stats();
  house.llm.control({ latencyMs: FOR_EVER_MS });
  const also = async (): Promise<void> => {
    await house.llm.until((stats) => stats.calls === calls + 1);
    house.llm.control({ latencyMs: 0 });
  };
  const cut = await killDuring({ prompt: "Take your time" }, { at: "meta", also });
  const rest = await readEvents(await resume(cut));
  const whole = await readEvents(await house.call(`/chat/turns/${cut.turnId}/stream`, { as }));
  expect([...cut.seen, ...rest]).toEqual(whole);
  expect(whole.at(-1)?.event).toBe("done");
  expect(house.llm.stats().calls).toBe(calls + 2);

  await goOn(cut.sessionId);
  const rows = await rowsOf(cut.sessionId, 4);
  expect(rows.map((row) => row["role"])).toEqual(["user", "assistant", "user", "assistant"]);
  expect(rows[1]).toMatchObject({ status: "complete", content: answerOf(whole) });
});

test("[F16] a turn that is cut after its tools have answered does not call them again", async () => {
  const { calls } = house.llm.stats();
  const slowSecondCall = house.llm
    .until((stats) => stats.calls === calls + 1)
    .then(() => house.llm.control({ latencyMs: FOR_EVER_MS }));
  const also = async (): Promise<void> => {
    await slowSecondCall;
    await house.llm.until((stats) => stats.calls === calls + 2);
    house.llm.control({ latencyMs: 0 });
  };
  const cut = await killDuring({ prompt: "what is 12*13?" }, { at: "tool_result", also });
  const rest = await readEvents(await resume(cut));
  const events = [...cut.seen, ...rest];
  expect(events.map((event) => event.id)).toEqual(events.map((_, at) => at + 1));
  for (const name of ["tool_call", "tool_result", "done"]) {
    expect(events.filter((event) => event.event === name)).toHaveLength(1);
  }
  expect(answerOf(events)).toContain("156");
  expect(house.llm.stats().calls).toBe(calls + 3);
  const rows = await rowsOf(cut.sessionId, 2);
  expect(rows).toHaveLength(2);
  expect(rows[1]).toMatchObject({ status: "complete", mcp_tools_used: ["calculator"] });
});

test("[F16] a message sent again with its key after a cut meets its own turn, as JSON and as a stream", async () => {
  const { calls } = house.llm.stats();
  house.llm.control({ latencyMs: FOR_EVER_MS });
  const silent = { body: { prompt: "Keyed and silent" }, headers: { "idempotency-key": "silent" } };
  const sent = house.call("/chat", { as, ...silent });
  await house.llm.until((stats) => stats.calls === calls + 1);
  await Promise.all([house.kill(), expect(sent).rejects.toThrow("fetch failed")]);
  house.llm.control({ latencyMs: 0 });
  await house.restart();
  const again = await house.call("/chat", { as, ...silent });
  expect(again.status).toBe(200);
  expect(again.headers.get("idempotent-replayed")).toBe("true");
  const rows = await rowsOf(String(again.headers.get("x-session-id")), 2);
  expect(rows.map((row) => row["role"])).toEqual(["user", "assistant"]);

  const headers = { "idempotency-key": "talkative" };
  const body = { prompt: "Keyed and talkative", model: "demo:tokens.400.gap.20" };
  const cut = await killDuring(body, { at: "delta", headers });
  const replay = await house.call("/chat/stream", { as, body, headers });
  expect(replay.headers.get("idempotent-replayed")).toBe("true");
  expect(replay.headers.get("x-turn-id")).toBe(cut.turnId);
  expect((await readEvents(replay)).slice(-3).map((event) => event.event)).toEqual(["rewind", "usage", "error"]);
  expect(await rowsOf(cut.sessionId, 2)).toHaveLength(2);
  expect(house.llm.stats().calls).toBe(calls + 3);
});

test("[F17] turns that nobody comes back to are ended by the alarm and reach Postgres", async () => {
  const shown = await killDuring({ prompt: "Forget me", model: "demo:tokens.400.gap.20" }, { at: "delta" });
  const rows = await rowsOf(shown.sessionId, 2);
  expect(rows.map((row) => row["status"])).toEqual(["complete", "interrupted"]);
  const [turn] = await house.querySession(shown.sessionId, "SELECT state FROM turns");
  expect(turn).toEqual({ state: "interrupted" });
}, 60_000);

test("[F17] 60 acknowledged messages are in Postgres once and in order, though the runtime was killed twice and Postgres away", async () => {
  const load = new CrashLoad(house, as, {
    ...{ sessions: 6, messages: 10, killAt: [20, 40], random: seededRandom(seed) },
    onAcknowledged(count) {
      if (count === 10) house.neon.control({ mode: "down" });
      if (count === 50) house.neon.control({ mode: "up" });
    },
  });
  await load.run();
  const { turns, resumed, ...report } = await load.report();
  const clean = { lost: [], doubled: [], outOfOrder: [], refusals: [] };
  expect(report, `CHAOS_SEED=${seed}`).toEqual({ acknowledged: 60, found: 60, ...clean });
  expect(Object.values(turns).reduce((sum, count) => sum + count)).toBe(60);
  expect(turns["running"]).toBeUndefined();
  expect((turns["interrupted"] ?? 0) + resumed, `CHAOS_SEED=${seed}`).toBeGreaterThan(0);
}, 90_000);

test("[F19] what is owed to Postgres is paid after ten failed tries, through two restarts", async () => {
  await house.neon.until((stats) => stats.in_flight === 0);
  house.neon.control({ mode: "down" });
  const { calls } = house.neon.stats();
  const { session_id } = ChatReply.parse(await (await house.call("/chat", { as, body: { prompt: "Owed" } })).json());
  // Nobody asks for the session: after the first try each one is the alarm's, which outlives the process.
  for (const tries of [3, 6]) {
    await house.neon.until((stats) => stats.calls >= calls + tries);
    await house.kill();
    await house.restart();
  }
  await house.neon.until((stats) => stats.calls >= calls + 10);
  house.neon.control({ mode: "up" });
  const rows = await rowsOf(session_id, 2);
  expect(rows.map(({ seq, role, status }) => [seq, role, status])).toEqual([
    [1, "user", "complete"],
    [2, "assistant", "complete"],
  ]);
  expect(rows[0]?.["content"]).toBe("Owed");
}, 60_000);
