/** The history's routes on real Workers: lists, search, statistics and imports, and whatever bad requests they get. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { ErrorBody } from "../contracts/errors.ts";
import { SearchResults, SessionList } from "../contracts/lists.ts";
import { UserStats } from "../contracts/stats.ts";
import { ImportReport } from "../contracts/transfer.ts";
import type { CallOptions } from "../dev/house.ts";
import { type House, openHouse, type Tenant, untilRows } from "./house.ts";

let house: House;
let ann: Tenant;
let bob: Tenant;
beforeAll(async () => {
  house = await openHouse();
  ann = await house.newTenant();
  bob = await house.newTenant();
});
afterAll(() => house.close());

/** A chat whose messages are in Postgres; gives its session's id. */
async function chat(as: Tenant, prompt: string): Promise<string> {
  const response = await house.call("/chat", { as, body: { prompt } });
  expect(response.status).toBe(200);
  const { session_id } = await response.json<{ session_id: string }>();
  await untilRows(house, 2, "select id from messages where session_id = $1", session_id);
  return session_id;
}

async function expectRefused(path: string, status: number, code: string, options: CallOptions = {}): Promise<void> {
  const response = await house.call(path, { as: ann, ...options });
  const { error } = ErrorBody.parse(await response.json());
  expect({ path: path.slice(0, 200), status: response.status, code: error.code }).toEqual({
    path: path.slice(0, 200),
    status,
    code,
  });
}

async function readAs<T>(as: Tenant, path: string, schema: { parse(value: unknown): T }): Promise<T> {
  const response = await house.call(path, { as });
  expect(response.status, path).toBe(200);
  return schema.parse(await response.json());
}

/** A list for every route that has one, of Ann. */
const lists = () => [`/history/users/${ann.id}/sessions?`, "/history/search?q=hello&"];

test("[HIST-1] [HIST-2] a user's sessions, page by page", async () => {
  const as = await house.newTenant();
  const ids = [];
  for (const prompt of ["One", "Two", "Three"]) ids.push(await chat(as, prompt));
  const path = `/history/users/${as.id}/sessions?limit=2`;
  const first = await readAs(as, path, SessionList);
  expect(first.sessions.map(({ title, message_count }) => [title, message_count])).toEqual([
    ["Three", 2],
    ["Two", 2],
  ]);
  const second = await readAs(as, `${path}&cursor=${first.next_cursor}`, SessionList);
  expect(second.sessions.map(({ id }) => id)).toEqual([ids[0]]);
  expect(second.next_cursor).toBe(null);
  await house.sql`update chat_sessions set is_active = false where id = ${ids[1]}`;
  const listed = async (archived: string) =>
    (await readAs(as, `/history/users/${as.id}/sessions?archived=${archived}`, SessionList)).sessions.length;
  expect([await listed("false"), await listed("true"), await listed("all")]).toEqual([2, 1, 3]);
});

test("[HIST-3] [HIST-4] what was said is found, by its owner alone", async () => {
  const sessionId = await chat(ann, "Where do albatrosses sleep?");
  await chat(bob, "I saw albatrosses too");
  const { results, next_cursor } = await readAs(ann, "/history/search?q=albatrosses&role=user", SearchResults);
  expect(results).toMatchObject([
    { session_id: sessionId, session_title: "Where do albatrosses sleep?", role: "user" },
  ]);
  expect(results[0]?.snippet).toEqual([
    { text: "Where do ", match: false },
    { text: "albatrosses", match: true },
    { text: " sleep", match: false },
  ]);
  expect(next_cursor).toBe(null);
  const inSession = await readAs(ann, `/history/search?q=albatrosses&session_id=${sessionId}&limit=1`, SearchResults);
  expect(inSession.results).toHaveLength(1);
  const rest = `/history/search?q=albatrosses&session_id=${sessionId}&limit=5&cursor=${inSession.next_cursor}`;
  expect((await readAs(ann, rest, SearchResults)).results.map(({ seq }) => seq)).toEqual([1]);
});

