/** What can be done to a turn while it runs and after: stop, retry, queue, interrupt, branch, delete. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { ChatReply, TurnView } from "../contracts/chat.ts";
import { ErrorBody } from "../contracts/errors.ts";
import { isTerminal } from "../contracts/events.ts";
import { HistoryHealth } from "../contracts/history.ts";
import { ErasedSession, MessagePage } from "../contracts/sessions.ts";
import { SCHEMA_VERSION } from "../db/schema.ts";
import { answerOf, type House, openHouse, readEvents, type Tenant, untilRows } from "./house.ts";

let house: House;
let as: Tenant;
beforeAll(async () => {
  house = await openHouse();
  as = await house.newTenant();
});
afterAll(() => house.close());

/** Longer than any test: every turn of it is stopped. */
const SLOW = "demo:tokens.4000.gap.10";
const stored = { mode: "no-store" };

async function say(prompt: string, more: object = {}): Promise<ChatReply> {
  const response = await house.call("/chat", { as, body: { prompt, cache: stored, ...more } });
  expect(response.status).toBe(200);
  return ChatReply.parse(await response.json());
}

/** Starts a slow turn and gives its ids once its first delta has come; the viewer has left. */
async function startSlow(more: object = {}): Promise<{ turnId: string; sessionId: string }> {
  const body = { prompt: "Go on for long", model: SLOW, cache: stored, ...more };
  const response = await house.call("/chat/stream", { as, body });
  expect(response.status).toBe(200);
  await readEvents(response, (event) => event.event === "delta");
  const { headers } = response;
  return { turnId: headers.get("x-turn-id") ?? "", sessionId: headers.get("x-session-id") ?? "" };
}

async function codeOf(response: Response): Promise<string> {
  return ErrorBody.parse(await response.json()).error.code;
}

async function pageOf(sessionId: string, query = ""): Promise<MessagePage> {
  const response = await house.call(`/history/sessions/${sessionId}/messages${query}`, { as });
  expect(response.status).toBe(200);
  return MessagePage.parse(await response.json());
}

test("[TURN-3] [P11] a turn is stopped from any device; its partial is kept and its provider's request ended", async () => {
  const { turnId, sessionId } = await startSlow();
  const watcher = house.call(`/chat/turns/${turnId}/stream`, { as });
  const events = readEvents(await watcher, () => false);
  const response = await house.call(`/chat/turns/${turnId}/cancel`, { as, method: "POST" });
  const sentAtStop = Number(house.llm.stats()["chunks_sent"]);
  const view = TurnView.parse(await response.json());
  expect(view).toMatchObject({ state: "cancelled", error: { code: "cancelled" }, usage: { estimated: true } });
  await house.llm.until((stats) => stats.in_flight === 0);
  expect(Number(house.llm.stats()["chunks_sent"]) - sentAtStop).toBeLessThanOrEqual(2);

  const seen = await events;
  expect(seen.filter(isTerminal)).toHaveLength(1);
  expect(seen.at(-1)).toMatchObject({ event: "error", data: { code: "cancelled" } });
  const [, answer] = await untilRows(
    house,
    2,
    "select content, status from messages where session_id = $1 order by seq",
    sessionId,
  );
  expect(answer).toEqual({ content: answerOf(seen), status: "cancelled" });
  await say("And now?", { session_id: sessionId });
});

test("[TURN-3] a turn is stopped before its first token, and stopping an ended one changes nothing", async () => {
  const body = { prompt: "Hello", model: "demo:stall.headers", cache: stored };
  const response = await house.call("/chat/stream", { as, body });
  const path = `/chat/turns/${response.headers.get("x-turn-id")}/cancel`;
  await house.llm.until((stats) => stats.in_flight === 1);
  const first = TurnView.parse(await (await house.call(path, { as, method: "POST" })).json());
  expect(first.state).toBe("cancelled");
  await house.llm.until((stats) => stats.in_flight === 0);
  expect(TurnView.parse(await (await house.call(path, { as, method: "POST" })).json())).toEqual(first);
  await response.body?.cancel();
});

