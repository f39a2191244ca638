/** What is kept for a while only: sessions outside the history, and the events of turns. The while is five seconds here. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { ChatReply } from "../contracts/chat.ts";
import { type House, openHouse } from "./house.ts";
import { openAiOf, turnOf } from "./stock-clients.ts";

let house: House;
beforeAll(async () => {
  house = await openHouse({ settings: { TURN_LOG_SECONDS: "5" } });
});
afterAll(() => house.close());

test("[CHAT-11] a session outside the history can be continued, and is gone for good after its time", async () => {
  const as = await house.newTenant();
  const first = await house.call("/chat", { as, body: { prompt: "My name is Ada.", store: false } });
  const { session_id, turn_id } = ChatReply.parse(await first.json());
  const next = await house.call("/chat", { as, body: { prompt: "What is my name?", session_id } });
  expect(ChatReply.parse(await next.json()).response).toContain("Ada");
  // Each look asks the object itself; looking does not prolong its life.
  while ((await house.call(`/chat/turns/${turn_id}`, { as })).status === 200);
  expect((await house.call(`/history/sessions/${session_id}/messages`, { as })).status).toBe(404);
  expect(await house.querySession(session_id, "SELECT name FROM sqlite_master WHERE name = 'messages'")).toEqual([]);
  expect(await house.sql`select 1 from messages where session_id = ${session_id}`).toEqual([]);
});

test("[RESP-10] a response whose events are gone is told whole, and as a stream from its start alone", async () => {
  const as = await house.newTenant();
  const client = openAiOf(house, as);
  const asked = { instructions: "Be brief.", metadata: { for: "later" } };
  const made = await client.responses.create({ model: "demo", input: "Keep this", ...asked });
  const events = `/chat/turns/${turnOf(made.id)}/stream`;
  // Each look reads what there is.
  for (let status = 200; status !== 410;) {
    const look = await house.call(events, { as });
    ({ status } = look);
    await look.text();
  }
  expect(await client.responses.retrieve(made.id)).toEqual(made);
  const final = await client.responses.stream({ response_id: made.id }).finalResponse();
  expect(final).toMatchObject({ ...asked, output_text: made.output_text });
  const middle = client.responses.retrieve(made.id, { stream: true, starting_after: 2 });
  await expect(middle).rejects.toMatchObject({ status: 410, code: "turn_expired" });
});
