/** Drafts of migrations, from small schemas of this file's own, tried on PGlite and on a real PostgreSQL. */
import { appendFile, cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { sql as raw } from "drizzle-orm";
import {
  bigint,
  check,
  customType,
  index,
  integer,
  pgTable,
  primaryKey,
  text,
  uniqueIndex,
  uuid,
} from "drizzle-orm/pg-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { DATABASE_URL, NEON_BACKENDS } from "../dev/stand-ins/neon/backends.ts";
import type { StandIn } from "../dev/stand-ins/serve.ts";
import { draftMigration, main } from "./draft.ts";
import { dumpSchema, findDrift } from "./drift.ts";
import { migrate } from "./migrate.ts";
import { MIGRATIONS_FOLDER, readMigrations } from "./migrations.ts";
import { openSql, type Sql } from "./open.ts";
import * as currentSchema from "./schema.ts";
import { takeSnapshot } from "./snapshots.ts";

const owners = pgTable("owners", { id: uuid("id").primaryKey(), name: text("name").notNull() });
const ownerOf = () =>
  uuid("owner_id")
    .notNull()
    .references(() => owners.id, { onDelete: "cascade" });
const notesBefore = pgTable(
  "notes",
  { id: uuid("id").primaryKey(), ownerId: ownerOf(), body: text("body") },
  (table) => [index("notes_owner").on(table.ownerId), check("notes_body_check", raw`${table.body} <> ''`)],
);
const tsvector = customType<{ data: string }>({ dataType: () => "tsvector" });
/** A column more and one made NOT NULL, a generated one with its index; another check; another index. */
const notesAfter = pgTable(
  "notes",
  {
    id: uuid("id").primaryKey(),
    ownerId: ownerOf(),
    body: text("body").notNull().default("-"),
    size: bigint("size", { mode: "number" }).notNull().default(0),
    words: tsvector("words").generatedAlwaysAs(raw`to_tsvector('simple', body)`),
  },
  (table) => [
    index("notes_owner").on(table.ownerId, table.id.desc().nullsFirst()),
    check("notes_body_check", raw`length(${table.body}) > 1`),
    index("notes_words").using("gin", table.words),
  ],
);
const tags = pgTable(
  "tags",
  {
    noteId: uuid("note_id")
      .notNull()
      .references(() => notesAfter.id),
    tag: text("tag").notNull(),
  },
  (table) => [
    primaryKey({ name: "tags_pkey", columns: [table.noteId, table.tag] }),
    uniqueIndex("tags_lower").on(raw`lower(${table.tag})`),
  ],
);

const BEFORE = { owners, notesBefore };
const AFTER = { owners, notesAfter, tags };

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "draft-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function run(schema: Record<string, unknown>, ...args: string[]): Promise<{ code: number; text: string }> {
  const lines: string[] = [];
  const code = await main(args, (line) => lines.push(line), { folder, schema });
  return { code, text: lines.join("\n") };
}

const list = async () => (await readdir(folder)).sort();

describe.each(NEON_BACKENDS)("$name", ({ isMissing, open }) => {
  describe.skipIf(isMissing)("drafts", () => {
    let neon: StandIn;
    let sql: Sql;
    const dump = () => dumpSchema((query) => sql.query(query));

    beforeAll(async () => {
      neon = await open();
      sql = openSql({ databaseUrl: DATABASE_URL, httpUrl: `${neon.url}/sql`, timeoutMs: 30_000 });
    }, 60_000);
    beforeEach(() => sql.transaction([sql`drop schema public cascade`, sql`create schema public`]));
    afterAll(() => neon.close());

    test.each([
      ["adds tables, columns, checks and indexes", BEFORE, AFTER],
      ["drops them", AFTER, BEFORE],
      ["drops everything", AFTER, {}],
    ])("[DB-3] a drafted migration that %s is taken back by its down to the identical schema", async (_, from, to) => {
      await draftMigration("first", { folder, schema: from });
      await migrate(sql, "up", { folder });
      const before = await dump();
      expect(before).toContain("relation r notes");
      await draftMigration("second", { folder, schema: to });
      expect(await migrate(sql, "up", { folder })).toMatchObject([{ version: 2, name: "second" }]);
      const after = await dump();
      expect(after).not.toEqual(before);
      await migrate(sql, "down", { folder });
      expect(await dump()).toEqual(before);
      await migrate(sql, "up", { folder });
      expect(await dump()).toEqual(after);
      expect(await findDrift(folder, to)).toEqual([]);
    });
  });
});