test("[TURN-4] [F39] a key starts one turn: retries attach to it or get its end, as JSON and as a stream", async () => {
  const calls = house.llm.stats().calls;
  const send = (path: string) =>
    house.call(path, {
      as,
      body: { prompt: "Once only", model: "demo:tokens.30.gap.5", cache: stored },
      headers: { "idempotency-key": "once-1" },
    });
  const [first, second] = await Promise.all([send("/chat"), send("/chat")]);
  const replies = [await first.json(), await second.json(), await (await send("/chat")).json()].map((reply) =>
    ChatReply.parse(reply),
  );
  expect(new Set(replies.map((reply) => reply.turn_id)).size).toBe(1);
  expect(replies[1]).toEqual(replies[0]);
  const late = await send("/chat");
  expect(late.headers.get("idempotent-replayed")).toBe("true");
  expect(house.llm.stats().calls).toBe(calls + 1);
  expect((await send("/chat/stream")).headers.get("x-turn-id")).not.toBe(replies[0]?.turn_id);
});

test("[TURN-4] [F39] a failed turn is not run again under its key", async () => {
  const send = () =>
    house.call("/chat", {
      as,
      body: { prompt: "Fail", model: "demo:status.401", cache: stored },
      headers: { "idempotency-key": "fail-1" },
    });
  const first = await send();
  const calls = house.llm.stats().calls;
  const again = await send();
  expect([first.status, again.status]).toEqual([502, 502]);
  expect(again.headers.get("idempotent-replayed")).toBe("true");
  expect(house.llm.stats().calls).toBe(calls);
});

test("[TURN-4] [F39] [S25] a key with another body is refused, in whatever session; another user's is their own", async () => {
  const headers = { "idempotency-key": "mine-1" };
  const { session_id } = await say("A session of its own");
  const first = await house.call("/chat", { as, headers, body: { prompt: "One" } });
  expect(first.status).toBe(200);
  await first.text();
  const other = await house.call("/chat", { as, headers, body: { prompt: "Two" } });
  expect([other.status, await codeOf(other)]).toEqual([422, "idempotency_mismatch"]);
  const elsewhere = await house.call("/chat", { as, headers, body: { prompt: "One", session_id } });
  expect([elsewhere.status, await codeOf(elsewhere)]).toEqual([422, "idempotency_mismatch"]);
  const stranger = await house.call("/chat", { as: await house.newTenant(), headers, body: { prompt: "Two" } });
  expect(stranger.status).toBe(200);
});

test("[TURN-4] a key works in a session that is there", async () => {
  const { session_id } = await say("Hello");
  const send = () =>
    house.call("/chat", {
      as,
      headers: { "idempotency-key": "in-1" },
      body: { prompt: "Again", session_id, cache: stored },
    });
  const first = ChatReply.parse(await (await send()).json());
  expect(ChatReply.parse(await (await send()).json())).toEqual(first);
  expect((await pageOf(session_id)).messages).toHaveLength(4);
});

test("[B56] keys that are empty, too long or not printable", async () => {
  for (const key of [" ", "a".repeat(300), "a b"]) {
    const response = await house.call("/chat", { as, headers: { "idempotency-key": key }, body: { prompt: "Hi" } });
    expect({ key, status: response.status }).toEqual({ key, status: 400 });
  }
});

test("[TURN-5] [F40] enqueue waits its turn in order; roles alternate", async () => {
  const { sessionId } = await startSlow({ model: "demo:tokens.20.gap.5" });
  const body = (prompt: string) => ({ prompt, session_id: sessionId, on_busy: "enqueue", cache: stored });
  const replies = await Promise.all(["One", "Two"].map((prompt) => house.call("/chat", { as, body: body(prompt) })));
  expect(replies.map((reply) => reply.status)).toEqual([200, 200]);
  const { messages } = await pageOf(sessionId);
  expect(messages.map((message) => message.role).toReversed()).toEqual([
    "user",
    "assistant",
    "user",
    "assistant",
    "user",
    "assistant",
  ]);
});

