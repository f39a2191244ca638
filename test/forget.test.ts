/** Messages whose time is over in sessions that go on. State: a house that keeps messages for 30 days and sessions for 60. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { newId } from "../contracts/ids.ts";
import { imagePart, png } from "../dev/house/images.ts";
import { countStored } from "../dev/retention.ts";
import { type House, importSession, openHouse, type Tenant, untilRows } from "./house.ts";
import { sessionCalls } from "./session-calls.ts";

const DAY_MS = 24 * 3_600_000;
const KEPT = { sessionDays: 60, messageDays: 30 };
let house: House;
let as: Tenant;
beforeAll(async () => {
  house = await openHouse({
    settings: { RETENTION_DAYS: "60", MESSAGE_RETENTION_DAYS: "30", SESSION_REST_DAYS: "3000" },
  });
});
beforeEach(async () => {
  house.neon.control({ mode: "up" });
  await house.sql`delete from chat_sessions`;
  as = await house.newTenant();
});
afterAll(() => house.close());

const { say, save, pageOf, make, rename, view } = sessionCalls(() => ({ house, as }));
const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));
const messagesIn = (id: string) => house.querySession(id, "SELECT seq, parent_seq FROM messages ORDER BY seq");
const rowsOf = (id: string) =>
  house.sql`select seq, parent_id, branch_from from messages where session_id = ${id} order by seq`;

/** Makes messages from place `from` to place `to`, and their turns, so many days older, as if they had been said then. */
async function age(sessionId: string, days: number, { from = 1, to }: { from?: number; to: number }): Promise<void> {
  await untilRows(house, to, "select 1 from messages where session_id = $1", sessionId);
  const ms = days * DAY_MS;
  const rows = await house.sql`select id, seq, created_at, turn_id from messages
    where session_id = ${sessionId} and seq between ${from} and ${to}`;
  for (const row of rows) {
    const atMs = new Date(String(row["created_at"])).getTime() - ms;
    const id = newId(atMs, random);
    await house.sql`update messages set id = ${id}, created_at = ${new Date(atMs).toISOString()} where id = ${row["id"]}`;
    await house.sql`update messages set parent_id = ${id} where parent_id = ${row["id"]}`;
    await house.querySession(
      sessionId,
      `UPDATE messages SET id = '${id}', created_at = created_at - ${ms} WHERE seq = ${Number(row["seq"])}`,
    );
    await house.querySession(
      sessionId,
      `UPDATE turns SET ended_at = ended_at - ${ms} WHERE id = '${String(row["turn_id"])}'`,
    );
  }
}

/** What a run of the schedule tells of messages. */
async function run(): Promise<Record<string, unknown>> {
  const before = house.lines.length;
  const line = () => house.lines.slice(before).find(({ policy }) => policy === "messages");
  await house.runSchedule();
  await expect.poll(line, { timeout: 30_000 }).toBeDefined();
  return line() ?? {};
}

test("[RETAIN-3] old messages go everywhere, as many as a dry run counts; the session goes on with what is left", async () => {
  const { id } = await make();
  const first = await say(id, "My cat is called Ophelia.");
  await say(id, "Her brother is called Hamlet.");
  await say(id, "Their dog is called Yorick.");
  await age(id, 31, { to: 4 });
  const young = await pageOf(id);
  const { messages } = await countStored(house.sql, KEPT);
  expect(messages).toEqual({ expired: 4, of: 6 });
  expect(await run()).toMatchObject({ deleted: 4, kept: 0, failed: 0 });

  const page = await pageOf(id);
  expect(page).toMatchObject({
    next_before: null,
    messages: [
      { seq: 6, active: true },
      { seq: 5, active: true },
    ],
  });
  expect(page.messages[1]).toEqual({ ...young.messages[1], parent_id: null });
  expect(page.messages[0]).toEqual(young.messages[0]);
  expect(await rowsOf(id)).toMatchObject([
    { seq: 5, parent_id: null },
    { seq: 6, parent_id: page.messages[1]?.id },
  ]);
  expect(await view(id)).toMatchObject({ message_count: 2 });
  const listed = await (await house.call(`/history/users/${as.id}/sessions`, { as })).json();
  expect(listed).toMatchObject({ sessions: [{ id, message_count: 2 }] });
  const found = await (await house.call("/history/search?q=Ophelia", { as })).json();
  expect(found).toMatchObject({ results: [] });
  const file = await (await house.call(`/history/sessions/${id}/export`, { as })).text();
  expect(file.trim().split("\n")).toHaveLength(3);
  expect((await house.call(`/chat/turns/${first.turn_id}`, { as })).status).toBe(404);
  // Nor is a word of them left in the object; the model's last answer quotes the question before it.
  for (const table of ["messages", "turns", "events"]) {
    expect(JSON.stringify(await house.querySession(id, `SELECT * FROM ${table}`))).not.toMatch(/Ophelia/);
  }

  await say(id, "Who is Yorick?");
  const shown = JSON.stringify(house.llm.stats().last_request);
  expect(shown).toContain("Yorick");
  expect(shown).not.toMatch(/Ophelia/);
  await untilRows(house, 4, "select 1 from messages where session_id = $1", id);
  expect((await pageOf(id)).messages.map(({ seq }) => seq)).toEqual([8, 7, 6, 5]);
  expect(await run()).toMatchObject({ deleted: 0 });
});

