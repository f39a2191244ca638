/** Sessions as records: how their messages are read, wherever they are, and what is done to them besides turns. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { ChatReply } from "../contracts/chat.ts";
import { ErrorBody } from "../contracts/errors.ts";
import { MessagePage } from "../contracts/history.ts";
import { newId } from "../contracts/ids.ts";
import { type House, openHouse, type Tenant, untilRows } from "./house.ts";

let house: House;
let as: Tenant;
beforeAll(async () => {
  house = await openHouse();
  as = await house.newTenant();
});
afterAll(() => house.close());

const makeId = (): string => newId(Date.now(), (length) => crypto.getRandomValues(new Uint8Array(length)));

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

interface Row {
  seq: number;
  content: string;
  parent?: number;
}

/** A session that no object has ever held, as an import leaves it. */
async function importSession(rows: Row[], userId = as.id): Promise<string> {
  const sessionId = makeId();
  const ids = new Map(rows.map(({ seq }) => [seq, makeId()]));
  await house.sql`insert into chat_sessions (id, user_id, title, model_type, model_name)
    values (${sessionId}, ${userId}, 'Imported', 'openai', 'demo')`;
  for (const { seq, content, parent = seq - 1 } of rows) {
    const branch = parent === seq - 1 ? null : parent;
    await house.sql`insert into messages (id, session_id, user_id, seq, parent_id, branch_from, role, content)
      values (${ids.get(seq)}, ${sessionId}, ${userId}, ${seq}, ${ids.get(parent) ?? null}, ${branch},
        ${seq % 2 === 1 ? "user" : "assistant"}, ${content})`;
  }
  return sessionId;
}

/** Our tables in the object; the runtime keeps one of its own there. */
function tablesOf(sessionId: string): Promise<Record<string, unknown>[]> {
  return house.querySession(sessionId, "SELECT name FROM sqlite_master WHERE name NOT LIKE '%miniflare%'");
}

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
  await house.evict(session_id);
  expect(seqs(await pageOf(session_id))).toEqual([2, 1]);
  await say("New", { session_id });
  expect(seqs(await pageOf(session_id))).toEqual([4, 3, 2, 1]);
});
