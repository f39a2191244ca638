/** Sessions as records: how their messages are read, wherever they are, and what is done to them besides turns. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { ChatReply } from "../contracts/chat.ts";
import { ErrorBody } from "../contracts/errors.ts";
import { HistoryChatReply, MessagePage, MessageView, SessionView } from "../contracts/sessions.ts";
import { NO_PREFERENCES } from "../contracts/users.ts";
import {
  type House,
  type ImportedRow,
  importSession as importInto,
  makeId,
  openHouse,
  tablesOf as tablesOfObject,
  type Tenant,
  untilRows,
} from "./house.ts";

let house: House;
let as: Tenant;
beforeAll(async () => {
  house = await openHouse();
  as = await house.newTenant();
});
afterAll(() => house.close());

async function say(prompt: string, more: object = {}): Promise<ChatReply> {
  const response = await house.call("/chat", { as, body: { prompt, cache: { mode: "no-store" }, ...more } });
  expect(response.status).toBe(200);
  return ChatReply.parse(await response.json());
}

async function codeOf(response: Response): Promise<string> {
  return ErrorBody.parse(await response.json()).error.code;
}

async function pageOf(sessionId: string, query = ""): Promise<MessagePage> {
  const response = await house.call(`/history/sessions/${sessionId}/messages${query}`, { as });
  expect(response.status).toBe(200);
  return MessagePage.parse(await response.json());
}

const seqs = (page: MessagePage): number[] => page.messages.map(({ seq }) => seq);

/** All pages of a session, one after another, in the direction of `query`. */
async function readAll(sessionId: string, query: "before" | "after", limit: number): Promise<MessagePage[]> {
  const pages: MessagePage[] = [];
  let next: number | null = query === "after" ? 0 : 1e9;
  while (next !== null) {
    const page: MessagePage = await pageOf(sessionId, `?limit=${limit}&${query}=${next}`);
    pages.push(page);
    next = query === "after" ? page.next_after : page.next_before;
  }
  return pages;
}

const importSession = (rows: ImportedRow[]) => importInto(house, as.id, rows);

const tablesOf = (sessionId: string) => tablesOfObject(house, sessionId);

test("[SESS-1] messages are read oldest first too, page by page, and not in both directions at once", async () => {
  const { session_id } = await say("One");
  await say("Two", { session_id });
  const first = await pageOf(session_id, "?limit=3&after=0");
  expect([seqs(first), first.next_after, first.next_before]).toEqual([[1, 2, 3], 3, null]);
  const last = await pageOf(session_id, "?limit=3&after=3");
  expect([seqs(last), last.next_after]).toEqual([[4], null]);
  expect(seqs(await pageOf(session_id, "?after=4"))).toEqual([]);
  for (const query of ["?before=2&after=1", "?after=-1", "?after=x", "?after=99999999999", "?before=0"]) {
    const response = await house.call(`/history/sessions/${session_id}/messages${query}`, { as });
    expect([query, response.status]).toEqual([query, 400]);
  }
});

test("[SESS-1] the active branch is marked on every page, in both directions, in the object and in Postgres", async () => {
  const { session_id } = await say("One");
  await say("Two", { session_id });
  const [, question] = (await pageOf(session_id)).messages;
  const edit = { message_id: question?.id, prompt: "Two again", cache: { mode: "no-store" } };
  await (await house.call(`/chat/sessions/${session_id}/edit`, { as, body: edit })).text();
  await (await house.call(`/chat/sessions/${session_id}/regenerate`, { as, body: {} })).text();
  const expected = [1, 2, 5, 7];
  const activeOf = (pages: MessagePage[]): number[] =>
    pages
      .flatMap((page) => page.messages.filter(({ active }) => active).map(({ seq }) => seq))
      .toSorted((one, other) => one - other);
  for (const limit of [1, 2, 50]) {
    expect(activeOf(await readAll(session_id, "before", limit))).toEqual(expected);
    expect(activeOf(await readAll(session_id, "after", limit))).toEqual(expected);
  }
  const rows = await untilRows(house, 7, "select * from messages where session_id = $1 order by seq", session_id);
  expect(rows.map((row) => row["branch_from"])).toEqual([null, null, null, null, 2, null, 5]);
  const copy = await importSession(
    [1, 2, 3, 4, 5, 6, 7].map((seq) => ({
      ...{ seq, content: `message ${seq}` },
      ...(rows[seq - 1]?.["branch_from"] !== null && { parent: Number(rows[seq - 1]?.["branch_from"]) }),
    })),
  );
  for (const limit of [1, 2, 50]) {
    expect(activeOf(await readAll(copy, "before", limit))).toEqual(expected);
    expect(activeOf(await readAll(copy, "after", limit))).toEqual(expected);
  }
});

