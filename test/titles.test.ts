/** What sessions are called: their first words, or what a model made of them behind the first complete turn. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { ChatReply } from "../contracts/chat.ts";
import { SessionView } from "../contracts/sessions.ts";
import { type House, openHouse, readEvents, type Tenant, untilRows } from "./house.ts";

const TITLE_MODEL = "demo:tokens.5";

let house: House;
let as: Tenant;
beforeAll(async () => {
  house = await openHouse({ settings: { TITLE_MODEL } });
  as = await house.newTenant();
});
afterAll(() => house.close());

async function say(prompt: string, more: object = {}): Promise<ChatReply> {
  const body = { prompt, tools: "none", cache: { mode: "no-store" }, ...more };
  return ChatReply.parse(await (await house.call("/chat", { as, body })).json());
}

async function view(id: string): Promise<SessionView> {
  return SessionView.parse(await (await house.call(`/history/sessions/${id}`, { as })).json());
}

interface Asked {
  model: string;
  messages: { role: string; content: string }[];
}

test("[TITLE-2] after its first complete turn a session is named by the model, once, behind the reply", async () => {
  const { calls } = house.llm.stats();
  const { session_id, response } = await say("Tell me about the deep sea");
  const { last_request } = await house.llm.until((stats) => stats.calls === calls + 2 && stats.in_flight === 0);
  const asked = last_request as Asked;
  expect(asked).toMatchObject({ model: TITLE_MODEL, messages: [{ role: "system" }, { role: "user" }] });
  expect(asked.messages[1]?.content).toContain("Tell me about the deep sea");
  expect(asked.messages[1]?.content).toContain(response);
  const [row] = await untilRows(
    house,
    1,
    "select title from chat_sessions where id = $1 and title <> 'Tell me about the deep sea'",
    session_id,
  );
  expect(await view(session_id)).toMatchObject({ title: row?.["title"] });
  await say("And more", { session_id });
  expect(house.llm.stats().calls).toBe(calls + 3);
});

test("[TITLE-2] a title of the user's own is never replaced, given before or while the model is asked", async () => {
  const { calls } = house.llm.stats();
  const made = await house.call("/history/sessions", { as, body: { title: "Mine" } });
  const { id } = SessionView.parse(await made.json());
  await say("Hello", { session_id: id });
  expect(house.llm.stats().calls).toBe(calls + 1);

  const body = { prompt: "Hi", model: "demo:tokens.20.gap.5", cache: { mode: "no-store" } };
  const stream = await house.call("/chat/stream", { as, body });
  const sessionId = String(stream.headers.get("x-session-id"));
  const ended = readEvents(stream);
  await house.llm.until((stats) => stats.calls === calls + 2);
  house.llm.control({ latencyMs: 700 });
  await ended;
  await house.llm.until((stats) => stats.calls === calls + 3 && stats.in_flight === 1);
  const patch = { as, method: "PATCH", body: { title: "Mine too" } };
  expect((await house.call(`/history/sessions/${sessionId}`, patch)).status).toBe(200);
  await house.llm.until((stats) => stats.in_flight === 0);
  house.llm.control({ latencyMs: 0 });
  await say("Again", { session_id: sessionId });
  expect((await view(sessionId)).title).toBe("Mine too");
});

test("[TITLE-3] a reply never waits for a title, and one that fails leaves the first words", async () => {
  const failing = await openHouse({ settings: { TITLE_MODEL: "demo:stall.headers", LLM_HEADERS_TIMEOUT_MS: "1500" } });
  try {
    const who = await failing.newTenant();
    const body = { prompt: "A question that is answered", cache: { mode: "no-store" } };
    const reply = ChatReply.parse(await (await failing.call("/chat", { as: who, body })).json());
    // The reply is here, and the title's call still hangs.
    await failing.llm.until((stats) => stats.in_flight === 1);
    const next = { prompt: "Another", session_id: reply.session_id, cache: { mode: "no-store" } };
    expect((await failing.call("/chat", { as: who, body: next })).status).toBe(200);
    await failing.llm.until((stats) => stats.in_flight === 0);
    const seen = await failing.call(`/history/sessions/${reply.session_id}`, { as: who });
    expect(SessionView.parse(await seen.json()).title).toBe("A question that is answered");
  } finally {
    await failing.close();
  }
});

test("[TITLE-1] a session that is made without a title is called by the first words said in it", async () => {
  const made = await house.call("/history/sessions", { as, body: {} });
  const { id } = SessionView.parse(await made.json());
  const failing = { prompt: "Words before trouble", session_id: id, model: "demo:status.401" };
  expect((await house.call("/chat", { as, body: failing })).status).toBe(502);
  await untilRows(house, 1, "select 1 from chat_sessions where id = $1 and title = 'Words before trouble'", id);
});