test("[HIST-3] a session that Postgres does not know yet, or never will, is searched by its owner without a find", async () => {
  const response = await house.call("/chat", { as: ann, body: { prompt: "A secret albatross", store: false } });
  const { session_id } = await response.json<{ session_id: string }>();
  const found = await readAs(ann, `/history/search?q=albatross&session_id=${session_id}`, SearchResults);
  expect(found).toEqual({ results: [], next_cursor: null });
  await expectRefused(`/history/search?q=albatross&session_id=${session_id}`, 404, "not_found", { as: bob });
});

test("[HIST-5] statistics of what was just said, and of what the cache saved", async () => {
  const as = await house.newTenant();
  await chat(as, "What is a statistic, in one word?");
  await house.redis.until(({ in_flight }) => in_flight === 0);
  await chat(as, "What is a statistic, in one word?");
  const stats = await readAs(as, `/history/users/${as.id}/stats?days=7`, UserStats);
  expect(stats.sessions).toEqual({ total: 2, started: 2 });
  expect(stats.messages).toEqual({ total: 4, user: 2, assistant: 2 });
  expect(stats.models).toMatchObject([{ model: "demo", answers: 1 }]);
  expect(stats.saved_by_cache).toMatchObject({ answers: 1, total_tokens: stats.tokens.total_tokens });
  expect(stats.activity.reduce((sum, { messages }) => sum + messages, 0)).toBe(4);
  expect((Date.parse(stats.to) - Date.parse(stats.from)) / 86_400_000).toBeGreaterThan(6);
});

const OWN_FILE = [
  {
    ...{ type: "session", version: 1, id: "01890000-0000-7000-8000-000000000010", title: "Of cormorants" },
    ...{ model_type: null, model_name: null, is_active: true },
    ...{ created_at: "2026-01-02T03:04:00.678Z", updated_at: "2026-01-02T03:04:05.678Z" },
  },
  ...["user", "assistant"].map((role, index) => ({
    ...{ type: "message", id: `01890000-0000-7000-8000-00000000002${index}`, seq: index + 1, parent_id: null, role },
    ...{ active: true, turn_id: null, content: `cormorant ${index}`, status: "complete", tokens_used: 0 },
    created_at: `2026-01-02T03:04:0${index}.678Z`,
  })),
]
  .map((line) => JSON.stringify(line))
  .join("\n");
const NDJSON = { "content-type": "application/x-ndjson" };

async function importAs(as: Tenant, body: string, headers = NDJSON): Promise<ImportReport> {
  const response = await house.call("/history/import", { as, method: "POST", body, headers });
  expect(response.status).toBe(200);
  return ImportReport.parse(await response.json());
}

test("[HIST-7] [HIST-10] an import of ours is there at once, again adds nothing, and is nobody else's", async () => {
  const added = { sessions_imported: 1, messages_imported: 2, sessions_skipped: 0, warnings: [] };
  expect(await importAs(ann, OWN_FILE)).toEqual(added);
  expect(await importAs(ann, OWN_FILE)).toEqual({
    ...{ sessions_imported: 0, messages_imported: 0, sessions_skipped: 1, warnings: [] },
  });
  const { results } = await readAs(ann, "/history/search?q=cormorant", SearchResults);
  expect(results.map(({ role, session_title }) => [role, session_title])).toEqual([
    ["assistant", "Of cormorants"],
    ["user", "Of cormorants"],
  ]);
  expect((await readAs(bob, "/history/search?q=cormorant", SearchResults)).results).toEqual([]);
  // The same file is another user's own as well.
  expect(await importAs(bob, OWN_FILE)).toEqual(added);
  const { sessions } = await readAs(bob, `/history/users/${bob.id}/sessions`, SessionList);
  expect(sessions.at(-1)).toMatchObject({ title: "Of cormorants", created_at: "2026-01-02T03:04:00.678Z" });
});

test("[HIST-11] an export of ChatGPT is taken in", async () => {
  const mapping = {
    root: { id: "root", message: null, parent: null, children: ["a"] },
    a: {
      ...{ id: "a", parent: "root", children: [] },
      message: {
        ...{ id: "a", author: { role: "user" }, create_time: 1_700_000_000.5 },
        content: { content_type: "text", parts: ["Tell me of guillemots"] },
      },
    },
  };
  const file = [{ conversation_id: "c", title: "Guillemots", create_time: 1_700_000_000, mapping, current_node: "a" }];
  const headers = { "content-type": "application/json; charset=utf-8" };
  expect(await importAs(ann, JSON.stringify(file), headers)).toMatchObject({
    sessions_imported: 1,
    messages_imported: 1,
  });
  const { results } = await readAs(ann, "/history/search?q=guillemots&to=2023-11-15", SearchResults);
  expect(results).toMatchObject([{ session_title: "Guillemots", created_at: "2023-11-14T22:13:20.500Z" }]);
});