test("[SESS-2] a session that no object holds is read from Postgres, one request a page, and its object stays empty", async () => {
  const sessionId = await importSession([1, 2, 3].map((seq) => ({ seq, content: `message ${seq}` })));
  const { calls } = house.neon.stats();
  const page = await pageOf(sessionId, "?limit=2");
  expect(house.neon.stats().calls).toBe(calls + 1);
  expect(page.messages).toMatchObject([
    { seq: 3, content: "message 3", role: "user", active: true, turn_id: null, status: "complete", tokens_used: 0 },
    {
      seq: 2,
      content: "message 2",
      role: "assistant",
      active: true,
      parent_id: page.messages[0]?.parent_id && page.messages[1]?.parent_id,
    },
  ]);
  expect(page.messages[0]?.parent_id).toBe(page.messages[1]?.id);
  expect(page.next_before).toBe(2);
  expect(await tablesOf(sessionId)).toEqual([]);
  const stranger = await house.newTenant();
  const theirs = await house.call(`/history/sessions/${sessionId}/messages`, { as: stranger });
  expect([theirs.status, await codeOf(theirs)]).toEqual([404, "not_found"]);
  house.neon.control({ mode: "down" });
  const away = await house.call(`/history/sessions/${sessionId}/messages`, { as });
  house.neon.control({ mode: "up" });
  expect([away.status, await codeOf(away)]).toEqual([503, "db_unavailable"]);
});

test("[SESS-1] a page at the end of 100,000 messages reads as few rows of the object as one at their start", async () => {
  const { session_id } = await say("Start");
  await house.querySession(
    session_id,
    `WITH RECURSIVE counter(n) AS (SELECT 3 UNION ALL SELECT n + 1 FROM counter WHERE n < 100000)
     INSERT INTO messages (seq, id, parent_seq, turn_id, role, content, status, tokens, details, created_at)
     SELECT n, '01890000-0000-7000-9000-' || printf('%012x', n), n - 1, '', CASE n % 2 WHEN 1 THEN 'user' ELSE 'assistant' END,
       'x', 'complete', 0, '{}', 0 FROM counter`,
  );
  expect(seqs(await pageOf(session_id, "?limit=2&before=3"))).toEqual([2, 1]);
  const starts = `SELECT seq, ifnull(parent_seq, 0) AS "from" FROM messages INDEXED BY branch_starts
    WHERE seq > 1 AND parent_seq IS NOT seq - 1 AND seq > 0 ORDER BY seq DESC`;
  // As many rows as there are branches above the page: none.
  expect(await house.querySession(session_id, starts)).toEqual([]);
  for (const query of [
    starts,
    "SELECT * FROM messages WHERE seq < 100 ORDER BY seq DESC LIMIT 51",
    "SELECT * FROM messages WHERE seq > 100 ORDER BY seq LIMIT 51",
    "SELECT min(seq) AS seq FROM messages",
    "SELECT max(seq) AS seq FROM messages",
  ]) {
    const plan = await house.querySession(session_id, `EXPLAIN QUERY PLAN ${query}`);
    expect(plan.map((row) => String(row["detail"]))).toEqual([
      expect.stringMatching(/^SEARCH messages( USING (INTEGER PRIMARY KEY|COVERING INDEX branch_starts))?/),
    ]);
  }
});

