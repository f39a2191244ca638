/** A tool that asks first: the turn waits durably, a person decides from any device, and the turn goes on. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TurnView } from "../contracts/chat.ts";
import type { NumberedEvent } from "../contracts/events.ts";
import { answerOf, type House, openHouse, readEvents, type Tenant, untilRows } from "./house.ts";

let house: House;
let as: Tenant;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "basechat-objects-"));
  house = await openHouse({
    persistTo: folder,
    settings: {
      TOOL_POLICY: JSON.stringify([
        { tool: "calc*", action: "ask" },
        { tool: "echo", action: "deny" },
        { tool: "*", action: "allow" },
      ]),
    },
  });
  as = await house.newTenant();
});
afterAll(async () => {
  await house.close();
  await rm(folder, { recursive: true });
});

interface Waiting {
  turnId: string;
  sessionId: string;
  callId: string;
  events: NumberedEvent[];
}

/** Asks something that needs the calculator, and leaves once the turn asks back. */
async function untilAsked(prompt: string): Promise<Waiting> {
  const response = await house.call("/chat/stream", { as, body: { prompt, cache: { mode: "no-store" } } });
  const events = await readEvents(response, (event) => event.event === "approval_required");
  const asked = events.at(-1);
  if (asked?.event !== "approval_required") throw new Error("nothing was asked");
  return {
    turnId: response.headers.get("x-turn-id") ?? "",
    sessionId: response.headers.get("x-session-id") ?? "",
    callId: asked.data.calls[0]?.id ?? "",
    events,
  };
}

function decide(turnId: string, decisions: unknown[], by = as): Promise<Response> {
  return house.call(`/chat/turns/${turnId}/approvals`, { as: by, body: { decisions } });
}

/** The rest of the turn as another device sees it. */
async function rest({ turnId, events }: Waiting): Promise<NumberedEvent[]> {
  return readEvents(await house.call(`/chat/turns/${turnId}/stream?after=${events.length}`, { as }));
}

async function settle(waiting: Waiting, decision: object): Promise<NumberedEvent[]> {
  const response = await decide(waiting.turnId, [{ call_id: waiting.callId, ...decision }]);
  expect(response.status).toBe(202);
  return rest(waiting);
}

const kinds = (events: NumberedEvent[]): string[] => events.map((event) => event.event);

test("[TOOL-2] the turn says what would be called and waits; approved, it goes on for every viewer", async () => {
  const waiting = await untilAsked("what is 17*23?");
  expect(waiting.events.at(-1)?.data).toMatchObject({
    calls: [{ name: "calculator", arguments: { expression: "17*23" } }],
  });
  const view = TurnView.parse(await (await house.call(`/chat/turns/${waiting.turnId}`, { as })).json());
  expect(view.state).toBe("waiting");
  const events = await settle(waiting, { decision: "approve" });
  expect(kinds(events).slice(0, 2)).toEqual(["tool_call", "tool_result"]);
  expect(answerOf(events)).toContain("391");
  expect(events.at(-1)?.event).toBe("done");
});

test("[TOOL-2] approved with other arguments, the call runs with those", async () => {
  const events = await settle(await untilAsked("what is 2+2?"), {
    decision: "approve",
    arguments: { expression: "5*5" },
  });
  expect(events[0]?.data).toMatchObject({ arguments: { expression: "5*5" } });
  expect(answerOf(events)).toContain("25");
});

test("[TOOL-2] rejected, the call does not run and the model is told why", async () => {
  const events = await settle(await untilAsked("what is 3+3?"), { decision: "reject", reason: "not today" });
  expect(events.find((event) => event.event === "tool_result")?.data).toMatchObject({ ok: false });
  expect(answerOf(events)).toContain("not today");
});

test("[TOOL-3] waiting outlives the runtime", async () => {
  const waiting = await untilAsked("what is 4*4?");
  await house.kill();
  await house.restart();
  const view = TurnView.parse(await (await house.call(`/chat/turns/${waiting.turnId}`, { as })).json());
  expect(view.state).toBe("waiting");
  await house.kill();
  await house.restart();
  const events = await settle(waiting, { decision: "approve" });
  expect(answerOf(events)).toContain("16");
});

