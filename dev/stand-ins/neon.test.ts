/** The stand-in against the real driver and Drizzle: the same cases on PGlite and on a real PostgreSQL. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { neon, neonConfig, NeonDbError } from "@neondatabase/serverless";
import { eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/neon-http";
import { integer, jsonb, pgTable, text, timestamp } from "drizzle-orm/pg-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { DATABASE_URL, NEON_BACKENDS } from "./neon/backends.ts";
import { serveNeon } from "./neon.ts";
import type { StandIn } from "./serve.ts";

const notes = pgTable("notes", {
  id: integer("id").primaryKey(),
  body: text("body").notNull().unique("notes_body_key"),
  tags: text("tags").array(),
  meta: jsonb("meta"),
  made: timestamp("made", { withTimezone: true, precision: 3 }),
});

describe.each(NEON_BACKENDS)("$name", ({ isMissing, open }) => {
  describe.skipIf(isMissing)("behind the stand-in", () => {
    const sql = neon(DATABASE_URL);
    let standIn: StandIn;

    beforeAll(async () => {
      standIn = await open();
      neonConfig.fetchEndpoint = `${standIn.url}/sql`;
      await sql`create table notes (id int primary key, body text not null constraint notes_body_key unique, tags text[], meta jsonb, made timestamptz(3))`;
    }, 60_000);
    afterEach(async () => {
      standIn.control({ mode: "up", latencyMs: 0 });
      await sql`truncate notes`;
    });
    afterAll(() => standIn.close());

    const faultOf = async (query: Promise<unknown>): Promise<NeonDbError> => {
      const error: unknown = await query.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(error).toBeInstanceOf(NeonDbError);
      return error as NeonDbError; // asserted above
    };

    test("values come back as the driver parses PostgreSQL's text", async () => {
      const [row] =
        await sql`select 1::int4 as i, 9007199254740993::int8 as big, 1.50::numeric as n, true as t, null as nothing,
        'x'::text as s, array['a b','"c"',null] as list, '{"a":[1]}'::jsonb as j, '\\x00ff'::bytea as raw, 0.1::float8 as f`;
      expect(row).toMatchObject({
        i: 1,
        big: "9007199254740993",
        n: "1.50",
        t: true,
        nothing: null,
        s: "x",
        list: ["a b", '"c"', null],
        j: { a: [1] },
        f: 0.1,
      });
      expect(row?.["raw"]).toEqual(Buffer.from([0, 255]));
    });

    test("parameters of every kind arrive", async () => {
      const [row] = await sql`select ${7}::int as i, ${null}::text as nothing, ${["a", "b,c"]}::text[] as list,
        ${{ a: "é\u{1f600}" }}::jsonb as j, ${true}::bool as t, ${Buffer.from([0, 1])}::bytea as raw`;
      expect(row).toMatchObject({ i: 7, nothing: null, list: ["a", "b,c"], j: { a: "é\u{1f600}" }, t: true });
      expect(row?.["raw"]).toEqual(Buffer.from([0, 1]));
    });

    test("a type made after the start is text", async () => {
      await sql`create type mood as enum ('sad', 'glad')`;
      expect(await sql`select ${"glad"}::mood as mood`).toEqual([{ mood: "glad" }]);
      await sql`drop type mood`;
    });

    test("the full result names command, count and columns", async () => {
      const result = await sql.query(
        "insert into notes (id, body) values ($1, $2), ($3, $4) returning id, body",
        [1, "a", 2, "b"],
        {
          fullResults: true,
          arrayMode: true,
        },
      );
      expect(result).toMatchObject({
        command: "INSERT",
        rowCount: 2,
        rowAsArray: true,
        rows: [
          [1, "a"],
          [2, "b"],
        ],
      });
      expect(result.fields).toMatchObject([
        { name: "id", dataTypeID: 23, format: "text" },
        { name: "body", dataTypeID: 25, format: "text" },
      ]);
    });

    test("an SQL error has all its fields", async () => {
      await sql`insert into notes (id, body) values (1, 'a')`;
      expect(await faultOf(sql`insert into notes (id, body) values (2, 'a')`)).toMatchObject({
        message: 'duplicate key value violates unique constraint "notes_body_key"',
        severity: "ERROR",
        code: "23505",
        detail: "Key (body)=(a) already exists.",
        schema: "public",
        table: "notes",
        constraint: "notes_body_key",
        routine: "_bt_check_unique",
      });
      expect(await faultOf(sql`select nothing from notes`)).toMatchObject({ code: "42703", position: "8" });
      expect(await faultOf(sql`select ${"\0"}::text`)).toMatchObject({ code: "22021" });
      expect(await faultOf(sql`select 1; select 2`)).toMatchObject({ code: "42601" });
    });

    test("a batch is one transaction: all or nothing", async () => {
      const add = (id: number) => sql`insert into notes (id, body) values (${id}, ${`n${id}`}) returning id`;
      expect(await sql.transaction([add(1), add(2)])).toEqual([[{ id: 1 }], [{ id: 2 }]]);
      expect(await faultOf(sql.transaction([add(3), add(1)]))).toMatchObject({ code: "23505" });
      expect(await sql`select id from notes order by id`).toEqual([{ id: 1 }, { id: 2 }]);
    });

    test("a batch honours isolation, read-only and deferrable", async () => {
      const show = [sql`show transaction_isolation`, sql`show transaction_read_only`, sql`show transaction_deferrable`];
      expect(await sql.transaction(show, { isolationLevel: "Serializable", readOnly: true, deferrable: true })).toEqual(
        [
          [{ transaction_isolation: "serializable" }],
          [{ transaction_read_only: "on" }],
          [{ transaction_deferrable: "on" }],
        ],
      );
      expect(await sql.transaction(show)).toEqual([
        [{ transaction_isolation: "read committed" }],
        [{ transaction_read_only: "off" }],
        [{ transaction_deferrable: "off" }],
      ]);
      expect(await faultOf(sql.transaction([sql`delete from notes`], { readOnly: true }))).toMatchObject({
        code: "25006",
      });
    });

    test("batches and queries at once do not mix", async () => {
      await sql`insert into notes (id, body, meta) values (1, 'sum', '0')`;
      const bump = sql`update notes set meta = to_jsonb(meta::int + 1) where id = 1`;
      const failing = () => sql.transaction([bump, sql`select 1 / 0`]).catch(() => "rolled back");
      await Promise.all(
        Array.from({ length: 10 }, () => [sql.transaction([bump, bump]), failing(), sql`select 1`]).flat(),
      );
      expect(await sql`select meta from notes`).toEqual([{ meta: 20 }]);
    });

    test("Drizzle reads and writes, single and in a batch", async () => {
      const db = drizzle({ client: sql });
      const note = { id: 1, body: "a", tags: ["x", "y"], meta: { deep: [1] }, made: new Date(1_700_000_000_123) };
      await db.insert(notes).values(note);
      expect(await db.select().from(notes)).toEqual([note]);
      const [updated, found] = await db.batch([
        db.update(notes).set({ body: "b" }).returning({ body: notes.body }),
        db.select().from(notes).where(eq(notes.id, 1)),
      ]);
      expect(updated).toEqual([{ body: "b" }]);
      expect(found).toEqual([{ ...note, body: "b" }]);
      const error: unknown = await db
        .insert(notes)
        .values(note)
        .catch((reason: unknown) => reason);
      expect(error).toMatchObject({ cause: { code: "23505", constraint: "notes_pkey" } });
    });

    test.each(["57P01", "40001", "40P01"])("err:%s answers that error and runs nothing", async (code) => {
      standIn.control({ mode: `err:${code}` });
      expect(await faultOf(sql`insert into notes (id, body) values (1, 'a')`)).toMatchObject({ code });
      standIn.control({ mode: "up" });
      expect(await sql`select id from notes`).toEqual([]);
    });

    test("500 and too many connections are server errors", async () => {
      for (const mode of ["500", "err:53300"]) {
        standIn.control({ mode });
        const fault = await faultOf(sql`select 1`);
        expect(fault.message).toContain("HTTP status 500");
        expect(fault.code).toBeUndefined();
      }
    });

    test("down: no answer at all; up again: it works", async () => {
      standIn.control({ mode: "down" });
      expect((await faultOf(sql`select 1`)).sourceError).toBeInstanceOf(Error);
      standIn.control({ mode: "up" });
      expect(await sql`select 1 as one`).toEqual([{ one: 1 }]);
    });

    test("lost: the answer never comes, yet the write is there", async () => {
      standIn.control({ mode: "lost" });
      expect((await faultOf(sql`insert into notes (id, body) values (1, 'a')`)).sourceError).toBeInstanceOf(Error);
      standIn.control({ mode: "up" });
      expect(await sql`select id from notes`).toEqual([{ id: 1 }]);
    });

    test("it counts queries and refuses what is no query", async () => {
      const before = Number(standIn.stats()["queries"]);
      await sql.transaction([sql`select 1`, sql`select 2`]);
      await sql`select 3`;
      expect(Number(standIn.stats()["queries"]) - before).toBe(3);

      const headers = { "neon-connection-string": DATABASE_URL };
      const post = (body: string, more = {}) =>
        fetch(`${standIn.url}/sql`, { method: "POST", body, headers: { ...headers, ...more } });
      expect((await fetch(`${standIn.url}/sql`)).status).toBe(405);
      expect((await fetch(`${standIn.url}/other`, { method: "POST" })).status).toBe(404);
      expect((await fetch(`${standIn.url}/sql`, { method: "POST", body: '{"query":"select 1"}' })).status).toBe(400);
      expect((await post("{")).status).toBe(400);
      expect((await post('{"query":"select 1"}', { "neon-batch-isolation-level": "Chaos" })).status).toBe(400);
      expect((await post('{"query":"select 1"}')).status).toBe(200);
    });
  });
});

test("PGlite in a folder keeps its data between two starts", async () => {
  const folder = await mkdtemp(join(tmpdir(), "neon-"));
  const runOnce = async (statement: string): Promise<unknown> => {
    const standIn = await serveNeon({ dataDir: join(folder, "made/on/the/way") });
    neonConfig.fetchEndpoint = `${standIn.url}/sql`;
    const rows = await neon(DATABASE_URL).query(statement);
    await standIn.close();
    return rows;
  };
  await runOnce("create table kept as select 1 as one");
  expect(await runOnce("select * from kept")).toEqual([{ one: 1 }]);
  await rm(folder, { recursive: true });
}, 60_000);