test("[SESS-3] an object that was made before its tables had all their columns is read and goes on", async () => {
  const { session_id } = await say("Old");
  await untilRows(house, 2, "select 1 from messages where session_id = $1", session_id);
  await house.neon.until((stats) => stats.in_flight === 0);
  await house.querySession(session_id, "DROP INDEX branch_starts");
  for (const column of ["title_by", "is_active", "changed_at", "drained_change", "held_at"]) {
    await house.querySession(session_id, `ALTER TABLE session DROP COLUMN ${column}`);
  }
  await house.querySession(session_id, "ALTER TABLE events DROP COLUMN spent");
  await house.evict(session_id);
  expect(seqs(await pageOf(session_id))).toEqual([2, 1]);
  await say("New", { session_id });
  expect(seqs(await pageOf(session_id))).toEqual([4, 3, 2, 1]);
});

async function sessionOf(response: Response | Promise<Response>, status = 200): Promise<SessionView> {
  const reply = await response;
  expect(reply.status).toBe(status);
  return SessionView.parse(await reply.json());
}

const make = (body: object = {}): Promise<SessionView> => sessionOf(house.call("/history/sessions", { as, body }), 201);
const change = (id: string, body: object): Promise<SessionView> =>
  sessionOf(house.call(`/history/sessions/${id}`, { as, method: "PATCH", body }));
const view = (id: string): Promise<SessionView> => sessionOf(house.call(`/history/sessions/${id}`, { as }));
const rowOf = (id: string) => house.sql`select title, is_active, model_name from chat_sessions where id = ${id}`;

/** Waits until Postgres has been asked again and nothing is under way. */
async function afterNextCall(work: () => Promise<unknown> | void): Promise<void> {
  const { calls } = house.neon.stats();
  await work();
  await house.neon.until((stats) => stats.calls > calls && stats.in_flight === 0);
}

test("[SESS-4] a session is made without a turn, is in Postgres when the answer comes, and takes turns", async () => {
  const made = await make({ title: "Plans", model: "demo", model_type: "openai", user_id: as.id });
  expect(made).toMatchObject({
    ...{ title: "Plans", model_type: "openai", model_name: "demo", is_active: true, message_count: 0, turn: null },
    updated_at: made.created_at,
  });
  expect(await rowOf(made.id)).toEqual([{ title: "Plans", is_active: true, model_name: "demo" }]);
  expect(await view(made.id)).toEqual(made);
  await say("Hello", { session_id: made.id });
  expect(await view(made.id)).toMatchObject({ title: "Plans", message_count: 2 });
  const defaults = await make();
  expect(defaults).toMatchObject({ title: "", model_name: "demo" });
  const stranger = await house.newTenant();
  const body = { user_id: stranger.id };
  expect((await house.call("/history/sessions", { as, body })).status).toBe(404);
});

test("[SESS-4] the same command twice makes one session", async () => {
  const sessionId = makeId();
  const command = { kind: "create", sessionId, title: "Once", model: {}, preferences: NO_PREFERENCES } as const;
  const asker = { userId: as.id, requestId: makeId() };
  const first = await house.commandSession(sessionId, { ...command, ...asker });
  expect(await house.commandSession(sessionId, { ...command, ...asker })).toEqual(first);
  const theirs = { ...command, userId: makeId(), requestId: makeId() };
  expect(await house.commandSession(sessionId, theirs)).toMatchObject({ status: 404 });
});

test("[SESS-5] a session is renamed and archived, and Postgres shows it when the answer comes", async () => {
  const { session_id } = await say("The first words");
  expect(await view(session_id)).toMatchObject({ title: "The first words", is_active: true, message_count: 2 });
  const before = await view(session_id);
  const renamed = await change(session_id, { title: "Mine" });
  expect(renamed).toMatchObject({ title: "Mine", is_active: true });
  expect(Date.parse(renamed.updated_at)).toBeGreaterThan(Date.parse(before.updated_at));
  expect(await rowOf(session_id)).toMatchObject([{ title: "Mine", is_active: true }]);
  expect(await change(session_id, { is_active: false })).toMatchObject({ title: "Mine", is_active: false });
  expect(await rowOf(session_id)).toMatchObject([{ title: "Mine", is_active: false }]);
  await say("More", { session_id });
  await untilRows(house, 4, "select 1 from messages where session_id = $1", session_id);
  expect(await rowOf(session_id)).toMatchObject([{ title: "Mine", is_active: false }]);
  await change(session_id, { is_active: true, title: "Mine again" });
  expect(await rowOf(session_id)).toMatchObject([{ title: "Mine again", is_active: true }]);
});

