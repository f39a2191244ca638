/**
 * What the real statements of the stores cost at 200,000 messages, half of them in one session: each is taken from the request that Neon's stand-in got, and explained
 * there. No plan reads a large table from end to end, and the last page of a list costs what the first one does.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { UserStore } from "../contracts/accounts.ts";
import type { Archive, Importer, MessageSearch, Page, Position } from "../contracts/archive.ts";
import { ok, type Result } from "../contracts/errors.ts";
import type { HistoryStore, MessageRow } from "../contracts/history.ts";
import type { Ledger, UsageRecord } from "../contracts/ledger.ts";
import { NO_PREFERENCES } from "../contracts/users.ts";
import { migrate } from "../db/migrate.ts";
import { openDb, openSql, type Sql } from "../db/open.ts";
import { DATABASE_URL, NEON_BACKENDS } from "../dev/stand-ins/neon/backends.ts";
import type { StandIn } from "../dev/stand-ins/serve.ts";
import { createArchive } from "../workers/main/history/archive.ts";
import { createImporter } from "../workers/main/history/importer.ts";
import { createLedger } from "../workers/main/history/ledger.ts";
import { createHistoryStore } from "../workers/main/history/store.ts";
import { createUserStore } from "../workers/main/history/users.ts";

const MESSAGES = 100_000;
const SESSIONS = 20_000;
/** Of all users, those who have sessions. */
const TALKERS = 50;
const USERS = 10_000;
/** Tables that grow with use. */
const LARGE = ["messages", "usage", "chat_sessions", "users", "user_preferences", "api_keys"];

const uuid = (kind: string, n: number): string => `01890000-0000-7000-${kind}-${n.toString(16).padStart(12, "0")}`;
const uuidSql = (kind: string, n: string): string =>
  `('01890000-0000-7000-${kind}-' || lpad(to_hex(${n}), 12, '0'))::uuid`;
const userOf = `1 + case when n % 5 = 0 then 0 else n % ${TALKERS} end`;
/** Has a fifth of everything. */
const ANN = uuid("8000", 1);
/** One of the others. */
const BOB = uuid("8000", 7);
const SESSION = uuid("9000", 5);
/** One session of as many messages as all others together, without branches: each branch costs its own row more. */
const LONG = { sessionId: uuid("9000", SESSIONS + 1), userId: uuid("8000", 60) };
const FIRST_MS = Date.UTC(2026, 0, 1);
const DAY_MS = 24 * 3_600_000;

/** Users, sessions and messages as of a year: the messages of many sessions lie between each other. */
async function load(sql: Sql): Promise<void> {
  await sql.query(
    `insert into users (id, username, email, password_hash)
     select ${uuidSql("8000", "n")}, 'user' || n, 'user' || n || '@example.test', 'x' from generate_series(1, ${USERS}) n`,
  );
  await sql.query("insert into user_preferences (user_id) select id from users");
  await sql.query(
    `insert into api_keys (id, user_id, name, hash, scopes, expires_at)
     select ${uuidSql("c000", "n")}, ${uuidSql("8000", `1 + n % ${USERS}`)}, 'key', md5(n::text), '{chat}', now()
     from generate_series(1, ${2 * USERS}) n`,
  );
  await sql.query("insert into chat_sessions (id, user_id, title) values ($1, $2, 'long')", Object.values(LONG));
  await sql.query(
    `insert into messages (id, session_id, user_id, seq, parent_id, role, content, created_at)
     select ${uuidSql("b000", "n")}, $1, $2, n, case when n > 1 then ${uuidSql("b000", "n - 1")} end,
       case when n % 2 = 1 then 'user' else 'assistant' end, 'said ' || n,
       timestamptz '2026-01-01' + n * interval '1 second'
     from generate_series(1, ${MESSAGES}) n`,
    Object.values(LONG),
  );
  await sql.query(
    `insert into chat_sessions (id, user_id, title, is_active, created_at, updated_at)
     select ${uuidSql("9000", "n")}, ${uuidSql("8000", userOf)}, 'session ' || n, n % 7 <> 0, at, at
     from (select n, timestamptz '2026-01-01' + n * interval '20 minutes' as at from generate_series(1, ${SESSIONS}) n) made`,
  );
  await sql.query(
    `insert into messages (id, session_id, user_id, seq, role, content, model_used, tokens_used, cache, created_at)
     select ${uuidSql("a000", "n")}, sessions.id, user_id, 1 + n / ${SESSIONS}, case when n / ${SESSIONS} % 2 = 0 then 'user' else 'assistant' end,
       'a common text number ' || n || ' with rare' || n % 97 || ' words of its own' || repeat(' and some more', 5),
       'model ' || n % 3, 10, 'miss', sessions.created_at + n / ${SESSIONS} * interval '1 second'
     from generate_series(0, ${MESSAGES - 1}) n join chat_sessions sessions on sessions.id = ${uuidSql("9000", `1 + n % ${SESSIONS}`)}`,
  );
  await sql.query(
    `insert into usage (id, user_id, kind, session_id, model, prompt_tokens, completion_tokens, is_estimated, created_at)
     select id, user_id, 'turn', session_id, coalesce(model_used, 'm'), 5, 5, false, created_at from messages where role = 'assistant'`,
  );
  // As autovacuum leaves them.
  await sql.query("vacuum analyze");
}