test("[HIST-10] files that are none: each is refused, and nothing of it is kept", async () => {
  const post = { method: "POST", headers: NDJSON };
  const before = await house.sql`select count(*) from messages`;
  const path = "/history/import";
  await expectRefused(path, 400, "invalid_request", { ...post, body: OWN_FILE.replace('"version":1', '"version":9') });
  await expectRefused(path, 400, "invalid_json", { ...post, body: `${OWN_FILE}\n{` });
  await expectRefused(path, 400, "invalid_json", { method: "POST", body: "[" });
  for (const body of ["{}", "null", '"x"', "7"])
    await expectRefused(path, 400, "invalid_request", { body, method: "POST" });
  for (const type of ["text/plain", "application/zip", "application/x-ndjson; charset=utf-16", ""]) {
    await expectRefused(path, 415, "unsupported_media_type", {
      ...post,
      body: OWN_FILE,
      headers: { "content-type": type },
    });
  }
  const zipped = { ...NDJSON, "content-encoding": "gzip" };
  await expectRefused(path, 415, "unsupported_media_type", { ...post, body: OWN_FILE, headers: zipped });
  await expectRefused(path, 413, "payload_too_large", { ...post, body: "\n".repeat(8 * 1024 * 1024 + 1) });
  expect(await house.sql`select count(*) from messages`).toEqual(before);
  expect(await importAs(ann, "\n".repeat(8 * 1024 * 1024))).toMatchObject({ sessions_imported: 0 });
});

test("[B13] long URLs, very many names, nested and repeated ones", async () => {
  for (const list of lists()) {
    const many = Array.from({ length: 200 }, (_, n) => `p${n}=1`).join("&");
    for (const query of ["a[b]=c", "limit=1&limit=2", "limit=1&limit=1", `cursor=${"a".repeat(10_000)}`]) {
      await expectRefused(list + query, 400, "invalid_request");
    }
    for (const query of [many, `cursor=${"a".repeat(17_000)}`]) await expectRefused(list + query, 414, "uri_too_long");
  }
});

test("[B35] names and orders that a list does not have", async () => {
  for (const list of [...lists(), `/history/users/${ann.id}/stats?`]) {
    for (const query of [
      ...[
        "sort=id;drop",
        "filter[metadata-%3E%3Ex]=1",
        "order=desc%20nulls",
        "offset=5",
        "__proto__=1",
        "constructor=1",
      ],
      ...["user_id=x", "Limit=5", "limit%00=5", "=1"],
    ]) {
      await expectRefused(list + query, 400, "invalid_request");
    }
  }
  await expectRefused(`/history/users/${ann.id}/sessions?archived=yes`, 400, "invalid_request");
  await expectRefused("/history/search?q=a&role=system", 400, "invalid_request");
});

test("[B36] limits that are none, cursors that are none or another's", async () => {
  for (const list of lists()) {
    for (const limit of ["0", "-1", "1e9", "1.5", "abc", "", "101", "%31%30%00", "９"]) {
      await expectRefused(`${list}limit=${limit}`, 400, "invalid_request");
    }
    for (const cursor of ["", "x", "null", "eyJhIjoxfQ", "a.b", "%F0%9F%98%80.%F0%9F%98%80"]) {
      await expectRefused(`${list}cursor=${cursor}`, 400, "invalid_request");
    }
  }
  for (const days of ["0", "-1", "366", "1.5", "x", ""]) {
    await expectRefused(`/history/users/${ann.id}/stats?days=${days}`, 400, "invalid_request");
  }
  for (let n = 0; n < 3; n += 1) await chat(bob, `Puffin ${n}`);
  const { next_cursor } = await readAs(bob, `/history/users/${bob.id}/sessions?limit=1`, SessionList);
  expect(next_cursor).not.toBe(null);
  const cursor = `cursor=${next_cursor}`;
  expect((await readAs(bob, `/history/users/${bob.id}/sessions?${cursor}`, SessionList)).sessions).not.toEqual([]);
  for (const list of lists()) await expectRefused(list + cursor, 400, "invalid_request");
  // Bob's own, of another list of his.
  for (const path of [`/history/users/${bob.id}/sessions?archived=all&`, "/history/search?q=puffin&"]) {
    await expectRefused(path + cursor, 400, "invalid_request", { as: bob });
  }
});