test("[TOOL-2] only what was asked can be answered, once, and by the owner", async () => {
  const waiting = await untilAsked("what is 5+5?");
  const approve = { call_id: waiting.callId, decision: "approve" };
  expect((await decide(waiting.turnId, [{ ...approve, call_id: "other" }])).status).toBe(400);
  expect((await decide(waiting.turnId, [approve, approve])).status).toBe(400);
  expect((await decide(waiting.turnId, [{ ...approve, name: "echo" }])).status).toBe(400);
  expect((await decide(waiting.turnId, [approve], await house.newTenant())).status).toBe(404);
  await settle(waiting, { decision: "approve" });
  expect((await decide(waiting.turnId, [approve])).status).toBe(409);
});

test("[TOOL-2] a waiting turn can be stopped, and the session goes on", async () => {
  const waiting = await untilAsked("what is 6+6?");
  const stopped = await house.call(`/chat/turns/${waiting.turnId}/cancel`, { as, method: "POST" });
  expect(TurnView.parse(await stopped.json()).state).toBe("cancelled");
  const body = { prompt: "Hello again", session_id: waiting.sessionId, tools: "none" };
  expect((await house.call("/chat", { as, body })).status).toBe(200);
});

test("[TOOL-1] a denied tool is not offered to the model", async () => {
  await (await house.call("/chat", { as, body: { prompt: "Tell me of the tools" } })).text();
  const request = JSON.stringify(house.llm.stats().last_request);
  expect(request).toContain("calculator");
  expect(request).not.toContain('"echo"');
});

test("[TOOL-2] a chat as JSON is answered with what the turn asks; reasons with NUL are refused", async () => {
  const response = await house.call("/chat", { as, body: { prompt: "what is 7+7?", cache: { mode: "no-store" } } });
  expect(response.status).toBe(202);
  const view = TurnView.parse(await response.json());
  expect(view).toMatchObject({ state: "waiting", approval: { calls: [{ name: "calculator" }] } });
  const call_id = view.approval?.calls[0]?.id;
  expect((await decide(view.turn_id, [{ call_id, decision: "reject", reason: "a\u0000b" }])).status).toBe(400);
  expect((await decide(view.turn_id, [{ call_id, decision: "approve" }])).status).toBe(202);
  const events = await readEvents(await house.call(`/chat/turns/${view.turn_id}/stream`, { as }));
  expect(answerOf(events)).toContain("14");
});

test("[TURN-9] a turn that was to be stopped when the runtime died ends as cancelled, with what was saved", async () => {
  const body = { prompt: "Go on", model: "demo:tokens.4000.gap.10", cache: { mode: "no-store" } };
  const response = await house.call("/chat/stream", { as, body });
  const [turnId, sessionId] = [response.headers.get("x-turn-id"), response.headers.get("x-session-id")];
  await readEvents(response, (event) => event.event === "delta");
  await house.querySession(String(sessionId), "UPDATE turns SET cancel_requested = 1");
  await house.kill();
  await house.restart();
  const view = TurnView.parse(await (await house.call(`/chat/turns/${turnId}`, { as })).json());
  expect(view).toMatchObject({ state: "cancelled", error: { code: "cancelled" } });
  expect(view.response).not.toBe("");
});

test("[TURN-9] a deletion that the runtime did not survive is finished when it is back, and can be repeated", async () => {
  const first = await house.call("/chat", { as, body: { prompt: "Forget me" } });
  const sessionId = String(first.headers.get("x-session-id"));
  await first.text();
  await untilRows(house, 2, "select 1 from messages where session_id = $1", sessionId);
  await house.querySession(sessionId, "UPDATE session SET erased = 1");
  await house.kill();
  await house.restart();
  expect((await house.call(`/history/sessions/${sessionId}/messages`, { as })).status).toBe(404);
  expect((await house.call(`/history/sessions/${sessionId}`, { as, method: "DELETE" })).status).toBe(200);
  expect(await house.sql`select 1 from chat_sessions where id = ${sessionId}`).toEqual([]);
});

test("[SAVER-1] a turn that could ask and does not leaves no checkpoint, not even the tables", async () => {
  const response = await house.call("/chat", { as, body: { prompt: "Good day", cache: { mode: "no-store" } } });
  expect(response.status).toBe(200);
  await response.text();
  const sessionId = String(response.headers.get("x-session-id"));
  const tables = "SELECT name FROM sqlite_master WHERE name LIKE 'checkpoint%'";
  expect(await house.querySession(sessionId, tables)).toEqual([]);
});