interface Plan {
  "Node Type": string;
  "Relation Name"?: string;
  "Index Cond"?: string;
  "Actual Rows"?: number;
  "Actual Loops"?: number;
  "Rows Removed by Filter"?: number;
  "Rows Removed by Index Recheck"?: number;
  "Shared Hit Blocks"?: number;
  "Shared Read Blocks"?: number;
  Plans?: Plan[];
}

function nodesOf(plan: Plan): Plan[] {
  return [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];
}

/** Also by an index of which no part is left out. */
function isFullScan(node: Plan): boolean {
  const { "Node Type": type } = node;
  return type === "Seq Scan" || (/^Index (Only )?Scan$/.test(type) && node["Index Cond"] === undefined);
}

interface Cost {
  queries: number;
  rowsRead: number;
  buffers: number;
}

describe.each(NEON_BACKENDS)("$name", ({ name, isMissing, open }) => {
  describe.skipIf(isMissing)("at 200,000 messages, half of them in one session", () => {
    let neon: StandIn;
    let sql: Sql;
    let stores: Stores;

    beforeAll(async () => {
      neon = await open();
      const address = { databaseUrl: DATABASE_URL, httpUrl: `${neon.url}/sql`, timeoutMs: 300_000 };
      sql = openSql(address);
      await migrate(sql, "up");
      await load(sql);
      const db = openDb(address);
      const onFault = (): void => undefined;
      stores = {
        archive: createArchive(db, { onFault, workTimeoutMs: 300_000 }),
        history: createHistoryStore(db, { onFault }),
        importer: createImporter(db, onFault),
        ledger: createLedger(db, onFault),
        users: createUserStore(db, onFault),
      };
    }, 300_000);
    afterAll(() => neon.close());

    /** The statements of the last request, as they were sent. */
    function statements(): { query: string; params: unknown[] }[] {
      const sent = neon.stats().last_request as { query: string; params: unknown[] } | { queries: [] };
      return "queries" in sent ? sent.queries : [sent];
    }

    async function explain(options: string): Promise<Plan[]> {
      const plans: Plan[] = [];
      for (const { query, params } of statements()) {
        const rows = await sql.query(`explain (${options}, format json) ${query}`, params);
        for (const row of rows) plans.push(...(row["QUERY PLAN"] as { Plan: Plan }[]).map(({ Plan: plan }) => plan));
      }
      return plans;
    }

    async function costOf(call: () => Promise<unknown>): Promise<Cost> {
      await call();
      const queries = statements().length;
      // Twice: the first run reads what the second one finds.
      await explain("analyze, buffers");
      await call();
      const plans = await explain("analyze, buffers");
      const nodes = plans.flatMap(nodesOf);
      const scans = nodes.filter((node) => node["Relation Name"] !== undefined);
      const rowsRead = scans.reduce((sum, node) => sum + rowsOf(node), 0);
      const buffers = plans.reduce(
        (sum, plan) => sum + (plan["Shared Hit Blocks"] ?? 0) + (plan["Shared Read Blocks"] ?? 0),
        0,
      );
      return { queries, rowsRead, buffers };
    }

    test("[HIST-8] every statement of every store is explained", () => {
      const methods = Object.entries(stores).flatMap(([store, calls]) =>
        Object.keys(calls as object).map((method) => `${store}.${method}`),
      );
      const explained = new Set(callsOf(stores).map(([title]) => title.split(" ")[0]));
      expect(methods.filter((method) => !explained.has(method))).toEqual([]);
    });

    test("[HIST-8] no statement reads a large table from end to end", async () => {
      const scanned: string[] = [];
      for (const [title, call] of callsOf(stores)) {
        // Nothing is run, so that what is erased is there to be explained.
        neon.control({ mode: "err:57P01" });
        await call();
        neon.control({ mode: "up" });
        for (const node of (await explain("costs")).flatMap(nodesOf)) {
          if (LARGE.includes(node["Relation Name"] ?? "") && isFullScan(node)) scanned.push(title);
        }
      }
      expect(scanned).toEqual([]);
    }, 300_000);

    /** What the first page of a list costs, and the last full one, to which a walk goes from so many days after the oldest. */
    async function firstAndLast(
      title: string,
      days: number,
      read: (after?: Position) => Promise<Result<Page<unknown>>>,
    ) {
      let lastFull: Position | undefined;
      let after: Position | undefined = { atMs: FIRST_MS + days * DAY_MS, id: SESSION };
      while (after !== undefined) {
        const page: Result<Page<unknown>> = await read(after);
        if (!page.ok) throw new Error(page.error.code);
        // With another one below it, it is full.
        if (page.value.next !== undefined) lastFull = after;
        after = page.value.next;
      }
      expect(lastFull).toBeDefined();
      const [first, last] = [await costOf(() => read(undefined)), await costOf(() => read(lastFull))];
      console.log(`${name}, ${title}: first page ${JSON.stringify(first)}, last full page ${JSON.stringify(last)}`);
      return { title, first, last };
    }

    test("[HIST-9] the last page of 100,000 messages of one session costs what the first one does, both ways", async () => {
      const read = (query: { before?: number; after?: number }) => () =>
        stores.history.readMessages({ ...LONG, ...query, limit: 50 });
      for (const [way, firstPage, lastPage] of [
        ["newest first", {}, { before: 51 }],
        ["oldest first", { after: 0 }, { after: MESSAGES - 50 }],
      ] as const) {
        const [first, last] = [await costOf(read(firstPage)), await costOf(read(lastPage))];
        console.log(
          `${name}, messages, ${way}: first page ${JSON.stringify(first)}, last page ${JSON.stringify(last)}`,
        );
        expectAlike(first, last);
      }
    }, 300_000);

    test("[HIST-9] the last page costs what the first one does: sessions, and messages that are found", async () => {
      const { archive } = stores;
      const search = (text: string) => async (after?: Position) => {
        const found = await archive.search({ ...SEARCH, limit: 50, text, after });
        return found.ok ? ok(found.value ?? { items: [], next: undefined }) : found;
      };
      const lists = [
        await firstAndLast("sessions", 30, (after) =>
          archive.listSessions({ ...PAGE, limit: 100, after, archived: "all" }),
        ),
        await firstAndLast("a word in every message", 30, search("common")),
        await firstAndLast("a word in one of 97", 365, search("rare7")),
      ];
      for (const { first, last } of lists) expectAlike(first, last);
    }, 300_000);
  });
});