test("[TURN-5] a session takes eight waiting messages at most", async () => {
  const { sessionId, turnId } = await startSlow();
  const body = { prompt: "Next", session_id: sessionId, on_busy: "enqueue", cache: stored };
  const waiting = Array.from({ length: 9 }, () => house.call("/chat", { as, body }));
  const refused = await Promise.race(waiting);
  expect([refused.status, await codeOf(refused)]).toEqual([409, "turn_in_progress"]);
  await house.call(`/chat/turns/${turnId}/cancel`, { as, method: "POST" });
  const statuses = (await Promise.all(waiting)).map((response) => response.status);
  expect(statuses.filter((status) => status === 200)).toHaveLength(8);
});

test("[TURN-5] interrupt stops the running turn and keeps its partial", async () => {
  const { sessionId, turnId } = await startSlow();
  const reply = await say("Something else", { session_id: sessionId, on_busy: "interrupt" });
  expect(reply.finish_reason).toBe("stop");
  const stopped = TurnView.parse(await (await house.call(`/chat/turns/${turnId}`, { as })).json());
  expect(stopped.state).toBe("cancelled");
  expect((await pageOf(sessionId)).messages.map((message) => message.status)).toEqual([
    "complete",
    "complete",
    "cancelled",
    "complete",
  ]);
});

test("[TURN-6] an answer made again is a sibling, and the newest branch is what the model sees", async () => {
  const { session_id, message_id } = await say("My name is Ada.");
  const path = `/chat/sessions/${session_id}/regenerate`;
  const again = ChatReply.parse(await (await house.call(path, { as, body: { cache: stored } })).json());
  expect(again.message_id).not.toBe(message_id);
  const { messages } = await pageOf(session_id);
  const [second, first, question] = messages;
  expect([second?.parent_id, first?.parent_id]).toEqual([question?.id, question?.id]);
  expect(messages.map((message) => message.active)).toEqual([true, false, true]);
});

test("[TURN-6] a question put anew is a sibling, and the old one is out of the model's sight", async () => {
  const first = await say("My name is Ada.");
  const { session_id } = first;
  const [, question] = (await pageOf(session_id)).messages;
  const body = { message_id: question?.id, prompt: "My name is Grace.", stream: true, cache: stored };
  const stream = await house.call(`/chat/sessions/${session_id}/edit`, { as, body });
  expect((await readEvents(stream)).at(-1)?.event).toBe("done");
  const asked = await say("What is my name?", { session_id });
  expect(asked.response).toContain("Grace");
  expect(asked.response).not.toContain("Ada");
  const { messages } = await pageOf(session_id);
  expect(messages).toHaveLength(6);
  expect(messages.filter((message) => message.active)).toHaveLength(4);
});

test("[TURN-6] only an answer can be made again, only a question put anew, and only one's own", async () => {
  const { session_id, message_id } = await say("Hello");
  const edit = await house.call(`/chat/sessions/${session_id}/edit`, { as, body: { message_id, prompt: "Hi" } });
  expect(edit.status).toBe(400);
  const stranger = await house.newTenant();
  for (const [path, body] of [
    [`/chat/sessions/${session_id}/regenerate`, {}],
    [`/chat/sessions/${session_id}/edit`, { message_id, prompt: "Hi" }],
  ] as const) {
    expect((await house.call(path, { as: stranger, body })).status).toBe(404);
  }
});

