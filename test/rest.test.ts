/** Sessions that leave their object for Postgres and come back. They rest after some three seconds here. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ChatReply } from "../contracts/chat.ts";
import { SessionView } from "../contracts/sessions.ts";
import { type House, openHouse, tablesOf, type Tenant, untilRows } from "./house.ts";
import { dataUrl, imagePart, png } from "../dev/house/images.ts";
import { json, sessionCalls } from "./session-calls.ts";
import { openAiOf, turnOf } from "./stock-clients.ts";

let house: House;
let as: Tenant;
beforeAll(async () => {
  house = await openHouse({ settings: { SESSION_REST_DAYS: String(3 / 86_400) } });
  as = await house.newTenant();
});
afterAll(() => house.close());

const stored = { mode: "no-store" };

const { say, save, pageOf, make, rename, view } = sessionCalls(() => ({ house, as }));

/** Looks at the storage: an object that is asked would be in use. Another question between two looks lets time go by. */
async function untilResting(sessionId: string): Promise<void> {
  while ((await tablesOf(house, sessionId)).length > 0) await house.call("/chat/health", { as });
}

const messagesIn = (sessionId: string) =>
  house.querySession(sessionId, "SELECT seq, parent_seq, role, content FROM messages ORDER BY seq");

test("[SESS-7] a session that nobody uses leaves its object, reads as before, and goes on where it was", async () => {
  const { id } = await make();
  await say(id, "My name is Ada.");
  const renamed = await rename(id, "Names");
  const before = await pageOf(id);
  await untilResting(id);
  expect(await pageOf(id)).toEqual(before);
  expect(await view(id)).toEqual(renamed);
  expect(await tablesOf(house, id)).toEqual([]);

  const reply = await say(id, "What is my name?");
  expect(reply.response).toContain("Ada");
  const after = await pageOf(id);
  expect(after.messages.map(({ seq, active }) => [seq, active])).toEqual([...[4, 3, 2, 1].map((seq) => [seq, true])]);
  expect(after.messages.slice(2)).toEqual(before.messages);
  expect(after.messages[1]?.parent_id).toBe(after.messages[2]?.id);
  const rows = await untilRows(house, 4, "select id, seq from messages where session_id = $1 order by seq", id);
  expect(rows.map(({ id: row }) => row)).toEqual(after.messages.toReversed().map((message) => message.id));
  expect(await view(id)).toMatchObject({ title: "Names", message_count: 4 });
  // Resting again takes the new part along.
  await rename(id, "Names again");
  await untilResting(id);
  expect(await pageOf(id)).toEqual(after);
});

test("[SESS-7] a session of which Postgres lacks a message never rests", async () => {
  const { id } = await make();
  house.neon.control({ mode: "down" });
  await save(id, "Poison");
  await house.querySession(id, "UPDATE messages SET status = 'no such status' WHERE seq = 1");
  house.neon.control({ mode: "up" });
  await untilRows(house, 1, "select 1 from dead_letters where session_id = $1", id);
  const { calls } = house.neon.stats();
  // It is looked at again and again.
  await house.neon.until((stats) => stats.calls >= calls + 3 && stats.in_flight === 0);
  expect(await messagesIn(id)).toHaveLength(1);
});

test("[ERASE-5] what an erasure left over in an object goes when it would rest", async () => {
  const gone = await house.newTenant();
  const body = { prompt: "Left over", cache: stored };
  const { session_id } = await json(house.call("/chat", { as: gone, body }), ChatReply);
  const path = `/history/sessions/${session_id}`;
  await json(house.call(path, { as: gone, method: "PATCH", body: { title: "Left over" } }), SessionView);
  // It owes nothing, so no drain finds out.
  await house.sql`delete from users where id = ${gone.id}`;
  expect(await messagesIn(session_id)).toHaveLength(2);
  await untilResting(session_id);
  expect(await house.sql`select 1 from messages where session_id = ${session_id}`).toEqual([]);
});

