/** Sessions that only Postgres has are taken up by an object as if they had never left it. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { ChatReply } from "../contracts/chat.ts";
import { ErrorBody } from "../contracts/errors.ts";
import { ErasedSession, type MessagePage } from "../contracts/sessions.ts";
import { type House, importSession, makeId, openHouse, tablesOf, type Tenant, untilRows } from "./house.ts";
import { json, sessionCalls } from "./session-calls.ts";

let house: House;
let as: Tenant;
beforeAll(async () => {
  house = await openHouse();
  as = await house.newTenant();
});
afterAll(() => house.close());

const stored = { mode: "no-store" };

const { say, save, pageOf, rename, view } = sessionCalls(() => ({ house, as }));

async function codeOf(response: Response): Promise<string> {
  return ErrorBody.parse(await response.json()).error.code;
}

const messagesIn = (sessionId: string) =>
  house.querySession(sessionId, "SELECT seq, parent_seq, role, content FROM messages ORDER BY seq");

test("[SESS-8] an imported session is taken up by a turn, a message, a change and a branch", async () => {
  const rows = ["My name is Grace.", "Hello Grace", "What a day", "It is"].map((content, at) => ({
    seq: at + 1,
    content,
  }));
  const imported = () => importSession(house, as.id, rows);
  const [turn, message, changed, edited, regenerated] = await Promise.all([1, 2, 3, 4, 5].map(imported));
  if (!turn || !message || !changed || !edited || !regenerated) throw new Error("no session");

  expect((await say(turn, "What is my name?")).response).toContain("Grace");
  expect((await pageOf(turn)).messages.map(({ seq }) => seq)).toEqual([6, 5, 4, 3, 2, 1]);

  expect(await save(message, "One more")).toMatchObject({ seq: 5, active: true });
  expect(await view(message)).toMatchObject({ title: "Imported", message_count: 5 });

  expect(await rename(changed, "Mine")).toMatchObject({ title: "Mine", message_count: 4 });
  expect(await house.sql`select title from chat_sessions where id = ${changed}`).toEqual([{ title: "Mine" }]);

  const question = (await pageOf(edited)).messages.find(({ seq }) => seq === 3);
  const edit = { message_id: question?.id, prompt: "What is my name?", cache: stored };
  const again = await json(house.call(`/chat/sessions/${edited}/edit`, { as, body: edit }), ChatReply);
  expect(again.response).toContain("Grace");
  expect((await pageOf(edited)).messages.map(({ active }) => active)).toEqual([true, true, false, false, true, true]);

  const path = `/chat/sessions/${regenerated}/regenerate`;
  await json(house.call(path, { as, body: { cache: stored } }), ChatReply);
  expect((await pageOf(regenerated)).messages.map(({ seq, active }) => [seq, active])).toEqual([
    ...[
      [5, true],
      [4, false],
      [3, true],
      [2, true],
      [1, true],
    ],
  ]);
});

test("[SESS-8] what is in Postgres already is not sent again, and branches come back as they were", async () => {
  const rows = [
    { seq: 1, content: "One" },
    { seq: 2, content: "Answer" },
    { seq: 3, content: "Three", parent: 0 },
    { seq: 4, content: "Other answer" },
    { seq: 6, content: "Late answer", parent: 3 },
  ];
  const id = await importSession(house, as.id, rows);
  const { queries } = house.neon.stats();
  await rename(id, "Mine");
  // A window of two statements; the change alone, one statement.
  expect(Number(house.neon.stats()["queries"]) - Number(queries)).toBe(3);
  expect(await messagesIn(id)).toEqual([
    ...[
      { seq: 1, parent_seq: null, role: "user", content: "One" },
      { seq: 2, parent_seq: 1, role: "assistant", content: "Answer" },
      { seq: 3, parent_seq: null, role: "user", content: "Three" },
      { seq: 4, parent_seq: 3, role: "assistant", content: "Other answer" },
      { seq: 6, parent_seq: 3, role: "assistant", content: "Late answer" },
    ],
  ]);
  expect((await pageOf(id)).messages.map(({ seq, active }) => [seq, active])).toEqual([
    ...[
      [6, true],
      [4, false],
      [3, true],
      [2, false],
      [1, false],
    ],
  ]);
});

test("[SESS-8] of a long session the newest part is held, and pages are completed from Postgres, one read each", async () => {
  const rows = Array.from({ length: 1_203 }, (_, at) => ({ seq: at + 1, content: `Message ${at + 1}` }));
  rows[1_201] = { seq: 1_202, content: "A new answer", ...{ parent: 3 } };
  const id = await importSession(house, as.id, rows);
  const inPostgres = async (query: string): Promise<MessagePage[]> => {
    const pages: MessagePage[] = [];
    let next: number | null = query === "after" ? 0 : 1e9;
    while (next !== null) {
      const { calls } = house.neon.stats();
      const page: MessagePage = await pageOf(id, `?limit=150&${query}=${next}`);
      expect(house.neon.stats().calls - calls).toBeLessThanOrEqual(1);
      pages.push(page);
      next = query === "after" ? page.next_after : page.next_before;
    }
    return pages;
  };
  const all = (pages: MessagePage[]) => pages.flatMap(({ messages }) => messages);
  const before = all(await inPostgres("before"));
  expect(before).toHaveLength(1_203);
  expect(before.filter(({ active }) => active).map(({ seq }) => seq)).toEqual([1_203, 1_202, 3, 2, 1]);
  await rename(id, "Long");
  const held = await messagesIn(id);
  expect([held.length, held[0]?.["seq"]]).toEqual([1_000, 204]);
  expect(all(await inPostgres("before"))).toEqual(before);
  expect(all(await inPostgres("after"))).toEqual(before.toReversed());
  // A question whose parent is in Postgres only is put anew there.
  const oldest = before.find(({ seq }) => seq === 205);
  const edit = { message_id: oldest?.id, prompt: "Anew", cache: stored };
  await json(house.call(`/chat/sessions/${id}/edit`, { as, body: edit }), ChatReply);
  const first = before.find(({ seq }) => seq === 1);
  const gone = await house.call(`/chat/sessions/${id}/edit`, { as, body: { ...edit, message_id: first?.id } });
  expect([gone.status, await codeOf(gone)]).toEqual([404, "not_found"]);
});

test("[SESS-8] no more than some megabytes of a session are fetched", async () => {
  const rows = Array.from({ length: 12 }, (_, at) => ({ seq: at + 1, content: "x".repeat(500_000) }));
  const id = await importSession(house, as.id, rows);
  await rename(id, "Large");
  expect((await messagesIn(id)).map(({ seq }) => seq)).toEqual([6, 7, 8, 9, 10, 11, 12]);
});

test("[SESS-8] while Postgres is away a resting session is 503, never an empty one, and nothing is kept", async () => {
  const id = await importSession(house, as.id, [{ seq: 1, content: "Here" }]);
  house.neon.control({ mode: "down" });
  const attempts = [
    ["/chat", { body: { prompt: "Hi", session_id: id } }],
    ["/chat/stream", { body: { prompt: "Hi", session_id: id } }],
    ["/history/messages", { body: { session_id: id, role: "user", content: "Hi" } }],
    [`/history/sessions/${id}`, {}],
    [`/history/sessions/${id}`, { method: "PATCH", body: { title: "Mine" } }],
    [`/history/sessions/${id}`, { method: "DELETE" }],
    [`/history/sessions/${id}/messages`, {}],
  ] as const;
  for (const [path, options] of attempts) {
    const response = await house.call(path, { as, ...options });
    expect([path, response.status, await codeOf(response)]).toEqual([path, 503, "db_unavailable"]);
    expect(response.headers.get("retry-after")).not.toBeNull();
  }
  house.neon.control({ mode: "up" });
  expect(await tablesOf(house, id)).toEqual([]);
  expect((await pageOf(id)).messages).toHaveLength(1);
});

test("[SESS-8] many who come at once to a resting session find one, each message at its own place", async () => {
  const id = await importSession(house, as.id, [{ seq: 1, content: "Here" }]);
  const contents = Array.from({ length: 10 }, (_, at) => `Message ${at}`);
  const saved = await Promise.all(contents.map((content) => save(id, content)));
  expect(saved.map(({ seq }) => seq).toSorted((one, other) => one - other)).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  const rows = await untilRows(house, 11, "select seq from messages where session_id = $1", id);
  expect(rows).toHaveLength(11);
});

test("[SESS-8] nobody's session is fetched for a stranger, a guess, or a user who is gone", async () => {
  const id = await importSession(house, as.id, [{ seq: 1, content: "Here" }]);
  const body = (session_id: string) => ({ prompt: "Hi", session_id });
  const stranger = await house.newTenant();
  expect((await house.call("/chat", { as: stranger, body: body(id) })).status).toBe(404);
  const unknown = makeId();
  expect((await house.call("/chat", { as, body: body(unknown) })).status).toBe(404);
  expect([await tablesOf(house, id), await tablesOf(house, unknown)]).toEqual([[], []]);
  // One whose credential no longer holds brings nothing back.
  const command = { kind: "change", sessionId: id, userId: as.id, requestId: makeId(), title: "Back" } as const;
  const credential = { kind: "key", userId: as.id, keyId: makeId(), hash: "0".repeat(64) } as const;
  expect(await house.commandSession(id, { ...command, credential })).toMatchObject({ status: 401 });
  expect(await tablesOf(house, id)).toEqual([]);
});

test("[ERASE-3] a session that rests is deleted from Postgres and counted", async () => {
  const id = await importSession(
    house,
    as.id,
    [1, 2, 3].map((seq) => ({ seq, content: "Here" })),
  );
  const path = `/history/sessions/${id}`;
  expect((await house.call(path, { as: await house.newTenant(), method: "DELETE" })).status).toBe(404);
  expect(await json(house.call(path, { as, method: "DELETE" }), ErasedSession)).toEqual({
    session_id: id,
    erased: true,
    removed: {
      object: { messages: 0, turns: 0, events: 0, checkpoints: 0 },
      postgres: { sessions: 1, messages: 3, dead_letters: 0 },
      cache_entries: 0,
    },
  });
  expect(await house.sql`select 1 from messages where session_id = ${id}`).toEqual([]);
  expect((await house.call(path, { as, method: "DELETE" })).status).toBe(404);
  expect((await house.call("/chat", { as, body: { prompt: "Hi", session_id: id } })).status).toBe(404);
});

test("[ERASE-3] a session that rests is not half deleted while the cache is away", async () => {
  const id = await importSession(house, as.id, [{ seq: 1, content: "Here" }]);
  const remove = () => house.call(`/history/sessions/${id}`, { as, method: "DELETE" });
  house.redis.control({ mode: "500" });
  const refused = await remove();
  house.redis.control({ mode: "up" });
  expect([refused.status, await codeOf(refused)]).toEqual([502, "upstream_error"]);
  expect((await pageOf(id)).messages).toHaveLength(1);
  expect((await remove()).status).toBe(200);
});
