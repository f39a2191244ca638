/** Migrations on PGlite and on a real PostgreSQL: up, down, races, half failures, edited files, and the command line. */
import { appendFile, cp, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { serveNeon } from "../dev/stand-ins/neon.ts";
import { DATABASE_URL, NEON_BACKENDS } from "../dev/stand-ins/neon/backends.ts";
import type { StandIn } from "../dev/stand-ins/serve.ts";
import { dumpSchema, findDrift } from "./drift.ts";
import { main, migrate, readAddress, status } from "./migrate.ts";
import { MIGRATIONS_FOLDER, readMigrations } from "./migrations.ts";
import { openSql, type Sql } from "./open.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "migrations-"));
  // The first migration alone: what the tests add to it comes next.
  await cp(MIGRATIONS_FOLDER, folder, {
    recursive: true,
    filter: (path) => !/\d{4}_/.test(path) || path.includes("0001_"),
  });
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

/** Writes a further migration into the copied folder. */
async function addMigration(file: string, up: string, down = "select 1"): Promise<void> {
  await writeFile(join(folder, `${file}.up.sql`), up);
  await writeFile(join(folder, `${file}.down.sql`), down);
}

describe("the files", () => {
  test("[DB-3] describe the same schema as db/schema.ts", async () => {
    expect(await findDrift()).toEqual([]);
    await addMigration("0002_more", "alter table users add column nick text");
    expect(await findDrift(folder)).toContain("only in migrations: column users.nick: text default -");
  }, 120_000);

  test("[DB-2] are refused with a gap, a missing half or a stray file", async () => {
    await addMigration("0003_gap", "select 1");
    await expect(readMigrations(folder)).rejects.toThrow("should have number 2");
    await rm(join(folder, "0003_gap.up.sql"));
    await expect(readMigrations(folder)).rejects.toThrow("0003_gap.down.sql is no migration");
    await rm(join(folder, "0003_gap.down.sql"));
    await rm(join(folder, "0001_initial.down.sql"));
    await expect(readMigrations(folder)).rejects.toThrow("0001_initial.down.sql is missing");
  });

  test.each(["commit", "-- all of it\nROLLBACK;", "begin"])(
    "[F25] are refused with a statement like %j",
    async (text) => {
      await addMigration("0002_more", `create table more (id int)\n--> statement-breakpoint\n${text}`);
      await expect(readMigrations(folder)).rejects.toThrow(
        /0002_more.up.sql has "\w+": a migration is one transaction/,
      );
      await addMigration("0002_more", "create table commit (id int)", text);
      await expect(readMigrations(folder)).rejects.toThrow("0002_more.down.sql has");
    },
  );
});

test("[SEM-5] a server without pgvector is migrated all the same, without the tables that need it", async () => {
  for (const pgvector of [false, undefined] as const) {
    const neon = await serveNeon({ ...(pgvector === false && { pgvector }) });
    const sql = openSql({ databaseUrl: DATABASE_URL, httpUrl: `${neon.url}/sql`, timeoutMs: 30_000 });
    await migrate(sql, "up");
    const [found] =
      await sql`select to_regclass('semantic_questions') as questions, to_regclass('chunk_vectors') as chunks`;
    const [questions, chunks] = pgvector === false ? [null, null] : ["semantic_questions", "chunk_vectors"];
    expect(found).toEqual({ questions, chunks });
    await neon.close();
  }
}, 60_000);

describe.each(NEON_BACKENDS)("$name", ({ isMissing, open }) => {
  describe.skipIf(isMissing)("migrations", () => {
    let neon: StandIn;
    let sql: Sql;
    const dump = () => dumpSchema((text) => sql.query(text));
    const versions = (done: { version: number }[]) => done.map(({ version }) => version);

    beforeAll(async () => {
      neon = await open();
      sql = openSql({ databaseUrl: DATABASE_URL, httpUrl: `${neon.url}/sql`, timeoutMs: 30_000 });
    }, 60_000);
    beforeEach(async () => {
      neon.control({ mode: "up" });
      await sql.transaction([sql`drop schema public cascade`, sql`create schema public`]);
    });
    afterAll(() => neon.close());

    test("[F25] up applies all once, down takes the last back, up again gives the identical schema", async () => {
      expect(await dump()).toEqual([]);
      expect(versions(await migrate(sql, "up", { folder }))).toEqual([1]);
      const first = await dump();
      expect(first).toContain(
        "CREATE INDEX chat_sessions_user_newest ON public.chat_sessions USING btree (user_id, created_at DESC, id DESC)",
      );
      expect(versions(await migrate(sql, "up", { folder }))).toEqual([]);
      expect(versions(await migrate(sql, "down", { folder }))).toEqual([1]);
      expect(await dump()).toEqual([]);
      expect(await migrate(sql, "down", { folder })).toEqual([]);
      await migrate(sql, "up", { folder });
      expect(await dump()).toEqual(first);
    });

    test("[F25] all migrations go up, down one by one, and up again to the identical schema", async () => {
      const all = versions(await migrate(sql, "up", { dryRun: true }));
      expect(all.length).toBeGreaterThan(1);
      expect(versions(await migrate(sql, "up"))).toEqual(all);
      const whole = await dump();
      for (const version of all.toReversed()) expect(versions(await migrate(sql, "down"))).toEqual([version]);
      expect(await dump()).toEqual([]);
      await migrate(sql, "up");
      expect(await dump()).toEqual(whole);
    });

    test("[F25] every further migration goes down to the schema before it", async () => {
      await migrate(sql, "up", { folder });
      const first = await dump();
      await addMigration(
        "0002_more",
        "create table more (id int)\n--> statement-breakpoint\ncreate view v as select 1 as one",
        "drop view v;\n--> statement-breakpoint\ndrop table more",
      );
      expect(versions(await migrate(sql, "up", { folder }))).toEqual([2]);
      expect(await dump()).not.toEqual(first);
      expect(versions(await migrate(sql, "down", { folder }))).toEqual([2]);
      expect(await dump()).toEqual(first);
    });

    test("[DB-5] status tells what is applied and what is pending; a dry run changes nothing", async () => {
      expect(versions(await migrate(sql, "up", { folder, dryRun: true }))).toEqual([1]);
      expect(await status(sql, folder)).toEqual([{ version: 1, name: "initial", appliedAt: null }]);
      await migrate(sql, "up", { folder });
      expect(versions(await migrate(sql, "down", { folder, dryRun: true }))).toEqual([1]);
      expect(await status(sql, folder)).toEqual([
        { version: 1, name: "initial", appliedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/) },
      ]);
    });

    test("[F25] deployers that race apply and take back each migration once", async () => {
      await addMigration("0002_more", "create table more (id int)", "drop table more");
      const race = (direction: "up" | "down") =>
        Promise.all(Array.from({ length: 5 }, () => migrate(sql, direction, { folder })));
      expect(versions((await race("up")).flat()).toSorted((a, b) => a - b)).toEqual([1, 2]);
      expect(await sql`select version from schema_migrations order by version`).toEqual([
        { version: 1 },
        { version: 2 },
      ]);
      expect(await dump()).toContain("relation r more");
    });

    test("[F25] deployers that race to take one back take back no other", async () => {
      await addMigration("0002_more", "create table more (id int)", "drop table more");
      await migrate(sql, "up", { folder });
      const journal = await sql`select version from schema_migrations`;
      expect(journal).toHaveLength(2);
      // All have read the journal before the first of them writes it.
      const barrier = Promise.withResolvers<void>();
      let readers = 0;
      const slow = Object.assign((...args: Parameters<Sql>) => sql(...args), sql, {
        transaction: async (...args: Parameters<Sql["transaction"]>) => {
          readers += 1;
          if (readers === 3) barrier.resolve();
          await barrier.promise;
          return sql.transaction(...args);
        },
      }) as Sql; // the same functions, one of them behind a barrier
      const done = await Promise.all([1, 2, 3].map(() => migrate(slow, "down", { folder })));
      expect(versions(done.flat())).toEqual([2]);
      expect(await sql`select version from schema_migrations`).toEqual([{ version: 1 }]);
    });

    /** The same database, to which `first` happens between a deployer's look at the journal and its first migration. */
    function meanwhile(first: () => Promise<unknown>): Sql {
      let happened: Promise<unknown> | undefined;
      return Object.assign((...args: Parameters<Sql>) => sql(...args), sql, {
        transaction: async (...args: Parameters<Sql["transaction"]>) => {
          await (happened ??= first());
          return sql.transaction(...args);
        },
      }) as Sql; // the same functions, one of them late
    }

    test("[F25] a deployer that meets another one from other files builds nothing on those", async () => {
      await migrate(sql, "up", { folder });
      await addMigration("0002_more", "create table more (id int)", "drop table more");
      const others = await mkdtemp(join(tmpdir(), "migrations-"));
      await cp(folder, others, { recursive: true });
      await addMigration("0003_most", "create table most (id int)", "drop table most");
      await appendFile(join(others, "0002_more.up.sql"), "\n-- not the same\n");
      const late = meanwhile(() => migrate(sql, "up", { folder: others }));
      await expect(migrate(late, "up", { folder })).rejects.toThrow("2 (more) was edited after it was applied");
      await rm(others, { recursive: true });
      expect(await sql`select version from schema_migrations order by version`).toEqual([
        { version: 1 },
        { version: 2 },
      ]);
      expect(await dump()).not.toContain("relation r most");
    });

    test("[F25] an up and a down that meet leave no gap in the journal", async () => {
      await addMigration("0002_more", "create table more (id int)", "drop table more");
      await addMigration("0003_most", "create table most (id int)", "drop table most");
      await migrate(sql, "up", { folder });
      await migrate(sql, "down", { folder });
      const lateUp = meanwhile(() => migrate(sql, "down", { folder }));
      await expect(migrate(lateUp, "up", { folder })).rejects.toThrow(/3 \(most\) was not run: somebody else migrated/);
      expect(await sql`select version from schema_migrations`).toEqual([{ version: 1 }]);
      expect(await dump()).not.toContain("relation r most");
      const lateDown = meanwhile(() => migrate(sql, "up", { folder }));
      await expect(migrate(lateDown, "down", { folder })).rejects.toThrow(/1 \(initial\) was not run/);
      expect((await status(sql, folder)).every(({ appliedAt }) => appliedAt !== null)).toBe(true);
    });

    test("[F25] a migration that fails half-way changes nothing, and says what to do", async () => {
      await addMigration("0002_bad", "create table half (id int)\n--> statement-breakpoint\nselect no_such_function()");
      await expect(migrate(sql, "up", { folder })).rejects.toThrow(
        /Migration 2 \(bad\) failed and changed nothing: .* \[42883\]\. Mend the file/,
      );
      expect(await sql`select version from schema_migrations`).toEqual([{ version: 1 }]);
      expect(await dump()).not.toContain("relation r half");
    });

    test("[F25] the migrations before one that fails stay, and are told as they are done", async () => {
      await addMigration("0002_bad", "select no_such_function()");
      const done: number[] = [];
      const onDone = ({ version }: { version: number }) => done.push(version);
      await expect(migrate(sql, "up", { folder, onDone })).rejects.toThrow("Migration 2 (bad) failed");
      expect(done).toEqual([1]);
      await addMigration("0002_bad", "create table good (id int)", "drop table good");
      expect(versions(await migrate(sql, "up", { folder, onDone }))).toEqual([2]);
    });

    test("[F25] a down that fails half-way leaves the migration applied", async () => {
      await addMigration(
        "0002_more",
        "create table more (id int)",
        "drop table more\n--> statement-breakpoint\nselect no_such_function()",
      );
      await migrate(sql, "up", { folder });
      const whole = await dump();
      await expect(migrate(sql, "down", { folder })).rejects.toThrow("Migration 2 (more) failed and changed nothing");
      expect(await dump()).toEqual(whole);
      expect((await status(sql, folder)).at(-1)).toMatchObject({ version: 2, appliedAt: expect.any(String) });
    });

    test("[F25] an answer lost on the way: told as unknown, and running again is safe", async () => {
      await migrate(sql, "up", { folder });
      await migrate(sql, "down", { folder });
      const lossy = Object.assign((...args: Parameters<Sql>) => sql(...args), sql, {
        transaction: async (...args: Parameters<Sql["transaction"]>) => {
          neon.control({ mode: "lost" });
          return sql.transaction(...args).finally(() => neon.control({ mode: "up" }));
        },
      }) as Sql; // the same functions, one of them with a fault
      await expect(migrate(lossy, "up")).rejects.toThrow('may have been applied. Run "status"');
      expect(await migrate(sql, "up", { folder })).toEqual([]);
      expect(await status(sql, folder)).toMatchObject([{ version: 1, appliedAt: expect.any(String) }]);
    });

    test("[DB-2] an edited file, unknown rows and a gap in the journal are refused", async () => {
      await migrate(sql, "up", { folder });
      await appendFile(join(folder, "0001_initial.up.sql"), "\n-- later thought\n");
      for (const direction of ["up", "down"] as const) {
        await expect(migrate(sql, direction, { folder })).rejects.toThrow(
          "1 (initial) was edited after it was applied",
        );
      }
      await expect(status(sql, folder)).rejects.toThrow("was edited");
      await cp(join(MIGRATIONS_FOLDER, "0001_initial.up.sql"), join(folder, "0001_initial.up.sql"));
      await sql`insert into schema_migrations (version, name, checksum) values (2, 'future', 'x')`;
      await expect(status(sql, folder)).rejects.toThrow("2 (future), which is not among the files");
      await sql`delete from schema_migrations where version = 1`;
      await expect(status(sql, folder)).rejects.toThrow("gap before 2 (future)");
    });

    test("[DB-5] the command line: dry run, up, status, check, down, and its exit codes", async () => {
      const run = async (...args: string[]) => {
        const lines: string[] = [];
        return { code: await main(args, (line) => lines.push(line)), text: lines.join("\n") };
      };
      const all = await readMigrations();
      const list = (verb: string, direction: string, which: typeof all) =>
        which.map(({ version, name }) => `${verb}: ${direction} ${version} (${name})`).join("\n");
      vi.stubEnv("DATABASE_URL", DATABASE_URL);
      vi.stubEnv("DATABASE_HTTP_URL", `${neon.url}/sql`);
      expect(await run("up", "--dry-run")).toEqual({ code: 0, text: list("would run", "up", all) });
      expect(await run("check")).toMatchObject({
        code: 1,
        text: expect.stringContaining(`${all.length} pending: run "node db/migrate.ts up"`),
      });
      expect(await run("up")).toEqual({ code: 0, text: list("done", "up", all) });
      expect(await run("up")).toEqual({ code: 0, text: "Nothing to apply: the schema is current." });
      expect(await run("status")).toMatchObject({
        code: 0,
        text: expect.stringMatching(/^0001 {2}initial {19}20\d\d-/),
      });
      expect(await run("check")).toMatchObject({ code: 0 });
      expect(await run("down")).toEqual({ code: 0, text: list("done", "down", all.slice(-1)) });
      expect(await run("sideways")).toMatchObject({ code: 1, text: expect.stringContaining("Usage:") });
    }, 120_000);

    test("[DB-5] check fails when the newest snapshot is another than that of db/schema.ts", async () => {
      vi.stubEnv("DATABASE_URL", DATABASE_URL);
      vi.stubEnv("DATABASE_HTTP_URL", `${neon.url}/sql`);
      await cp(MIGRATIONS_FOLDER, folder, { recursive: true });
      await migrate(sql, "up", { folder });
      const lines: string[] = [];
      expect(await main(["check"], (line) => lines.push(line), folder)).toBe(0);
      const snapshots = (await readdir(folder)).filter((file) => file.endsWith(".snapshot.json")).sort();
      await cp(join(folder, "0001_initial.snapshot.json"), join(folder, snapshots.at(-1) ?? ""));
      expect(await main(["check"], (line) => lines.push(line), folder)).toBe(1);
      expect(lines).toContain("db/schema.ts is not as the newest snapshot has it");
    }, 60_000);

    test("[DB-5] an address of the command line or of the environment is not redirected by another place's", async () => {
      vi.stubEnv("DATABASE_HTTP_URL", `${neon.url}/sql`);
      const url = "postgres://user:password@localhost/basechat";
      await expect(main(["status", "--url", url], () => {})).rejects.toThrow();
      expect(readAddress({ DATABASE_HTTP_URL: neon.url })).toBeUndefined();
      expect(readAddress({ DATABASE_URL: "", DATABASE_HTTP_URL: neon.url })).toBeUndefined();
      expect(readAddress({ DATABASE_URL: url })).toEqual({ databaseUrl: url, httpUrl: undefined });
    });
  });
});