test("[DB-3] a table that db/schema.ts gains is drafted as three files with the next number", async () => {
  await cp(MIGRATIONS_FOLDER, folder, { recursive: true });
  const version = (await readMigrations(folder)).length + 1;
  const stem = `${String(version).padStart(4, "0")}_owners`;
  const { code, text: told } = await run({ ...currentSchema, owners }, "owners");
  expect(code).toBe(0);
  expect(told).toContain("up gives the schema of db/schema.ts, down the one before");
  expect(told).toContain(`set SCHEMA_VERSION in db/schema.ts to ${version}`);
  expect((await list()).slice(-3)).toEqual([`${stem}.down.sql`, `${stem}.snapshot.json`, `${stem}.up.sql`]);
  expect(await readFile(join(folder, `${stem}.down.sql`), "utf8")).toBe('DROP TABLE "owners" CASCADE;\n');
  expect((await readMigrations(folder)).at(-1)).toMatchObject({ version, name: "owners", up: { length: 1 } });
}, 60_000);

test("[DB-3] nothing is drafted from a schema that has not changed", async () => {
  await cp(MIGRATIONS_FOLDER, folder, { recursive: true });
  const before = await list();
  expect(await run(currentSchema, "nothing")).toEqual({ code: 0, text: expect.stringMatching(/^Nothing to draft/) });
  expect(await list()).toEqual(before);
});

test("[DB-3] a schema that is ahead of the newest snapshot is told", async () => {
  await draftMigration("first", { folder, schema: BEFORE });
  expect(await findDrift(folder, BEFORE)).toEqual([]);
  expect(await findDrift(folder, AFTER)).toContain("db/schema.ts is not as the newest snapshot has it");
}, 60_000);

test("[DB-3] a down that does not take its up back, and SQL that fails, are told", async () => {
  const stem = async (name: string, schema: Record<string, unknown>) =>
    (await draftMigration(name, { folder, schema }))?.files.map((file) => basename(file)) ?? [];
  const [, down = ""] = await stem("first", BEFORE);
  await writeFile(join(folder, down), "drop table notes");
  expect(await findDrift(folder, BEFORE)).toContain("down 1 (first) leaves behind: relation r owners");
  await writeFile(join(folder, down), "drop table nots");
  expect(await findDrift(folder, BEFORE)).toEqual(['down 1 (first) fails: table "nots" does not exist']);
}, 60_000);

test("[DB-3] a draft that is wrong is written, and told to be wrong", async () => {
  const counter = (column: ReturnType<typeof integer> | ReturnType<typeof bigint>) => ({
    counters: pgTable("counters", { n: column }),
  });
  await draftMigration("first", { folder, schema: counter(integer("n").default(0)) });
  // drizzle-kit leaves out a default of 0 where the type changes with it.
  const { code, text: told } = await run(counter(bigint("n", { mode: "number" }).default(7)), "second");
  expect({ code, files: (await list()).length }).toEqual({ code: 0, files: 6 });
  expect(told).toContain("down 2 (second) does not bring back: column counters.n: integer default 0");
  expect(told).toContain("with the differences above");
}, 60_000);

test("[DB-3] what drizzle-kit cannot declare is written by hand, and has to be taken back", async () => {
  const [up = "", down = ""] = (await draftMigration("first", { folder, schema: BEFORE }))?.files ?? [];
  const split = "\n--> statement-breakpoint\n";
  await appendFile(up, `${split}create function one() returns int language sql as 'select 1'`);
  expect(await findDrift(folder, BEFORE)).toEqual([
    expect.stringMatching(/^down 1 \(first\) leaves behind: function one/),
  ]);
  await appendFile(down, `${split}drop function one()`);
  expect(await findDrift(folder, BEFORE)).toEqual([]);
}, 60_000);

test("[DB-3] a rename outside a terminal is refused with what to do, and nothing is written", async () => {
  await draftMigration("first", { folder, schema: { owners } });
  const renamed = pgTable("owners", { id: uuid("id").primaryKey(), title: text("title").notNull() });
  await expect(draftMigration("second", { folder, schema: { renamed } })).rejects.toThrow("If something was renamed");
  expect(await list()).toHaveLength(3);
});

test("[DB-3] a name that no file can have, none at all, and lost snapshots are refused", async () => {
  for (const name of ["Users", "two words", "../up", "0003_users", ""])
    await expect(draftMigration(name, { folder, schema: BEFORE }), name).rejects.toThrow("is no name for a migration");
  expect(await run(BEFORE)).toMatchObject({ code: 1, text: expect.stringContaining("Usage:") });
  expect(await list()).toEqual([]);
  await draftMigration("first", { folder, schema: BEFORE });
  await rm(join(folder, "0001_first.snapshot.json"));
  await expect(draftMigration("second", { folder, schema: AFTER })).rejects.toThrow("no snapshot");
});

test("[DB-3] snapshots of one schema are equal", () => {
  expect(takeSnapshot(AFTER)).toEqual(takeSnapshot({ ...AFTER }));
  expect(takeSnapshot(AFTER)).not.toEqual(takeSnapshot(BEFORE));
});