test("[RETAIN-4] branches of which the beginning goes are first messages, and can be gone on from", async () => {
  const { id } = await make();
  await say(id, "What is a fable?");
  const again = await house.call(`/chat/sessions/${id}/regenerate`, { as, body: { cache: { mode: "no-store" } } });
  expect(again.status).toBe(200);
  await say(id, "And a saga?");
  await age(id, 31, { to: 2 });
  const [, , , first] = (await pageOf(id)).messages.toReversed();
  expect(await run()).toMatchObject({ deleted: 2 });
  expect(await messagesIn(id)).toEqual([
    { seq: 3, parent_seq: null },
    { seq: 4, parent_seq: 3 },
    { seq: 5, parent_seq: 4 },
  ]);
  const page = await pageOf(id);
  expect(page.messages.map(({ seq, active, parent_id }) => [seq, active, parent_id])).toEqual([
    [5, true, page.messages[1]?.id],
    [4, true, page.messages[2]?.id],
    [3, true, null],
  ]);
  expect(await rowsOf(id)).toMatchObject([{ seq: 3, parent_id: null, branch_from: 1 }, { seq: 4 }, { seq: 5 }]);
  // The answer whose question is gone cannot be made again; the question that is here can be put anew.
  const path = `/chat/sessions/${id}`;
  const lost = await house.call(`${path}/regenerate`, { as, body: { message_id: page.messages[2]?.id } });
  expect(lost.status).toBe(400);
  const edited = await house.call(`${path}/edit`, { as, body: { message_id: first?.id, prompt: "And an epic?" } });
  expect(edited.status).toBe(200);
  expect((await pageOf(id)).messages.map(({ seq, active }) => [seq, active])).toEqual([
    ...[7, 6].map((seq) => [seq, true]),
    ...[5, 4].map((seq) => [seq, false]),
    [3, true],
  ]);
});

test("[RETAIN-5] a session of which every message goes stays until its own time is over, and goes on under new places", async () => {
  const { id } = await make();
  await say(id, "Long ago");
  await house.querySession(
    id,
    `UPDATE session SET created_at = created_at - ${90 * DAY_MS}, changed_at = 0, drained_change = 0`,
  );
  await age(id, 31, { to: 2 });
  expect(await run()).toMatchObject({ deleted: 2 });
  expect(await pageOf(id)).toMatchObject({ messages: [], next_before: null });
  expect(await view(id)).toMatchObject({ message_count: 0 });
  // It was used 31 days ago, which its messages cannot tell any more.
  const unused = {
    kind: "erase",
    sessionId: id,
    userId: as.id,
    requestId: "r",
    unusedSinceMs: Date.now() - 60 * DAY_MS,
  } as const;
  expect(await house.commandSession(id, unused)).toMatchObject({ status: 409 });
  await house.evict(id);
  await save(id, "Here again");
  await say(id, "What was said?");
  await untilRows(house, 3, "select 1 from messages where session_id = $1", id);
  expect(await rowsOf(id)).toMatchObject([{ seq: 3, parent_id: null }, { seq: 4 }, { seq: 5 }]);
  expect(await view(id)).toMatchObject({ message_count: 3 });
});

test("[RETAIN-6] what has not reached Postgres stays, and so does what is young; a store that is away delays it", async () => {
  const { id } = await make();
  await say(id, "The first");
  await age(id, 31, { to: 2 });
  house.neon.control({ mode: "down" });
  await save(id, "The second");
  await house.querySession(id, `UPDATE messages SET created_at = created_at - ${31 * DAY_MS} WHERE seq = 3`);
  const asked = {
    kind: "forget",
    sessionId: id,
    userId: as.id,
    requestId: "r",
    beforeMs: Date.now() - 30 * DAY_MS,
  } as const;
  expect(await house.commandSession(id, { ...asked, keepFrom: 4 })).toMatchObject({ status: 409 });
  expect(await messagesIn(id)).toHaveLength(3);
  house.neon.control({ mode: "up" });
  await untilRows(house, 3, "select 1 from messages where session_id = $1", id);
  // Postgres may believe what it likes: the object knows which one is young.
  await save(id, "The third");
  expect(await house.commandSession(id, { ...asked, keepFrom: 9 })).toMatchObject({
    status: 200,
    body: { messages: 3 },
  });
  expect(await messagesIn(id)).toEqual([{ seq: 4, parent_seq: null }]);
  expect(await rowsOf(id)).toMatchObject([{ seq: 4, parent_id: null }]);
});