test("[SESS-5] a change while Postgres is away, and one whose answer is lost, are there when it is back", async () => {
  const { session_id } = await say("Changing");
  await untilRows(house, 2, "select 1 from messages where session_id = $1", session_id);
  for (const [mode, title] of [
    ["down", "While away"],
    ["lost", "Answer lost"],
  ] as const) {
    house.neon.control({ mode });
    expect(await change(session_id, { title })).toMatchObject({ title });
    const [row] = await house.querySession(session_id, "SELECT changed_at > drained_change AS owed FROM session");
    expect(row).toEqual({ owed: 1 });
    await afterNextCall(() => house.neon.control({ mode: "up" }));
    expect(await rowOf(session_id)).toMatchObject([{ title }]);
  }
  house.neon.control({ mode: "down" });
  const made = await make({ title: "Made while away" });
  await afterNextCall(() => house.neon.control({ mode: "up" }));
  expect(await rowOf(made.id)).toMatchObject([{ title: "Made while away" }]);
});

test("[SESS-5] a change is not lost to a message that Postgres can never take", async () => {
  const { session_id } = await say("Odd");
  await untilRows(house, 2, "select 1 from messages where session_id = $1", session_id);
  house.neon.control({ mode: "down" });
  await (await house.call("/history/messages", { as, body: { session_id, role: "user", content: "Poison" } })).text();
  await house.querySession(session_id, "UPDATE messages SET status = 'no such status' WHERE seq = 3");
  expect(await change(session_id, { title: "Kept" })).toMatchObject({ title: "Kept" });
  house.neon.control({ mode: "up" });
  await untilRows(house, 1, "select 1 from dead_letters where session_id = $1", session_id);
  await untilRows(house, 1, "select 1 from chat_sessions where id = $1 and title = 'Kept'", session_id);
});

test("[SESS-5] [B21] [B22] titles that are none are refused; odd ones are kept byte for byte", async () => {
  const { id } = await make();
  for (const title of ["", "  ", "\u200b", "a\u0000b", "a\nb", "\ud800", "a".repeat(201), 1, null]) {
    for (const [path, method] of [
      ["/history/sessions", "POST"],
      [`/history/sessions/${id}`, "PATCH"],
    ] as const) {
      const response = await house.call(path, { as, method, body: { title } });
      expect([title, response.status, await codeOf(response)]).toEqual([title, 400, "invalid_request"]);
    }
  }
  for (const body of [{}, { title: "a", user_id: as.id }, { is_active: "no" }]) {
    expect((await house.call(`/history/sessions/${id}`, { as, method: "PATCH", body })).status).toBe(400);
  }
  for (const title of [
    "\u202eabc",
    "аdmin",
    `e${"\u0301".repeat(199)}`,
    " spaced ",
    "🧑‍🚀".repeat(66),
    "a".repeat(200),
  ]) {
    expect((await change(id, { title })).title).toBe(title);
    expect(await rowOf(id)).toMatchObject([{ title }]);
  }
});

