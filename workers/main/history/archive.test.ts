/** What a user reads of the history in Postgres, and what an import writes there, against the Neon stand-in on every database. */
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Archive, ImportedSession, Importer, MessageSearch, Page, Position } from "../../../contracts/archive.ts";
import type { Result } from "../../../contracts/errors.ts";
import { type DbFault, openDb, openSql, type Sql } from "../../../db/open.ts";
import { migrate } from "../../../db/migrate.ts";
import { DATABASE_URL, NEON_BACKENDS } from "../../../dev/stand-ins/neon/backends.ts";
import type { StandIn } from "../../../dev/stand-ins/serve.ts";
import { createArchive } from "./archive.ts";
import { createImporter } from "./importer.ts";

const uuid = (n: number): string => `01890000-0000-7000-8000-${n.toString(16).padStart(12, "0")}`;
const ANN = uuid(1);
const BOB = uuid(2);
const T0 = Date.UTC(2026, 4, 10, 12);
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

function valueOf<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(result.error.code);
  return result.value;
}

describe.each(NEON_BACKENDS)("$name", ({ name, isMissing, open }) => {
  describe.skipIf(isMissing)("archive", () => {
    let neon: StandIn;
    let sql: Sql;
    let archive: Archive;
    let importer: Importer;
    let faults: DbFault[];

    beforeAll(async () => {
      neon = await open();
      sql = openSql({ databaseUrl: DATABASE_URL, httpUrl: `${neon.url}/sql`, timeoutMs: 30_000 });
      await migrate(sql, "up");
      archive = archiveWithin(30_000);
      const db = openDb({ databaseUrl: DATABASE_URL, httpUrl: `${neon.url}/sql`, timeoutMs: 30_000 });
      importer = createImporter(db, (fault) => faults.push(fault));
    }, 60_000);
    beforeEach(async () => {
      faults = [];
      neon.control({ mode: "up", latencyMs: 0 });
      await sql`truncate users cascade`;
      for (const [id, user] of [
        [ANN, "ann"],
        [BOB, "bob"],
      ]) {
        await sql`insert into users (id, username, email, password_hash) values (${id}, ${user}, ${`${user}@example.test`}, 'x')`;
      }
    });
    afterAll(() => neon.close());

    function archiveWithin(workTimeoutMs: number): Archive {
      const db = openDb({ databaseUrl: DATABASE_URL, httpUrl: `${neon.url}/sql`, timeoutMs: 30_000 });
      return createArchive(db, { workTimeoutMs, onFault: (fault) => faults.push(fault) });
    }

    async function addSession(n: number, { userId = ANN, atMs = T0, title = `session ${n}`, isActive = true } = {}) {
      const at = new Date(atMs).toISOString();
      await sql`insert into chat_sessions (id, user_id, title, is_active, created_at, updated_at)
        values (${uuid(n)}, ${userId}, ${title}, ${isActive}, ${at}, ${at})`;
      return uuid(n);
    }

    /** A message of session 100; `seq` is its number too. */
    async function say(seq: number, content: string, more: Record<string, unknown> = {}): Promise<string> {
      const row = {
        ...{ id: uuid(1_000 + seq), session_id: uuid(100), user_id: ANN, seq, role: "user", content },
        created_at: new Date(T0 + seq * 1_000).toISOString(),
        ...more,
      };
      const columns = Object.keys(row);
      const places = columns.map((_, index) => `$${index + 1}`);
      await sql.query(`insert into messages (${columns.join()}) values (${places.join()})`, Object.values(row));
      return row.id;
    }

    /** What the ledger says of it. */
    async function spend(n: number, model: string, more: Record<string, unknown>): Promise<void> {
      const row = {
        ...{ id: uuid(2_000 + n), user_id: ANN, kind: "turn", model, prompt_tokens: 20, completion_tokens: 10 },
        ...{ is_estimated: false, ...more },
      };
      const columns = Object.keys(row);
      const places = columns.map((_, index) => `$${index + 1}`);
      await sql.query(`insert into usage (${columns.join()}) values (${places.join()})`, Object.values(row));
    }

    const SEARCH: MessageSearch = {
      ...{ userId: ANN, text: "sea", after: undefined, limit: 50 },
      ...{ sessionId: undefined, role: undefined, fromMs: undefined, toMs: undefined },
    };
    const found = async (more: Partial<MessageSearch>): Promise<number[]> => {
      const page = valueOf(await archive.search({ ...SEARCH, ...more }));
      return (page?.items ?? []).map(({ seq }) => seq);
    };

    /** All pages of a list; `between` runs after each. */
    async function readAll<T>(
      read: (after: Position | undefined) => Promise<Page<T>>,
      between: (items: T[]) => Promise<void> = () => Promise.resolve(),
    ): Promise<T[]> {
      const all: T[] = [];
      let after: Position | undefined;
      do {
        const page = await read(after);
        all.push(...page.items);
        after = page.next;
        await between(page.items);
      } while (after !== undefined);
      return all;
    }
    const sessionsOf = (limit: number) => async (after: Position | undefined) =>
      valueOf(await archive.listSessions({ userId: ANN, after, limit, archived: "all" }));

    test("[HIST-1] sessions come newest first, with what a list shows, and nobody else's", async () => {
      await addSession(100, { title: "täg \u202e \u{1f600}" });
      await addSession(101, { atMs: T0 + 5, isActive: false });
      await addSession(102, { atMs: T0 - 5 });
      await addSession(103, { userId: BOB });
      await say(1, "one");
      await say(2, "two");
      const list = async (archived: "true" | "false" | "all") =>
        valueOf(await archive.listSessions({ userId: ANN, after: undefined, limit: 10, archived })).items;
      expect((await list("all")).map(({ id }) => id)).toEqual([uuid(101), uuid(100), uuid(102)]);
      expect((await list("true")).map(({ id }) => id)).toEqual([uuid(101)]);
      const calls = neon.stats().calls;
      expect(await list("false")).toEqual([
        {
          ...{ id: uuid(100), title: "täg \u202e \u{1f600}", model_type: null, model_name: null, is_active: true },
          ...{ message_count: 2, created_at: new Date(T0).toISOString(), updated_at: new Date(T0).toISOString() },
        },
        expect.objectContaining({ id: uuid(102), message_count: 0 }),
      ]);
      expect(neon.stats().calls - calls).toBe(1);
    });

    test("[HIST-2] paging sees every session that was there exactly once, whatever comes and goes meanwhile", async () => {
      const old: string[] = [];
      // Several share a moment, and so do those that come later.
      for (let n = 200; n < 230; n += 1) old.push(await addSession(n, { atMs: T0 + Math.floor(n / 4) }));
      let fresh = 300;
      const seen = await readAll(sessionsOf(7), async (items) => {
        for (const offset of [-1, 0, 1]) {
          const nearMs = Date.parse(items.at(-1)?.created_at ?? "") + offset;
          await addSession(fresh, { atMs: nearMs });
          fresh += 1;
        }
        // One that has been shown goes.
        await sql`delete from chat_sessions where id = ${items[0]?.id}`;
      });
      const ids = seen.map(({ id }) => id);
      expect(new Set(ids).size).toBe(ids.length);
      expect(ids.filter((id) => old.includes(id)).toSorted()).toEqual(old);
      const times = seen.map(({ created_at }) => created_at);
      expect(times).toEqual(times.toSorted().toReversed());
    });

    test("[HIST-2] a page that is full to the last row has no next one", async () => {
      for (let n = 200; n < 206; n += 1) await addSession(n);
      expect(
        valueOf(await archive.listSessions({ userId: ANN, after: undefined, limit: 6, archived: "all" })).next,
      ).toBe(undefined);
      expect(await readAll(sessionsOf(3))).toHaveLength(6);
    });

    test("[HIST-3] the search finds words, phrases, either and without, in one's own messages, newest first", async () => {
      await addSession(100);
      await addSession(101, { userId: BOB });
      await say(1, "The sea is calm");
      await say(2, "Calm is what the SEA is not", { role: "assistant" });
      await say(3, "Land ahoy");
      await say(4, "Das Meer, 海, море", { role: "assistant" });
      await say(5, "Bob's sea", { session_id: uuid(101), user_id: BOB, seq: 1 });
      expect(await found({})).toEqual([2, 1]);
      expect(await found({ text: "calm sea" })).toEqual([2, 1]);
      expect(await found({ text: '"sea is calm"' })).toEqual([1]);
      expect(await found({ text: "sea or land" })).toEqual([3, 2, 1]);
      expect(await found({ text: "sea -not" })).toEqual([1]);
      expect(await found({ text: "море" })).toEqual([4]);
      expect(await found({ text: "海" })).toEqual([4]);
      // What finds nothing finds nothing: without a word there is nothing to find.
      for (const text of ["sky", "!!!", "-sky", "-sea -land", "seas", "' or 1=1 --", '"', "a & | ! :* <->"]) {
        expect(await found({ text }), text).toEqual([]);
      }
    });

    test("[HIST-3] filters: session, role, from, to; a session that is not the user's is none", async () => {
      await addSession(100);
      await addSession(101);
      await addSession(102, { userId: BOB });
      await say(1, "sea");
      await say(2, "sea", { role: "assistant" });
      await say(3, "sea", { session_id: uuid(101) });
      expect(await found({ sessionId: uuid(100) })).toEqual([2, 1]);
      expect(await found({ role: "assistant" })).toEqual([2]);
      expect(await found({ fromMs: T0 + 2_000 })).toEqual([3, 2]);
      expect(await found({ toMs: T0 + 2_000 })).toEqual([1]);
      expect(await found({ fromMs: T0 + 2_000, toMs: T0 + 2_000 })).toEqual([]);
      const calls = neon.stats().calls;
      for (const sessionId of [uuid(102), uuid(999)]) {
        expect(await archive.search({ ...SEARCH, sessionId })).toEqual({ ok: true, value: undefined });
      }
      expect(neon.stats().calls - calls).toBe(2);
    });

    test("[HIST-3] pages of a search, with messages of one moment", async () => {
      await addSession(100);
      const at = new Date(T0).toISOString();
      for (let seq = 1; seq <= 10; seq += 1) await say(seq, `sea ${seq}`, { created_at: at });
      const read = async (after: Position | undefined) =>
        valueOf(await archive.search({ ...SEARCH, after, limit: 3 })) ?? { items: [], next: undefined };
      expect((await readAll(read)).map(({ seq }) => seq)).toEqual([10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
    });

    test("[HIST-4] snippets are pieces of text, and say which of them match", async () => {
      await addSession(100, { title: "About water" });
      await say(1, `${"before ".repeat(500)}the sea and the Sea${" after".repeat(500)}`);
      const page = valueOf(await archive.search(SEARCH));
      expect(page?.items[0]).toMatchObject({ session_title: "About water", session_id: uuid(100), role: "user" });
      const snippet = page?.items[0]?.snippet ?? [];
      expect(snippet.filter(({ match }) => match).map(({ text }) => text)).toEqual(["sea", "Sea"]);
      expect(snippet.map(({ text }) => text).join("")).toMatch(/before the sea and the Sea after/);
      expect(snippet.map(({ text }) => text).join("").length).toBeLessThanOrEqual(600);
    });

    test("[HIST-4] what a message holds is never taken for a mark, nor for HTML", async () => {
      await addSession(100);
      await say(1, "it is \ue000not\ue001 a match, sea & <script>alert(1)</script> \ue001\ue000");
      const [result] = valueOf(await archive.search(SEARCH))?.items ?? [];
      expect(result?.snippet.filter(({ match }) => match)).toEqual([{ text: "sea", match: true }]);
      const text = result?.snippet.map((piece) => piece.text).join("") ?? "";
      expect(text).toContain("is \ufffdnot\ufffd a match, sea");
      expect(text).not.toMatch(/[\ue000\ue001]|<b>/u);
    });

    test("[B22] text of any kind is found and shown as it is", async () => {
      await addSession(100);
      const odd = ["\u202eabc\u202c", "ｓｅａ", `e${"\u0301".repeat(10_000)}`, "👩‍👩‍👧‍👦", "раураl"];
      for (const [index, text] of odd.entries()) await say(index + 1, `sea ${text}`);
      const results = valueOf(await archive.search(SEARCH))?.items ?? [];
      expect(results).toHaveLength(odd.length);
      for (const { seq, snippet } of results) {
        const shown = snippet.map(({ text }) => text).join("");
        expect(`sea ${odd[seq - 1]}`.startsWith(shown)).toBe(true);
        expect(shown.isWellFormed()).toBe(true);
      }
    });

    test("[HIST-3] whatever is looked for, the database takes it", async () => {
      await addSession(100);
      await say(1, "sea");
      const text = fc.string({ unit: "binary", maxLength: 400 }).map((some) => some.replaceAll("\0", ""));
      await fc.assert(
        fc.asyncProperty(text, async (some) => {
          expect(await archive.search({ ...SEARCH, text: some.toWellFormed() })).toMatchObject({ ok: true });
        }),
        { numRuns: 100, seed: 7 },
      );
      expect(faults).toEqual([]);
    });

    test("[HIST-5] statistics add up what was used, and apart from it what the cache saved", async () => {
      await addSession(100, { atMs: T0 - 3 * DAY_MS });
      await addSession(101, { atMs: T0 });
      await addSession(102, { userId: BOB });
      const answer = { role: "assistant", prompt_tokens: 20, completion_tokens: 10 };
      const at = (atMs: number) => ({ created_at: new Date(atMs).toISOString() });
      await say(1, "q", at(T0));
      await say(2, "a", { ...answer, cost_usd: 0.5, cache: "miss", ...at(T0 + 1) });
      await spend(2, "a", { cost_usd: 0.5, session_id: uuid(100), ...at(T0 + 1) });
      await say(3, "q", at(T0 + 2));
      await say(4, "a", { ...answer, cost_usd: 0.25, cache: "hit", ...at(T0 + 3) });
      await say(5, "a", { ...answer, cache: "bypass", ...at(T0 + DAY_MS) });
      await spend(5, "b", at(T0 + DAY_MS));
      // A call without a message, on a day of its own.
      await spend(6, "b", { kind: "direct", cost_usd: 0.125, ...at(T0 + 1.75 * DAY_MS) });
      // Outside: too old, and another user's.
      await say(6, "a", { ...answer, cost_usd: 9, ...at(T0 - 2 * DAY_MS) });
      await spend(7, "a", { cost_usd: 9, ...at(T0 - 2 * DAY_MS) });
      await spend(8, "a", { cost_usd: 9, user_id: BOB, ...at(T0) });
      await say(7, "a", { ...answer, cost_usd: 9, session_id: uuid(102), user_id: BOB, seq: 1, ...at(T0) });
      const window = { fromMs: T0 - 12 * HOUR_MS, toMs: T0 + 2 * DAY_MS };
      const calls = neon.stats().calls;
      const stats = valueOf(await archive.readStats(ANN, window));
      expect(neon.stats().calls - calls).toBe(1);
      expect(stats).toEqual({
        from: "2026-05-10T00:00:00.000Z",
        to: "2026-05-12T12:00:00.000Z",
        sessions: { total: 2, started: 1 },
        messages: { total: 5, user: 2, assistant: 3 },
        tokens: { prompt_tokens: 60, completion_tokens: 30, total_tokens: 90, without_price: 30 },
        cost_usd: 0.625,
        models: [
          { model: "a", answers: 1, prompt_tokens: 20, completion_tokens: 10, total_tokens: 30, cost_usd: 0.5 },
          { model: "b", answers: 2, prompt_tokens: 40, completion_tokens: 20, total_tokens: 60, cost_usd: 0.125 },
        ],
        saved_by_cache: { answers: 1, prompt_tokens: 20, completion_tokens: 10, total_tokens: 30, cost_usd: 0.25 },
        activity: [
          { day: "2026-05-10", messages: 4, tokens: 30 },
          { day: "2026-05-11", messages: 1, tokens: 30 },
          { day: "2026-05-12", messages: 0, tokens: 30 },
        ],
      });
      const ofSession = async (n: number, userId = ANN) =>
        valueOf(await archive.readStats(userId, { ...window, sessionId: uuid(n) }));
      expect(await ofSession(100)).toMatchObject({
        sessions: { total: 1, started: 0 },
        messages: { total: 5 },
        ...{ tokens: { prompt_tokens: 20, completion_tokens: 10, total_tokens: 30, without_price: 0 }, cost_usd: 0.5 },
        models: [{ model: "a", answers: 1, cost_usd: 0.5 }],
        saved_by_cache: { answers: 1, cost_usd: 0.25 },
      });
      const empty = { messages: { total: 0 }, tokens: { total_tokens: 0 }, cost_usd: 0, models: [], activity: [] };
      expect(await ofSession(101)).toMatchObject({ sessions: { total: 1, started: 1 }, ...empty });
      // Another user's is one that is not there.
      expect(await ofSession(100, BOB)).toMatchObject({ sessions: { total: 0, started: 0 }, ...empty });
      const nothing = valueOf(await archive.readStats(uuid(999), window));
      expect(nothing).toMatchObject({ sessions: { total: 0, started: 0 }, messages: { total: 0 }, models: [] });
    });

    // PGlite is one thread, which nothing interrupts.
    test.skipIf(name === "PGlite")(
      "[HIST-6] a search that takes too long is given up by the database itself",
      async () => {
        await addSession(100);
        for (let seq = 1; seq <= 40; seq += 1) await say(seq, `sea ${"word ".repeat(20_000)}`);
        const hasty = await archiveWithin(1).search(SEARCH);
        expect(hasty).toMatchObject({ ok: false, error: { code: "db_timeout" } });
        expect(faults).toEqual([{ kind: "timeout", reason: "57014" }]);
        // The limit was that transaction's alone.
        expect(await sql`select current_setting('statement_timeout') as limit`).toEqual([{ limit: "0" }]);
      },
    );

    test.each(["down", "err:57P01", "lost"])(
      "[HIST-6] %s is db_unavailable, and nothing of the query is told",
      async (mode) => {
        neon.control({ mode });
        const session = imported(100, [{ content: "canary-4711" }]);
        const outcomes = [
          await archive.listSessions({ userId: ANN, after: undefined, limit: 5, archived: "all" }),
          await archive.search({ ...SEARCH, text: "canary-4711" }),
          await archive.readStats(ANN, { fromMs: 0, toMs: T0 }),
          await importer.add(ANN, [session]),
        ];
        const error = { code: "db_unavailable", message: "the database cannot be reached" };
        expect(outcomes).toEqual(outcomes.map(() => ({ ok: false, error })));
        expect(JSON.stringify(faults)).not.toContain("canary");
      },
    );

    function imported(
      n: number,
      messages: { content: string }[],
      more: Partial<ImportedSession> = {},
    ): ImportedSession {
      return {
        session: {
          ...{ id: uuid(n), title: `imported ${n}`, modelType: null, modelName: "m", isActive: false },
          ...{ createdAtMs: T0, updatedAtMs: T0 + 5 },
        },
        messages: messages.map(({ content }, index) => ({
          ...{ id: uuid(n * 100 + index), seq: index + 1, content, status: "complete", modelUsed: "m" },
          role: index % 2 === 0 ? "user" : "assistant",
          parentId: index === 0 ? null : uuid(n * 100 + index - 1),
          createdAtMs: T0 + index,
        })),
        source: "chatgpt",
        copyOf: undefined,
        ...more,
      };
    }
    const counts = async () => {
      const [row] =
        await sql`select (select count(*)::int4 from chat_sessions) as sessions, count(*)::int4 as messages from messages`;
      return row;
    };

    test("[HIST-7] an import keeps every field, in one request, and again adds nothing", async () => {
      const sessions = [
        imported(400, [{ content: "täg \u{1f600}" }, { content: "b" }]),
        imported(401, [{ content: "c" }]),
      ];
      const calls = neon.stats().calls;
      expect(await importer.add(ANN, sessions)).toEqual({ ok: true, value: { sessions: 2, messages: 3 } });
      expect(neon.stats().calls - calls).toBe(1);
      const [row] =
        await sql`select chat_sessions.*, content, seq, parent_id, role, status, model_used, meta_info, tokens_used,
        messages.user_id as owner, extract(epoch from messages.created_at) * 1000 as at
        from messages join chat_sessions on chat_sessions.id = session_id where messages.id = ${uuid(40_001)}`;
      expect(row).toMatchObject({
        ...{ id: uuid(400), user_id: ANN, owner: ANN, title: "imported 400", model_name: "m", is_active: false },
        ...{ content: "b", seq: 2, parent_id: uuid(40_000), role: "assistant", status: "complete", model_used: "m" },
        ...{ meta_info: { imported_from: "chatgpt" }, tokens_used: 0 },
      });
      expect(Number(row?.["at"])).toBe(T0 + 1);
      expect(await importer.add(ANN, sessions)).toEqual({ ok: true, value: { sessions: 0, messages: 0 } });
      expect(await counts()).toEqual({ sessions: 2, messages: 3 });
    });

    test("[HIST-7] a session that is there stays as it is, and so does a copy's original", async () => {
      await addSession(400, { title: "Mine, renamed" });
      await addSession(401);
      const sessions = [imported(400, [{ content: "a" }]), imported(402, [{ content: "b" }], { copyOf: uuid(401) })];
      expect(await importer.add(ANN, sessions)).toEqual({ ok: true, value: { sessions: 0, messages: 0 } });
      expect(await sql`select title from chat_sessions where id = ${uuid(400)}`).toEqual([{ title: "Mine, renamed" }]);
      expect(await counts()).toEqual({ sessions: 2, messages: 0 });
    });

    test("[HIST-7] [B38] an import never adds to, nor learns of, another user's session", async () => {
      await importer.add(ANN, [imported(400, [{ content: "a" }])]);
      const intruder = imported(400, [{ content: "mine" }, { content: "now" }]);
      const copy = imported(401, [{ content: "b" }], { copyOf: uuid(400) });
      expect(await importer.add(BOB, [intruder, copy])).toEqual({ ok: true, value: { sessions: 1, messages: 1 } });
      expect(await sql`select content, user_id from messages order by created_at, content`).toEqual([
        { content: "a", user_id: ANN },
        { content: "b", user_id: BOB },
      ]);
    });

    test("[HIST-7] one row that can never be stored leaves nothing of its request behind", async () => {
      const bad = [imported(400, [{ content: "a" }]), imported(401, [{ content: "a\0b" }])];
      expect(await importer.add(ANN, bad)).toMatchObject({ ok: false, error: { code: "invalid_request" } });
      expect(await importer.add(uuid(999), [imported(400, [])])).toMatchObject({ error: { code: "invalid_request" } });
      expect(faults.map(({ kind }) => kind)).toEqual(["values", "values"]);
      expect(await counts()).toEqual({ sessions: 0, messages: 0 });
    });
  });
});