test("[RETAIN-7] what is attached goes with the last message that refers to it", async () => {
  const { id } = await make();
  const attach = async (...parts: unknown[]) => {
    const body = { session_id: id, parts: [{ type: "text", text: "Look" }, ...parts], cache: { mode: "no-store" } };
    expect((await house.call("/chat", { as, body })).status).toBe(200);
  };
  await attach(imagePart(png(3, 5)), imagePart(png(7, 9)));
  await attach(imagePart(png(3, 5)));
  await untilRows(house, 2, "select 1 from attachments where session_id = $1", id);
  await age(id, 31, { to: 2 });
  expect(await run()).toMatchObject({ deleted: 2 });
  const [attached] = (await pageOf(id)).messages[1]?.attachments ?? [];
  const sha256 = attached && "sha256" in attached ? attached.sha256 : "";
  expect(await house.sql`select sha256 from attachments where session_id = ${id}`).toEqual([{ sha256 }]);
  expect(await house.querySession(id, "SELECT sha256 FROM attachments")).toEqual([{ sha256 }]);
  const read = await house.call(`/history/sessions/${id}/attachments/${sha256}`, { as });
  expect(new Uint8Array(await read.arrayBuffer())).toEqual(png(3, 5));
});

test("[RETAIN-7] what is attached again is brought to Postgres again, where a message that it lacks has kept it here", async () => {
  const { id } = await make();
  const parts = [{ type: "text", text: "Look" }, imagePart(png(3, 5))];
  const attach = async () => {
    const body = { session_id: id, parts, cache: { mode: "no-store" } };
    expect((await house.call("/chat", { as, body })).status).toBe(200);
  };
  await attach();
  await attach();
  await untilRows(house, 1, "select 1 from attachments where session_id = $1", id);
  await age(id, 31, { to: 2 });
  await untilRows(house, 4, "select 1 from messages where session_id = $1", id);
  await house.sql`delete from messages where session_id = ${id} and seq = 3`;
  expect(await run()).toMatchObject({ deleted: 2 });
  expect(await house.sql`select 1 from attachments where session_id = ${id}`).toEqual([]);
  expect(await house.querySession(id, "SELECT sent FROM attachments")).toEqual([{ sent: 1 }]);
  await attach();
  await untilRows(house, 1, "select 1 from attachments where session_id = $1", id);
});

test("[RETAIN-3] an old newest message that Postgres could not take goes with those before it", async () => {
  const { id } = await make();
  await say(id, "Long ago");
  await age(id, 31, { to: 2 });
  await house.sql`delete from messages where session_id = ${id} and seq = 2`;
  await house.sql`insert into dead_letters (session_id, seq, code) values (${id}, 2, 'conflict')`;
  expect(await run()).toMatchObject({ deleted: 1 });
  expect(await messagesIn(id)).toEqual([]);
  expect(await house.sql`select seq from dead_letters where session_id = ${id}`).toEqual([]);
});

test("[RETAIN-3] what the object has forgotten and Postgres still has is not shown", async () => {
  const { id } = await make();
  await say(id, "The first");
  await say(id, "The second");
  await untilRows(house, 4, "select 1 from messages where session_id = $1", id);
  await house.querySession(id, "UPDATE session SET forgotten_seq = 1");
  await house.querySession(id, "DELETE FROM messages WHERE seq < 4");
  const newest = await pageOf(id, "?limit=1");
  expect(newest).toMatchObject({ messages: [{ seq: 4 }], next_before: 4 });
  const older = await pageOf(id, "?before=4");
  expect(older).toMatchObject({ messages: [{ seq: 3 }, { seq: 2, parent_id: null }], next_before: null });
  const onward = await pageOf(id, "?after=0");
  expect(onward).toMatchObject({ messages: [{ seq: 2 }, { seq: 3 }], next_after: 3 });
});

test("[RETAIN-3] a session that no object holds is looked after as well, and is fetched with what is left", async () => {
  const said = [1, 2, 3, 4].map((seq) => ({ seq, content: `said ${seq}` }));
  const id = await importSession(house, as.id, said);
  await house.sql`update chat_sessions set updated_at = now() where id = ${id}`;
  await house.sql`update messages set created_at = now() where session_id = ${id} and seq > 2`;
  for (const seq of [1, 2]) {
    const old = newId(Date.now() - 365 * DAY_MS + seq, random);
    await house.sql`update messages set id = ${old} where session_id = ${id} and seq = ${seq}`;
  }
  expect((await countStored(house.sql, KEPT)).messages).toEqual({ expired: 2, of: 4 });
  expect(await run()).toMatchObject({ deleted: 2 });
  expect(await view(id)).toMatchObject({ message_count: 2 });
  await rename(id, "Fetched");
  expect(await messagesIn(id)).toEqual([
    { seq: 3, parent_seq: null },
    { seq: 4, parent_seq: 3 },
  ]);
  expect(await pageOf(id)).toMatchObject({ messages: [{ seq: 4 }, { seq: 3, parent_id: null }], next_before: null });
  expect(await view(id)).toMatchObject({ message_count: 2 });
});