test("[B37] dates that are none, ranges that are reversed", async () => {
  for (const date of [
    ...[
      "9999-99-99",
      "2026-02-30",
      "infinity",
      "now",
      "1",
      "",
      "2026-01-01T25:00:00Z",
      "2026-01-01T00:00:00",
      "0000-01-01",
    ],
    ...["1969-12-31", "+010000-01-01", "9999-12-31T23:59:59-14:00", "2026-01-01 00:00:00Z", "2026-01-01'"],
  ]) {
    for (const name of ["from", "to"]) {
      await expectRefused(`/history/search?q=a&${name}=${encodeURIComponent(date)}`, 400, "invalid_request");
    }
  }
  await expectRefused("/history/search?q=a&from=2026-01-02&to=2026-01-01", 400, "invalid_request");
  await expectRefused(
    "/history/search?q=a&from=2026-01-01T00:00:00%2B01:00&to=2025-12-31T22:59:59Z",
    400,
    "invalid_request",
  );
  for (const range of ["from=2026-01-01&to=2026-01-01", "from=1970-01-01", "to=9999-12-31"]) {
    await readAs(ann, `/history/search?q=a&${range}`, SearchResults);
  }
});

test("[B17] [B21] searches without visible text, with NUL, and over the limit", async () => {
  for (const q of ["", "%20%20", "%E2%80%8B", "a%00b", "a".repeat(401)]) {
    await expectRefused(`/history/search?q=${q}`, 400, "invalid_request");
  }
  await expectRefused("/history/search", 400, "invalid_request");
  for (const q of ["%FF", "%ED%A0%80", "a".repeat(400), "%F0%9F%98%80".repeat(100), "%E2%80%AEabc"]) {
    await readAs(ann, `/history/search?q=${q}`, SearchResults);
  }
});

test("[B34] [B38] ids that are none, and other people's", async () => {
  const theirs = await chat(bob, "Mine alone");
  for (const path of [
    ...[`/history/users/${bob.id}/sessions`, `/history/users/${bob.id}/stats`],
    ...["/history/users/01890000-0000-7000-8000-000000000099/sessions", `/history/search?q=a&session_id=${theirs}`],
    "/history/search?q=a&session_id=01890000-0000-7000-8000-000000000099",
  ]) {
    await expectRefused(path, 404, "not_found");
  }
  // Also to an admin: what people say is theirs alone.
  const admin = await house.newTenant("admin");
  await expectRefused(`/history/users/${bob.id}/sessions`, 404, "not_found", { as: admin });
  await expectRefused(`/history/users/${bob.id}/stats`, 404, "not_found", { as: admin });
  for (const id of ["' OR 1=1--", "..", "*", "a:b:c", "a".repeat(9_000), "me"]) {
    const name = encodeURIComponent(id);
    for (const path of [`/history/users/${name}/sessions`, `/history/search?q=a&session_id=${name}`]) {
      if (id !== ".." || path.includes("?")) await expectRefused(path, 400, "invalid_request");
    }
  }
});

test("[HIST-6] Postgres away: each route says so, and says nothing else", async () => {
  house.neon.control({ mode: "down" });
  for (const path of [
    `/history/users/${ann.id}/sessions`,
    "/history/search?q=canary",
    `/history/users/${ann.id}/stats`,
  ]) {
    await expectRefused(path, 503, "db_unavailable");
  }
  await expectRefused("/history/import", 503, "db_unavailable", { method: "POST", body: OWN_FILE, headers: NDJSON });
  house.neon.control({ mode: "up" });
  expect(JSON.stringify(house.lines)).not.toMatch(/canary|cormorant/);
});