test("[TURN-7] messages are read from the session newest first, page by page", async () => {
  const { session_id } = await say("One");
  await say("Two", { session_id });
  const newest = await pageOf(session_id, "?limit=3");
  expect(newest.messages.map((message) => message.seq)).toEqual([4, 3, 2]);
  const oldest = await pageOf(session_id, `?limit=3&before=${newest.next_before}`);
  expect(oldest).toMatchObject({ next_before: null, messages: [{ seq: 1, content: "One" }] });
  for (const query of ["?limit=0", "?limit=-1", "?limit=1e9", "?limit=abc", "?limit="]) {
    const response = await house.call(`/history/sessions/${session_id}/messages${query}`, { as });
    expect({ query, status: response.status }).toEqual({ query, status: 400 });
  }
});

test("[F41] a session deleted in mid-stream ends its stream, and nothing of it comes back", async () => {
  const { sessionId, turnId } = await startSlow();
  const events = readEvents(await house.call(`/chat/turns/${turnId}/stream`, { as }), () => false);
  const response = await house.call(`/history/sessions/${sessionId}`, { as, method: "DELETE" });
  const erased = ErasedSession.parse(await response.json());
  expect([response.status, erased]).toMatchObject([200, { session_id: sessionId, erased: true }]);
  expect((await events).at(-1)).toMatchObject({ event: "error", data: { code: "session_deleted" } });
  expect((await house.call(`/chat/turns/${turnId}`, { as })).status).toBe(404);
  expect((await house.call("/chat", { as, body: { prompt: "Hi", session_id: sessionId } })).status).toBe(404);
  expect(await house.sql`select 1 from chat_sessions where id = ${sessionId}`).toEqual([]);
});

test("[F41] a session deleted while Postgres is away is erased there when it is back", async () => {
  const { session_id } = await say("Remember me");
  await untilRows(house, 2, "select 1 from messages where session_id = $1", session_id);
  house.neon.control({ mode: "down" });
  const response = await house.call(`/history/sessions/${session_id}`, { as, method: "DELETE" });
  const erased = ErasedSession.parse(await response.json());
  expect([response.status, erased]).toMatchObject([202, { session_id, erased: false, removed: { postgres: null } }]);
  expect((await house.call(`/history/sessions/${session_id}/messages`, { as })).status).toBe(404);
  const { calls } = house.neon.stats();
  house.neon.control({ mode: "up" });
  await house.neon.until((stats) => stats.calls > calls && stats.in_flight === 0);
  expect(await house.sql`select 1 from chat_sessions where id = ${session_id}`).toEqual([]);
});

/** Changes what a session owes while Postgres is down: a drain that had read the old rows has failed when this is done. */
async function change(sessionId: string, query: string): Promise<void> {
  await house.querySession(sessionId, query);
  const { calls } = house.neon.stats();
  await house.neon.until((stats) => stats.calls > calls && stats.in_flight === 0);
}

test("[F24] a row that Postgres can never take is set aside and counted; the rest arrives", async () => {
  const healthOf = async () => HistoryHealth.parse(await (await house.call("/history/health", { as })).json());
  expect(await healthOf()).toMatchObject({
    status: "healthy",
    dead_letters: 0,
    schema: { found: SCHEMA_VERSION, expected: SCHEMA_VERSION },
  });
  house.neon.control({ mode: "down" });
  const { session_id } = await say("Poison");
  await change(session_id, "UPDATE messages SET status = 'no such status' WHERE seq = 1");
  house.neon.control({ mode: "up" });
  const rows = await untilRows(house, 1, "select seq, role from messages where session_id = $1", session_id);
  expect(rows).toEqual([{ seq: 2, role: "assistant" }]);
  expect(await healthOf()).toMatchObject({ status: "degraded", dead_letters: 1 });
});

test("[F14] a viewer that does not read holds up neither the turn nor the other viewers", async () => {
  const body = { prompt: "Go on", model: "demo:tokens.3000", cache: stored };
  const idle = await house.call("/chat/stream", { as, body });
  const turnId = idle.headers.get("x-turn-id");
  const events = await readEvents(await house.call(`/chat/turns/${turnId}/stream`, { as }));
  expect(events.at(-1)?.event).toBe("done");
  expect(answerOf(await readEvents(idle))).toBe(answerOf(events));
});