describe("a response whose session rests", () => {
  const sessionOf = async (responseId: string): Promise<string> => {
    const [row] = await untilRows(house, 1, "select session_id from messages where turn_id = $1", turnOf(responseId));
    return String(row?.["session_id"]);
  };

  /** A change sets the time of rest, which a turn's own alarm would set half a minute later. */
  const rest = async (sessionId: string): Promise<void> => {
    await rename(sessionId, "Rests");
    await untilResting(sessionId);
  };

  test("[RESP-10] is told again without being woken, as a stream too", async () => {
    const client = openAiOf(house, as);
    const made = await client.responses.create({ model: "demo", input: "Tell me of seas", metadata: { for: "later" } });
    const sessionId = await sessionOf(made.id);
    await rest(sessionId);
    const again = await client.responses.retrieve(made.id);
    expect(again).toMatchObject({ ...made });
    expect(again.metadata).toEqual({ for: "later" });
    const replayed = client.responses.stream({ response_id: made.id });
    expect((await replayed.finalResponse()).output_text).toBe(made.output_text);
    // Of the events that it had none are left: a stream cannot go on in their middle.
    const middle = client.responses.retrieve(made.id, { stream: true, starting_after: 3 });
    await expect(middle).rejects.toMatchObject({ status: 410, code: "turn_expired" });
    expect(await client.responses.cancel(made.id)).toMatchObject({ status: "completed" });
    expect(await tablesOf(house, sessionId)).toEqual([]);

    const missing = { status: 404, code: "not_found" };
    const other = openAiOf(house, await house.newTenant());
    await expect(other.responses.retrieve(made.id)).rejects.toMatchObject(missing);
    await expect(other.responses.delete(made.id)).rejects.toMatchObject(missing);
    const next = other.responses.create({ model: "demo", input: "Hi", previous_response_id: made.id });
    await expect(next).rejects.toMatchObject(missing);
    expect(await tablesOf(house, sessionId)).toEqual([]);
    house.neon.control({ mode: "down" });
    await expect(client.responses.retrieve(made.id)).rejects.toMatchObject({ status: 503 });
    house.neon.control({ mode: "up" });
    await client.responses.delete(made.id);
    await expect(client.responses.retrieve(made.id)).rejects.toMatchObject(missing);
  });

  test("[RESP-10] is gone on from, branching where that is not the newest, and told again beside those that follow", async () => {
    const client = openAiOf(house, as);
    const ask = (input: string, previous?: string) =>
      client.responses.create({ model: "demo", input, previous_response_id: previous ?? null });
    const words = { role: "developer" as const, content: "Be kind." };
    const first = await client.responses.create({
      ...{ model: "demo", input: [words, { role: "user", content: "My name is Ada" }] },
    });
    const second = await ask("My name is Bob", first.id);
    const sessionId = await sessionOf(first.id);
    await untilRows(house, 4, "select 1 from messages where session_id = $1", sessionId);
    await rest(sessionId);
    const next = await ask("What is my name?", first.id);
    expect(next.output_text).toContain("Ada");
    expect(next.output_text).not.toContain("Bob");
    const shown = [{ role: "system" }, { role: "system", content: "Be kind." }, { role: "user" }, {}, { role: "user" }];
    expect(house.llm.stats().last_request).toMatchObject({ messages: shown });
    expect(await sessionOf(next.id)).toBe(sessionId);
    expect((await client.responses.retrieve(second.id)).output_text).toBe(second.output_text);
    await expect(client.responses.delete(second.id)).rejects.toMatchObject({ status: 409 });
  });

  test("[RESP-10] takes the outputs of the calls that it ended with", async () => {
    const client = openAiOf(house, as);
    const parameters = { type: "object", properties: { expression: { type: "string" } } };
    const tools = [{ type: "function" as const, name: "calculator", parameters, strict: false }];
    const called = await client.responses.create({ model: "demo", input: "What is 19*21?", tools });
    const [call] = called.output;
    if (call?.type !== "function_call") throw new Error("no call");
    await rest(await sessionOf(called.id));
    expect((await client.responses.retrieve(called.id)).output).toMatchObject([{ call_id: call.call_id }]);
    const output = { type: "function_call_output" as const, call_id: call.call_id, output: "399" };
    const next = { model: "demo", tools, previous_response_id: called.id };
    await expect(client.responses.create({ ...next, input: "And?" })).rejects.toMatchObject({ status: 400 });
    expect((await client.responses.create({ ...next, input: [output] })).output_text).toContain("399");
  });
});

test("[MEDIA-7] what is attached comes back with its session: to its owner, and to the model", async () => {
  const parts = [{ type: "text", text: "Look" }, imagePart(png(3, 5))];
  const first = await json(house.call("/chat", { as, body: { parts, cache: stored } }), ChatReply);
  const id = first.session_id;
  await rename(id, "Pictures");
  const before = await pageOf(id);
  await untilResting(id);
  expect(await pageOf(id)).toEqual(before);
  const [attached] = before.messages[1]?.attachments ?? [];
  const hash = attached && "sha256" in attached ? attached.sha256 : "";
  const path = `/history/sessions/${id}/attachments/${hash}`;
  const read = await house.call(path, { as });
  expect(new Uint8Array(await read.arrayBuffer())).toEqual(png(3, 5));
  expect((await house.call(path, { as: await house.newTenant() })).status).toBe(404);
  expect(await tablesOf(house, id)).toEqual([]);

  await say(id, "And now?");
  expect(JSON.stringify(house.llm.stats().last_request)).toContain(dataUrl("image/png", png(3, 5)));
  expect(await house.querySession(id, "SELECT sha256, sent FROM attachments")).toEqual([{ sha256: hash, sent: 1 }]);
  await rename(id, "Pictures again");
  await untilResting(id);
});