test("[SESS-6] a message is saved without a turn, is shown and in Postgres at once, and the model is shown it", async () => {
  const { id } = await make();
  const save = (role: string, content: string) =>
    house.call("/history/messages", { as, body: { session_id: id, role, content } });
  const first = await save("user", "My name is Ada.");
  expect(first.status).toBe(201);
  const message = MessageView.parse(await first.json());
  expect(message).toMatchObject({ seq: 1, parent_id: null, turn_id: null, active: true, content: "My name is Ada." });
  expect(await house.sql`select id, turn_id, seq from messages where session_id = ${id}`).toEqual([
    { id: message.id, turn_id: null, seq: 1 },
  ]);
  expect(await view(id)).toMatchObject({ title: "My name is Ada.", message_count: 1 });
  const second = MessageView.parse(await (await save("assistant", "Hello Ada")).json());
  expect(second.parent_id).toBe(message.id);
  await (await save("assistant", "Nice name")).text();
  const reply = await say("What is my name?", { session_id: id });
  expect(reply.response).toContain("Ada");
  const { last_request: request } = house.llm.stats() as unknown as { last_request: { messages: { role: string }[] } };
  expect(request.messages.map(({ role }) => role)).toEqual(["system", "user", "assistant", "user"]);
  expect((await pageOf(id)).messages.map(({ turn_id }) => turn_id)).toEqual([
    reply.turn_id,
    reply.turn_id,
    null,
    null,
    null,
  ]);
});

test("[SESS-6] no message is saved while a turn runs, and a saved answer to no question cannot be made again", async () => {
  const { id } = await make();
  const body = { session_id: id, role: "assistant", content: "Hello" };
  await (await house.call("/history/messages", { as, body })).text();
  const again = await house.call(`/chat/sessions/${id}/regenerate`, { as, body: {} });
  expect([again.status, await codeOf(again)]).toEqual([400, "invalid_request"]);
  const slow = { prompt: "Go on", session_id: id, model: "demo:tokens.4000.gap.10", cache: { mode: "no-store" } };
  const stream = await house.call("/chat/stream", { as, body: slow });
  const turn_id = stream.headers.get("x-turn-id");
  const refused = await house.call("/history/messages", { as, body });
  const { error } = ErrorBody.parse(await refused.json());
  expect([refused.status, error.code, error.details]).toEqual([409, "turn_in_progress", { turn_id }]);
  expect(await view(id)).toMatchObject({ turn: { turn_id, state: "running" } });
  await (await house.call(`/chat/turns/${turn_id}/cancel`, { as, method: "POST" })).text();
  await stream.body?.cancel();
  expect((await view(id)).turn).toBeNull();
  expect((await house.call("/history/messages", { as, body })).status).toBe(201);
});

test("[SESS-6] a message that is sent again under its key, or by main, is saved once", async () => {
  const { id } = await make();
  const headers = { "idempotency-key": "message-1" };
  const save = (content: string, session_id = id) =>
    house.call("/history/messages", { as, headers, body: { session_id, role: "user", content } });
  const first = await save("Once");
  const again = await save("Once");
  expect([first.status, again.status, again.headers.get("idempotent-replayed")]).toEqual([201, 201, "true"]);
  expect(await again.json()).toEqual(await first.json());
  for (const other of [await save("Twice"), await save("Once", (await make()).id)]) {
    expect([other.status, await codeOf(other)]).toEqual([422, "idempotency_mismatch"]);
  }
  const command = { kind: "append", sessionId: id, messageId: makeId(), role: "user", content: "By main" } as const;
  // Of a session that is held nobody is asked.
  const credential = { kind: "key", userId: as.id, keyId: "", hash: "" } as const;
  const asker = { userId: as.id, requestId: makeId(), credential };
  const sent = await house.commandSession(id, { ...command, ...asker });
  expect(await house.commandSession(id, { ...command, ...asker })).toEqual(sent);
  expect(seqs(await pageOf(id))).toEqual([2, 1]);
});

test("[SESS-6] [B21] [B24] messages of another role or without visible text are refused", async () => {
  const { id: session_id } = await make();
  const bad = [
    ...["system", "developer", "tool", "root", 1].map((role) => ({ session_id, role, content: "Hi" })),
    ...["", " ", "\u200b", "a\u0000b", 1, ["Hi"], "a".repeat(100_001)].map((content) => ({
      session_id,
      role: "user",
      content,
    })),
    ...[
      { session_id, role: "user" },
      { role: "user", content: "Hi" },
      { session_id, role: "user", content: "Hi", turn_id: session_id },
    ],
  ];
  for (const body of bad) {
    const response = await house.call("/history/messages", { as, body });
    expect([response.status, await codeOf(response)]).toEqual([400, "invalid_request"]);
  }
});