test("[TURN-8] an hour after its end a turn's events are gone, and the answer says where the message is", async () => {
  const { session_id, turn_id, message_id } = await say("Short");
  const path = `/chat/turns/${turn_id}/stream`;
  expect((await readEvents(await house.call(path, { as }))).at(-1)?.event).toBe("done");
  await house.querySession(session_id, "UPDATE turns SET ended_at = ended_at - 3600001");
  const late = await house.call(path, { as });
  const { error } = ErrorBody.parse(await late.json());
  expect([late.status, error.code, error.details]).toEqual([410, "turn_expired", { message_id }]);
  expect((await pageOf(session_id)).messages.map((message) => message.id)).toContain(message_id);
  await say("Next", { session_id });
  expect(await house.querySession(session_id, `SELECT 1 FROM events WHERE turn_id = '${turn_id}'`)).toEqual([]);
});

test("[CHAT-9] a stranger does not learn that a session is busy", async () => {
  const { sessionId, turnId } = await startSlow();
  const body = { prompt: "Hello", session_id: sessionId };
  const response = await house.call("/chat", { as: await house.newTenant(), body });
  expect([response.status, await codeOf(response)]).toEqual([404, "not_found"]);
  await house.call(`/chat/turns/${turnId}/cancel`, { as, method: "POST" });
});

test("[TURN-3] a turn that is stopped while the cache is asked never asks the model", async () => {
  const { session_id } = await say("First");
  house.redis.control({ latencyMs: 150 });
  const { calls } = house.llm.stats();
  const pending = house.call("/chat", {
    as,
    body: { prompt: "Stop at once", session_id, model: "demo:stall.headers" },
  });
  await house.redis.until((stats) => stats.in_flight > 0);
  const interrupting = { prompt: "Rather this", session_id, on_busy: "interrupt", cache: stored };
  expect((await house.call("/chat", { as, body: interrupting })).status).toBe(200);
  house.redis.control({ latencyMs: 0 });
  expect([(await pending).status, await codeOf(await pending)]).toEqual([499, "cancelled"]);
  expect(house.llm.stats().calls).toBe(calls + 1);
});

test("[TURN-6] an answer is made again by the model, not by the cache; a question without an answer is answered", async () => {
  const { session_id } = await say("Tell me a joke", { cache: { mode: "default" } });
  const path = `/chat/sessions/${session_id}/regenerate`;
  for (let round = 0; round < 2; round += 1) {
    const again = await house.call(path, { as, body: {} });
    expect([again.status, again.headers.get("x-cache")]).toEqual([200, "BYPASS"]);
    await again.text();
  }
  const failing = { prompt: "And another", session_id, model: "demo:status.401" };
  expect((await house.call("/chat", { as, body: failing })).status).toBe(502);
  const answered = ChatReply.parse(await (await house.call(path, { as, body: {} })).json());
  expect(answered.response).toContain("And another");
});

test("[CHAT-11] whether a session is kept is decided when it is made", async () => {
  const { session_id } = await say("Kept");
  const response = await house.call("/chat", { as, body: { prompt: "Not kept", session_id, store: false } });
  expect([response.status, await codeOf(response)]).toEqual([400, "invalid_request"]);
});

test("[F24] NUL and half surrogate pairs of a model do not keep its answer out of Postgres", async () => {
  house.neon.control({ mode: "down" });
  const { session_id } = await say("Odd characters");
  await change(session_id, "UPDATE messages SET content = 'a' || char(0) || 'b' WHERE seq = 2");
  house.neon.control({ mode: "up" });
  const rows = await untilRows(house, 2, "select content from messages where session_id = $1 order by seq", session_id);
  expect(rows[1]).toEqual({ content: "a\ufffdb" });
});
