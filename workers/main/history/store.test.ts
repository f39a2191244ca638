/** The history store against the Neon stand-in: what is saved, what is refused, and how each fault is told. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { HistoryBatch, HistoryStore, MessageQuery, MessageRow, StoredPage } from "../../../contracts/history.ts";
import { migrate } from "../../../db/migrate.ts";
import { SCHEMA_VERSION } from "../../../db/schema.ts";
import { openDb, openSql, type DbFault } from "../../../db/open.ts";
import { DATABASE_URL, NEON_BACKENDS } from "../../../dev/stand-ins/neon/backends.ts";
import { serveStandIn, type StandIn } from "../../../dev/stand-ins/serve.ts";
import { createHistoryStore } from "./store.ts";

const uuid = (n: number): string => `01890000-0000-7000-8000-${n.toString(16).padStart(12, "0")}`;
const ANN = uuid(1);
const BOB = uuid(2);
const SESSION = uuid(100);
const T0 = 1_700_000_000_123;

function message(seq: number, more: Partial<MessageRow> = {}): MessageRow {
  return {
    id: uuid(1_000 + seq),
    seq,
    parentId: seq === 0 ? null : uuid(1_000 + seq - 1),
    branchFrom: null,
    role: seq % 2 === 0 ? "user" : "assistant",
    content: `message ${seq}`,
    status: "complete",
    tokensUsed: 3,
    promptTokens: 2,
    completionTokens: 1,
    costUsd: 0.000_004,
    cache: "miss",
    modelUsed: "demo",
    provider: "openai",
    mcpToolsUsed: [],
    metaInfo: {},
    turnId: uuid(500),
    createdAtMs: T0 + seq,
    ...more,
  };
}

function batchOf(messages: MessageRow[], session: Partial<HistoryBatch["session"]> = {}): HistoryBatch {
  const base = {
    id: SESSION,
    userId: ANN,
    title: "First",
    modelType: "openai",
    modelName: "demo",
    isActive: true,
    createdAtMs: T0,
    updatedAtMs: T0,
  };
  return { session: { ...base, ...session }, messages };
}

describe.each(NEON_BACKENDS)("$name", ({ isMissing, open }) => {
  describe.skipIf(isMissing)("history store", () => {
    let neon: StandIn;
    let store: HistoryStore;
    let sql: ReturnType<typeof openSql>;
    let faults: DbFault[];

    const storeWithin = (timeoutMs: number) =>
      createHistoryStore(openDb({ databaseUrl: DATABASE_URL, httpUrl: `${neon.url}/sql`, timeoutMs }), {
        onFault: (fault) => faults.push(fault),
      });
    const stored = () => sql`select seq, content from messages order by session_id, seq`;

    beforeAll(async () => {
      neon = await open();
      sql = openSql({ databaseUrl: DATABASE_URL, httpUrl: `${neon.url}/sql`, timeoutMs: 30_000 });
      await migrate(sql, "up");
      store = storeWithin(30_000);
    }, 60_000);
    beforeEach(async () => {
      faults = [];
      neon.control({ mode: "up", latencyMs: 0 });
      await sql`truncate users cascade`;
      for (const [id, name] of [
        [ANN, "ann"],
        [BOB, "bob"],
      ]) {
        await sql`insert into users (id, username, email, password_hash) values (${id}, ${name}, ${`${name}@example.test`}, 'x')`;
      }
    });
    afterAll(() => neon.close());

    test("a batch is one request, keeps every field and the order", async () => {
      const full = message(1, {
        content: "täg \u{1f600} \u202e end",
        status: "interrupted",
        mcpToolsUsed: ["web_search", 'odd "name", {x}'],
        metaInfo: { finish: null, deep: [{ a: 1 }] },
      });
      const calls = neon.stats().calls;
      expect(await store.saveBatch(batchOf([message(0), full, message(2)]))).toEqual({
        ok: true,
        value: { poison: false, inserted: 3, conflicts: [] },
      });
      expect(neon.stats().calls - calls).toBe(1);

      expect((await stored()).map((row) => row["seq"])).toEqual([0, 1, 2]);
      const [row] = await sql`select *, extract(epoch from created_at) * 1000 as at from messages where seq = 1`;
      expect(row).toMatchObject({
        id: full.id,
        session_id: SESSION,
        parent_id: full.parentId,
        role: "assistant",
        content: full.content,
        status: "interrupted",
        tokens_used: 3,
        model_used: "demo",
        provider: "openai",
        mcp_tools_used: full.mcpToolsUsed,
        meta_info: full.metaInfo,
        turn_id: full.turnId,
      });
      expect(Number(row?.["at"])).toBe(full.createdAtMs);
    });

    test("[RETAIN-2] nothing is older than 1970", async () => {
      await store.saveBatch(batchOf([message(0)]));
      const longAgo = { beforeMs: -1, after: undefined, limit: 5 };
      expect(await store.idleSessions(longAgo)).toEqual({ ok: true, value: [] });
      expect(await store.agedMessages(longAgo)).toMatchObject({ ok: true, value: { sessions: [] } });
      expect(await store.usedSessions({ sinceMs: -1, after: undefined, limit: 5 })).toMatchObject({ ok: true });
    });

    test("the same batch twice changes nothing", async () => {
      const batch = batchOf([message(0), message(1)]);
      await store.saveBatch(batch);
      const before = await sql`select * from chat_sessions join messages on session_id = chat_sessions.id order by seq`;
      expect(await store.saveBatch(batch)).toEqual({ ok: true, value: { poison: false, inserted: 0, conflicts: [] } });
      expect(
        await sql`select * from chat_sessions join messages on session_id = chat_sessions.id order by seq`,
      ).toEqual(before);
    });

    test("an answer lost on the way is repeated without doubling", async () => {
      const batch = batchOf([message(0)]);
      neon.control({ mode: "lost" });
      expect(await store.saveBatch(batch)).toMatchObject({ ok: false, error: { code: "db_unavailable" } });
      neon.control({ mode: "up" });
      expect(await store.saveBatch(batch)).toMatchObject({ ok: true, value: { inserted: 0, conflicts: [] } });
      expect(await stored()).toHaveLength(1);
    });

    test("a place that is taken, and an id of another session, are reported and never overwritten", async () => {
      await store.saveBatch(batchOf([message(0)]));
      const samePlace = message(0, { id: uuid(9_000), content: "other" });
      expect(await store.saveBatch(batchOf([samePlace, message(1)]))).toMatchObject({
        value: { inserted: 1, conflicts: [samePlace.id] },
      });
      const otherSession = batchOf([message(0)], { id: uuid(101) });
      expect(await store.saveBatch(otherSession)).toMatchObject({ value: { inserted: 0, conflicts: [message(0).id] } });
      expect(await stored()).toEqual([
        { seq: 0, content: "message 0" },
        { seq: 1, content: "message 1" },
      ]);
    });

    test("the session follows its newest batch, and a late one does not turn it back", async () => {
      const session = () =>
        sql`select title, model_name, extract(epoch from updated_at) * 1000 as at from chat_sessions`;
      await store.saveBatch(batchOf([]));
      await store.saveBatch(batchOf([message(0)], { title: "Renamed", modelName: "other", updatedAtMs: T0 + 10 }));
      await store.saveBatch(batchOf([message(1)], { title: "First", updatedAtMs: T0 + 5 }));
      const [row] = await session();
      expect(row).toMatchObject({ title: "Renamed", model_name: "other" });
      expect(Number(row?.["at"])).toBe(T0 + 10);
      expect(await stored()).toHaveLength(2);
    });

    test("[MEDIA-7] a file is kept once a session, for a session of its user, and read by that user alone", async () => {
      await store.saveBatch(batchOf([message(0)]));
      const data = Buffer.from(Array.from({ length: 1_000 }, (_, at) => at % 256)).toString("base64");
      const file = { sessionId: SESSION, userId: ANN, sha256: "a".repeat(64), mimeType: "image/png", data };
      for (const row of [file, { ...file, data: "AAAA" }, { ...file, userId: BOB, sha256: "b".repeat(64) }]) {
        expect(await store.saveAttachment(row)).toEqual({ ok: true, value: undefined });
      }
      expect(await store.saveAttachment({ ...file, sessionId: uuid(999) })).toEqual({ ok: true, value: undefined });
      const { mimeType: _type, data: _data, ...key } = file;
      expect(await store.readAttachment(key)).toEqual({ ok: true, value: file });
      for (const other of [
        { ...key, userId: BOB },
        { ...key, sha256: "b".repeat(64) },
        { ...key, sessionId: uuid(999) },
      ]) {
        expect(await store.readAttachment(other)).toEqual({ ok: true, value: undefined });
      }
      await store.eraseSession(SESSION, ANN);
      expect(await store.readAttachment(key)).toEqual({ ok: true, value: undefined });
    });

    test("a session of another user is poison: nothing of it is written", async () => {
      await store.saveBatch(batchOf([message(0)]));
      const intruder = batchOf([message(1)], { userId: BOB, title: "Mine now", updatedAtMs: T0 + 99 });
      expect(await store.saveBatch(intruder)).toEqual({ ok: true, value: { poison: true, reason: "23502" } });
      expect(await sql`select user_id, title from chat_sessions`).toEqual([{ user_id: ANN, title: "First" }]);
      expect(await stored()).toHaveLength(1);
    });

    test.each([
      ["NUL in the text", message(1, { content: "a\0b" }), "22021"],
      ["NUL in the JSON", message(1, { metaInfo: { a: "\0" } }), "22P05"],
      ["an id that is none", message(1, { id: "no-uuid" }), "22P02"],
      ["a place below 0", message(1, { seq: -1 }), "23514"],
      ["a number out of range", message(1, { tokensUsed: 3e9 }), "22003"],
      ["a time that is none", message(1, { createdAtMs: Number.NaN }), "unencodable"],
    ])("%s poisons the batch; row by row the rest is saved", async (_name, bad, reason) => {
      const rows = [message(0), bad, message(2)];
      expect(await store.saveBatch(batchOf(rows))).toEqual({ ok: true, value: { poison: true, reason } });
      expect(await stored()).toEqual([]);
      expect(faults).toEqual([{ kind: "values", reason }]);

      const outcomes = [];
      for (const row of rows) outcomes.push(await store.saveBatch(batchOf([row])));
      expect(outcomes).toMatchObject([
        { value: { inserted: 1 } },
        { value: { poison: true, reason } },
        { value: { inserted: 1 } },
      ]);
    });

    describe("reading", () => {
      const seqs = (page: StoredPage | undefined) => page?.messages.map(({ seq }) => seq);
      const read = async (more: Partial<MessageQuery> = {}) => {
        const page = await store.readMessages({ sessionId: SESSION, userId: ANN, limit: 3, ...more });
        if (!page.ok) throw new Error(page.error.code);
        return page.value;
      };

      test("[SESS-1] a page is one request, newest first or oldest first, from any place, every field as it was saved", async () => {
        const rows = [1, 2, 3, 4, 5].map((seq) => message(seq));
        await store.saveBatch(batchOf(rows));
        const { calls } = neon.stats();
        expect(await read()).toEqual({ messages: [rows[4], rows[3], rows[2]], starts: [], newestSeq: 5 });
        expect(neon.stats().calls).toBe(calls + 1);
        expect(seqs(await read({ before: 3 }))).toEqual([2, 1]);
        expect(seqs(await read({ after: 0 }))).toEqual([1, 2, 3]);
        expect(seqs(await read({ after: 1, before: 4 }))).toEqual([2, 3]);
        expect(seqs(await read({ after: 5 }))).toEqual([]);
      });

      test("[SESS-1] another user's session is no session, and one without messages is one", async () => {
        await store.saveBatch(batchOf([message(1)]));
        expect(await read({ userId: BOB })).toBeUndefined();
        expect(await store.readSession(SESSION, BOB)).toEqual({ ok: true, value: undefined });
        const limits = { messages: 10, bytes: 1_000 };
        expect(await store.readWindow({ sessionId: SESSION, userId: BOB, ...limits })).toEqual({
          ok: true,
          value: undefined,
        });
        const empty = uuid(101);
        await store.saveBatch(batchOf([], { id: empty }));
        expect(await read({ sessionId: empty })).toEqual({ messages: [], starts: [], newestSeq: 0 });
        expect(await store.readSession(empty, ANN)).toEqual({
          ok: true,
          value: { ...batchOf([]).session, id: empty, newestSeq: 0, forgottenSeq: 0 },
        });
      });

      test("[SESS-1] branches that start above a page come with it", async () => {
        const rows = [message(1), message(2), message(3, { branchFrom: 1 }), message(4), message(5, { branchFrom: 0 })];
        await store.saveBatch(batchOf(rows));
        const starts = [
          { seq: 5, from: 0 },
          { seq: 3, from: 1 },
        ];
        expect((await read({ before: 3 }))?.starts).toEqual(starts);
        expect((await read({ after: 2 }))?.starts).toEqual([{ seq: 5, from: 0 }]);
      });

      test("[SESS-1] a window is the newest messages within both limits, with the places of their parents", async () => {
        const rows = [
          ...[message(1), message(2), message(3, { role: "system" }), message(4, { parentId: message(1).id })],
          ...[message(5, { parentId: message(3).id }), message(6, { parentId: null }), message(7)],
        ];
        await store.saveBatch(batchOf(rows));
        const windowOf = async (limits: { messages: number; bytes: number }) => {
          const read_ = await store.readWindow({ sessionId: SESSION, userId: ANN, ...limits });
          if (!read_.ok) throw new Error(read_.error.code);
          return read_.value;
        };
        const whole = await windowOf({ messages: 10, bytes: 1e6 });
        expect(whole?.session).toMatchObject({ id: SESSION, userId: ANN, title: "First", newestSeq: 7 });
        expect(whole?.messages.map(({ seq, parentSeq }) => [seq, parentSeq])).toEqual([
          ...[
            [1, null],
            [2, 1],
            [4, 1],
            [5, null],
            [6, null],
            [7, 6],
          ],
        ]);
        expect(whole?.messages[0]).toEqual({ ...rows[0], parentSeq: null });
        expect((await windowOf({ messages: 2, bytes: 1e6 }))?.messages.map(({ seq }) => seq)).toEqual([6, 7]);
        const bytesOfOne = Buffer.byteLength("message 7{}");
        expect((await windowOf({ messages: 10, bytes: 3 * bytesOfOne }))?.messages.map(({ seq }) => seq)).toEqual([
          5, 6, 7,
        ]);
        expect((await windowOf({ messages: 10, bytes: 3 * bytesOfOne - 1 }))?.messages).toHaveLength(2);
      });
    });

    test("[SESS-1] messages that were there before branches were told are told by their parents", async () => {
      const before = 3;
      const version = async () => (await store.schemaVersion()) as { value: number };
      while ((await version()).value > before) await migrate(sql, "down");
      const parents = [null, 1, 2, 3, 2, 5, null, 7, 900];
      const rows = parents.map((parent, at) => ({
        id: uuid(1_001 + at),
        seq: at + 1,
        parent: parent && uuid(1_000 + parent),
      }));
      await sql`insert into chat_sessions (id, user_id, title) values (${SESSION}, ${ANN}, 'Old')`;
      for (const { id, seq, parent } of rows) {
        await sql`insert into messages (id, session_id, user_id, seq, parent_id, role, content)
          values (${id}, ${SESSION}, ${ANN}, ${seq}, ${parent}, 'user', 'said')`;
      }
      await migrate(sql, "up");
      const told = await sql`select branch_from from messages order by seq`;
      // The parent of the last one is not there: it follows the one before.
      expect(told.map((row) => row["branch_from"])).toEqual([null, null, null, null, 2, null, 0, null, null]);
    });

    test("a user that is gone poisons the session", async () => {
      expect(await store.saveBatch(batchOf([], { userId: uuid(3) }))).toEqual({
        ok: true,
        value: { poison: true, reason: "23503" },
      });
    });

    test.each([
      ["down", "network"],
      ["500", "http 500"],
      ["err:53300", "http 500"],
      ["err:40001", "40001"],
      ["err:40P01", "40P01"],
      ["err:57P01", "57P01"],
      ["err:42P01", "42P01"],
    ])("%s is db_unavailable on every call, and says nothing of the data", async (mode, reason) => {
      neon.control({ mode });
      const secret = batchOf([message(0, { content: "canary-4711" })]);
      const outcomes = [
        await store.saveBatch(secret),
        await store.saveBatch(batchOf([], { title: "canary-4711" })),
        await store.ping(),
      ];
      expect(outcomes).toEqual(
        outcomes.map(() => ({
          ok: false,
          error: { code: "db_unavailable", message: "the database cannot be reached" },
        })),
      );
      expect(faults).toEqual(outcomes.map(() => ({ kind: "unavailable", reason })));
      neon.control({ mode: "up" });
      expect(await store.saveBatch(secret)).toMatchObject({ ok: true, value: { inserted: 1 } });
    });

    test("too slow is db_timeout: the request is given up, and nothing runs", async () => {
      const { aborted } = neon.stats();
      neon.control({ latencyMs: 3_600_000 });
      const hasty = storeWithin(30);
      expect(await hasty.saveBatch(batchOf([message(0)]))).toMatchObject({ ok: false, error: { code: "db_timeout" } });
      expect(await hasty.ping()).toMatchObject({ ok: false, error: { code: "db_timeout" } });
      await neon.until((stats) => stats.aborted === aborted + 2 && stats.in_flight === 0);
      neon.control({ latencyMs: 0 });
      expect(await stored()).toEqual([]);
      expect(faults).toEqual([
        { kind: "timeout", reason: "timeout" },
        { kind: "timeout", reason: "timeout" },
      ]);
    });

    test("two clients each speak to their own endpoint", async () => {
      const at = (path: string) =>
        createHistoryStore(openDb({ databaseUrl: DATABASE_URL, httpUrl: `${neon.url}${path}`, timeoutMs: 30_000 }));
      const [alive, lost] = [at("/sql"), at("/nowhere")];
      expect([(await alive.ping()).ok, (await lost.ping()).ok, (await alive.ping()).ok]).toEqual([true, false, true]);
    });

    test("ping measures by the given clock; schemaVersion is the last migration", async () => {
      const ticks = [1_000, 1_012];
      const db = openDb({ databaseUrl: DATABASE_URL, httpUrl: `${neon.url}/sql`, timeoutMs: 30_000 });
      expect(await createHistoryStore(db, { now: () => ticks.shift() ?? 0 }).ping()).toEqual({
        ok: true,
        value: { latencyMs: 12 },
      });
      expect(await store.schemaVersion()).toEqual({ ok: true, value: SCHEMA_VERSION });
      for (let version = SCHEMA_VERSION; version > 0; version -= 1) {
        expect(await store.schemaVersion()).toEqual({ ok: true, value: version });
        await migrate(sql, "down");
      }
      await sql`drop table schema_migrations`;
      expect(await store.schemaVersion()).toEqual({ ok: true, value: 0 });
      await migrate(sql, "up");
    });
  });
});

test("[S10] [F24] an answer of 200 that is not the database's own is an outage, and makes no row a dead one", async () => {
  const bodies = ['{"result":"ok"}', '{"rows":[["x"]],"fields":[{"name":"x"}]}', "{}", "<html>", "null"];
  const gateway = await serveStandIn({
    name: "gateway",
    handle: (_request, response) => {
      response.writeHead(200, { "content-type": "application/json" }).end(bodies[0]);
    },
  });
  const store = createHistoryStore(openDb({ databaseUrl: DATABASE_URL, httpUrl: gateway.url, timeoutMs: 5_000 }));
  const unavailable = { ok: false, error: { code: "db_unavailable" } };
  while (bodies.length > 0) {
    expect(await store.saveBatch(batchOf([message(1)]))).toMatchObject(unavailable);
    expect(await store.saveBatch(batchOf([]))).toMatchObject(unavailable);
    expect(await store.countDeadLetters()).toMatchObject(unavailable);
    bodies.shift();
  }
  await gateway.close();
});