test("[SESS-6] [B22] odd text is kept byte for byte", async () => {
  const { id: session_id } = await make();
  for (const content of ["\u202eoverride\u202c", "раураl", `e${"\u0301".repeat(10_000)}`, "  spaced\r\n\t "]) {
    const response = await house.call("/history/messages", { as, body: { session_id, role: "user", content } });
    const message = MessageView.parse(await response.json());
    expect(message.content).toBe(content);
    expect(await house.sql`select content from messages where id = ${message.id}`).toEqual([{ content }]);
  }
});

test("[B38] [B39] another user's session and an unknown one are missing ones, in paths and in bodies", async () => {
  const { session_id } = await say("Mine");
  await untilRows(house, 2, "select 1 from messages where session_id = $1", session_id);
  const stranger = await house.newTenant();
  const imported = await importSession([{ seq: 1, content: "Mine too" }]);
  for (const [id, who] of [
    [session_id, stranger],
    [imported, stranger],
    [makeId(), as],
  ] as const) {
    const path = `/history/sessions/${id}`;
    const attempts = [
      house.call(path, { as: who }),
      house.call(path, { as: who, method: "PATCH", body: { title: "Yours" } }),
      house.call(path, { as: who, method: "DELETE" }),
      house.call(`${path}/messages`, { as: who }),
      house.call("/history/messages", { as: who, body: { session_id: id, role: "user", content: "Hi" } }),
      house.call("/chat", { as: who, body: { prompt: "Hi", session_id: id } }),
      house.call("/chat/stream", { as: who, body: { prompt: "Hi", session_id: id } }),
    ];
    for (const attempt of attempts) {
      const response = await attempt;
      expect([response.status, await codeOf(response)]).toEqual([404, "not_found"]);
    }
  }
  expect(await rowOf(session_id)).toMatchObject([{ title: "Mine" }]);
  expect(await rowOf(imported)).toMatchObject([{ title: "Imported" }]);
  expect(await tablesOf(imported)).toEqual([]);
});

test("[SESS-9] a turn is answered with the newest messages of its session, oldest first, as the same turn elsewhere", async () => {
  const path = "/history/chat/with-history";
  const ask = async (body: object, headers: Record<string, string> = {}) => {
    const response = await house.call(path, { as, body: { cache: { mode: "no-store" }, ...body }, headers });
    expect([response.status, response.headers.get("x-cache")]).toEqual([200, "BYPASS"]);
    return HistoryChatReply.parse(await response.json());
  };
  const first = await ask({ prompt: "My name is Ada.", create_new_session: true });
  const { history, ...reply } = first;
  expect(ChatReply.parse(reply).response).toBe(history[1]?.content);
  expect(history.map(({ seq, role, turn_id }) => [seq, role, turn_id])).toEqual([
    ...[
      [1, "user", reply.turn_id],
      [2, "assistant", reply.turn_id],
    ],
  ]);
  const { session_id } = reply;
  const second = await ask({ prompt: "What is my name?", session_id, history_limit: 3 });
  expect(second.response).toContain("Ada");
  expect(second.history.map(({ seq }) => seq)).toEqual([2, 3, 4]);
  expect((await ask({ prompt: "Again", session_id, history_limit: 0 })).history).toEqual([]);
  const headers = { "idempotency-key": "history-1" };
  const keyed = await ask({ prompt: "Once", session_id }, headers);
  expect(await ask({ prompt: "Once", session_id }, headers)).toEqual(keyed);
  expect(keyed.history.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);

  for (const body of [
    { prompt: "Hi", history_limit: 101 },
    { prompt: "Hi", history_limit: -1 },
    { history_limit: 1 },
  ]) {
    expect((await house.call(path, { as, body })).status).toBe(400);
  }
  const failing = await house.call(path, { as, body: { prompt: "Fail", session_id, model: "demo:status.401" } });
  expect([failing.status, await codeOf(failing)]).toEqual([502, "upstream_auth"]);
  const unknown = await house.call(path, { as, body: { prompt: "Hi", session_id: makeId() } });
  expect([unknown.status, await codeOf(unknown)]).toEqual([404, "not_found"]);
});