function expectAlike(first: Cost, last: Cost): void {
  expect(last.queries).toBe(first.queries);
  expect(last.rowsRead).toBeLessThanOrEqual(1.25 * first.rowsRead);
  expect(last.buffers).toBeLessThanOrEqual(1.25 * first.buffers);
}

interface Stores {
  archive: Archive;
  history: HistoryStore;
  importer: Importer;
  ledger: Ledger;
  users: UserStore;
}

const PAGE = { userId: ANN, after: undefined, limit: 20 };
const SEARCH: MessageSearch = {
  ...{ ...PAGE, text: "rare7", sessionId: undefined, role: undefined, fromMs: undefined, toMs: undefined },
};

const FILE = { sha256: "0".repeat(64) };

/** Every call that the API makes, by store and method; a method of several statements comes with each. */
function callsOf({
  archive,
  history,
  importer,
  ledger,
  users,
}: Stores): [title: string, call: () => Promise<unknown>][] {
  const after = { atMs: FIRST_MS + 100 * DAY_MS, id: SESSION };
  const year = { fromMs: FIRST_MS, toMs: FIRST_MS + 365 * DAY_MS };
  const session = {
    ...{ id: SESSION, userId: ANN, title: "t", modelType: "openai", modelName: "m", isActive: true },
    ...{ createdAtMs: FIRST_MS, updatedAtMs: FIRST_MS },
  };
  const message = {
    ...{ id: uuid("b000", 1), seq: 900, parentId: null, branchFrom: null, role: "user", content: "c" },
    ...{ status: "complete", tokensUsed: 0 },
    ...{ promptTokens: 0, completionTokens: 0, costUsd: null, cache: null, modelUsed: null, provider: null },
    ...{ mcpToolsUsed: [], metaInfo: {}, turnId: null, createdAtMs: FIRST_MS },
  } satisfies MessageRow;
  const record = {
    ...{ id: uuid("e000", 1), userId: ANN, kind: "direct", sessionId: null, turnId: null, model: "m", provider: "p" },
    ...{ promptTokens: 1, completionTokens: 1, costUsd: 0.1, isEstimated: false, createdAtMs: FIRST_MS },
  } satisfies UsageRecord;
  const key = { id: uuid("c000", 7), name: "k", scopes: [], createdAtMs: 0, expiresAtMs: 0, lastUsedAtMs: null };
  return [
    ["archive.listSessions", () => archive.listSessions({ ...PAGE, archived: "false" })],
    ["archive.listSessions archived", () => archive.listSessions({ ...PAGE, after, archived: "true" })],
    ["archive.listSessions all", () => archive.listSessions({ ...PAGE, after, archived: "all" })],
    ["archive.search rare", () => archive.search(SEARCH)],
    ["archive.search common", () => archive.search({ ...SEARCH, text: "common" })],
    ["archive.search unknown", () => archive.search({ ...SEARCH, text: "nowhere" })],
    ["archive.search either", () => archive.search({ ...SEARCH, text: "rare7 or common" })],
    ["archive.search without", () => archive.search({ ...SEARCH, text: "-common" })],
    ["archive.search page", () => archive.search({ ...SEARCH, text: "common", after })],
    ["archive.search session", () => archive.search({ ...SEARCH, text: "common", sessionId: SESSION })],
    ["archive.search filters", () => archive.search({ ...SEARCH, text: "common", role: "assistant", ...year })],
    ["archive.readStats", () => archive.readStats(ANN, year)],
    ["archive.readStats session", () => archive.readStats(ANN, { ...year, sessionId: SESSION })],
    ["archive.readStats short", () => archive.readStats(BOB, { ...year, toMs: FIRST_MS + DAY_MS })],
    ["history.saveBatch", () => history.saveBatch({ session, messages: [message] })],
    ["history.saveBatch usage", () => history.saveBatch({ session, messages: [message], usage: [record] })],
    ["history.saveBatch empty", () => history.saveBatch({ session, messages: [] })],
    ["history.readSession", () => history.readSession(SESSION, ANN)],
    ["history.readMessages newest", () => history.readMessages({ ...LONG, limit: 50 })],
    ["history.readMessages before", () => history.readMessages({ ...LONG, before: 500, limit: 50 })],
    ["history.readMessages after", () => history.readMessages({ ...LONG, after: 500, limit: 50 })],
    ["history.readWindow", () => history.readWindow({ ...LONG, messages: 100, bytes: 100_000 })],
    ["history.findTurn", () => history.findTurn({ turnId: uuid("f000", 1), userId: ANN })],
    ["history.idleSessions", () => history.idleSessions({ beforeMs: year.toMs, after: undefined, limit: 50 })],
    ["history.idleSessions after", () => history.idleSessions({ beforeMs: year.toMs, after: SESSION, limit: 50 })],
    ["history.usedSessions", () => history.usedSessions({ sinceMs: year.fromMs, after: undefined, limit: 50 })],
    [
      "history.usedSessions after",
      () => history.usedSessions({ sinceMs: year.toMs, after: uuid("a000", 5), limit: 50 }),
    ],
    ["history.agedMessages", () => history.agedMessages({ beforeMs: year.toMs, after: undefined, limit: 500 })],
    ["history.agedMessages after", () => history.agedMessages({ beforeMs: year.toMs, after: SESSION, limit: 500 })],
    ["history.forgetMessages", () => history.forgetMessages({ sessionId: SESSION, userId: ANN, keepFrom: 3 })],
    ["history.inspectSession", () => history.inspectSession({ ...LONG, from: MESSAGES - 10 })],
    ["history.saveAttachment", () => history.saveAttachment({ ...LONG, ...FILE, mimeType: "image/png", data: "AAAA" })],
    ["history.readAttachment", () => history.readAttachment({ ...LONG, ...FILE })],
    ["history.setAside", () => history.setAside({ sessionId: SESSION, seq: 1, code: "conflict" })],
    ["history.setAside usage", () => history.setAside({ sessionId: SESSION, seq: 1, code: "c", usage: [record] })],
    ["history.eraseSession", () => history.eraseSession(SESSION, ANN)],
    ["history.countDeadLetters", () => history.countDeadLetters()],
    ["history.ping", () => history.ping()],
    ["history.schemaVersion", () => history.schemaVersion()],
    ["ledger.save", () => ledger.save([record])],
    ["importer.add", () => importer.add(ANN, [{ session, messages: [message], source: "chatgpt", copyOf: SESSION }])],
    [
      "users.create",
      () => users.create({ id: uuid("d000", 1), username: "n", email: "n@example.test", passwordHash: "x" }),
    ],
    ["users.read", () => users.read(ANN)],
    ["users.findForLogin name", () => users.findForLogin({ username: "user1" })],
    ["users.findForLogin address", () => users.findForLogin({ email: "user1@example.test" })],
    ["users.readPasswordHash", () => users.readPasswordHash(ANN)],
    ["users.update", () => users.update(ANN, { role: "admin" })],
    ["users.loadAccount", () => users.loadAccount(ANN)],
    ["users.putPreferences", () => users.putPreferences(ANN, NO_PREFERENCES)],
    ["users.addKey", () => users.addKey(ANN, { ...key, hash: "h" })],
    ["users.listKeys", () => users.listKeys(ANN)],
    ["users.removeKey", () => users.removeKey(ANN, key.id)],
    ["users.touchKey", () => users.touchKey(ANN, key.id, FIRST_MS)],
    ["users.sessionIds", () => users.sessionIds(BOB, undefined, 100)],
    ["users.sessionIds after", () => users.sessionIds(BOB, SESSION, 100)],
    ["users.erase", () => users.erase(BOB)],
  ];
}

function rowsOf(node: Plan): number {
  const perLoop =
    (node["Actual Rows"] ?? 0) + (node["Rows Removed by Filter"] ?? 0) + (node["Rows Removed by Index Recheck"] ?? 0);
  return perLoop * (node["Actual Loops"] ?? 1);
}
