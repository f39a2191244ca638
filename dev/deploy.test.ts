/** The deployment's order and its stops, with a note-taker in place of wrangler; and one real dry run of the three Workers. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { migrate, status } from "../db/migrate.ts";
import { openSql, type Sql } from "../db/open.ts";
import { ROOT } from "./build.ts";
import { deploy, findTarget } from "./deploy.ts";
import { splitSecrets } from "./secret-files.ts";
import { DATABASE_URL } from "./stand-ins/neon/backends.ts";
import { serveNeon } from "./stand-ins/neon.ts";
import type { StandIn } from "./stand-ins/serve.ts";

let neon: StandIn;
let sql: Sql;
beforeAll(async () => {
  neon = await serveNeon();
  sql = openSql({ databaseUrl: DATABASE_URL, httpUrl: `${neon.url}/sql`, timeoutMs: 30_000 });
});
beforeEach(async () => {
  neon.control({ mode: "up" });
  await sql.transaction([sql`drop schema public cascade`, sql`create schema public`]);
});
afterAll(() => neon.close());

const isApplied = async () => (await status(sql)).every(({ appliedAt }) => appliedAt !== null);

/** Runs a deployment whose wrangler fails for one configuration, and notes how it was started on which schema. */
async function run({ dryRun = false, fails, db }: { dryRun?: boolean; fails?: string; db?: Sql | undefined }) {
  const started: string[] = [];
  const lines: string[] = [];
  const wrangler = async (args: string[]) => {
    started.push(
      `${args.join(" ").replace(/ --message release r1, schema \d+/, "")}, ${(await isApplied()) ? "migrated" : "not migrated"}`,
    );
    return args.includes(fails ?? "") ? 7 : 0;
  };
  const isDone = await deploy({
    environment: "staging",
    releaseId: "r1",
    sql: db,
    dryRun,
    wrangler,
    print: (line) => lines.push(line),
  });
  return { isDone, started, text: lines.join("\n") };
}

test("[DB-4] migrations are applied before the first Worker; then llm-agent, mcp, main", async () => {
  const { isDone, started, text } = await run({ db: sql });
  expect(isDone).toBe(true);
  expect(started).toEqual([
    "deploy -c wrangler.llm-agent.toml --env staging, migrated",
    "deploy -c wrangler.mcp.toml --env staging, migrated",
    "deploy -c wrangler.toml --env staging, migrated",
  ]);
  expect(text).toContain("Applied: migration 1 (initial)");
  expect(text).toContain("Deployed: llm-agent, mcp, main.");
  const again = await run({ db: sql });
  expect(again).toMatchObject({ isDone: true, text: expect.stringContaining("No migration is pending.") });
});

test("[DB-4] the first Worker that fails ends it: what is deployed and what is not is told", async () => {
  const { isDone, started, text } = await run({ db: sql, fails: "wrangler.mcp.toml" });
  expect(isDone).toBe(false);
  expect(started).toHaveLength(2);
  expect(text).toContain("mcp failed: wrangler ended with code 7");
  expect(text).toContain("The migrations are applied. Deployed: llm-agent. Not deployed: mcp, main.");
  expect(text).toContain("run the same command again");
  expect((await run({ db: sql, fails: "wrangler.llm-agent.toml" })).text).toContain("Deployed: nothing.");
});

test("[DB-4] a migration that cannot be applied leaves the Workers alone", async () => {
  await migrate(sql, "up");
  await sql`update schema_migrations set checksum = 'x' where version = 1`;
  const edited = await run({ db: sql });
  expect(edited).toMatchObject({ isDone: false, started: [] });
  expect(edited.text).toContain("1 (initial) was edited after it was applied");
  expect(edited.text).toContain("No Worker was deployed");
  neon.control({ mode: "down" });
  const away = await run({ db: sql });
  expect(away).toMatchObject({ isDone: false, started: [] });
  expect(away.text).toContain("The database did not answer");
});

test("[DB-4] a dry run lists what is pending, applies nothing and builds the three Workers", async () => {
  const { isDone, started, text } = await run({ db: sql, dryRun: true });
  expect(isDone).toBe(true);
  expect(started).toEqual([
    "deploy -c wrangler.llm-agent.toml --env staging --dry-run, not migrated",
    "deploy -c wrangler.mcp.toml --env staging --dry-run, not migrated",
    "deploy -c wrangler.toml --env staging --dry-run, not migrated",
  ]);
  expect(text).toContain("Pending: migration 1 (initial)");
  expect(text).toContain("nothing was changed");
  const without = await run({ dryRun: true });
  expect(without.text).toContain("Migrations: not looked at");
  expect(without.started).toHaveLength(3);
  const failed = await run({ dryRun: true, fails: "wrangler.llm-agent.toml" });
  expect(failed).toMatchObject({ isDone: false, started: { length: 1 } });
  expect(failed.text).not.toContain("Deployed");
});

test("[DB-4] an address of this machine, or none at all, is no target", () => {
  const databaseUrl = "postgres://user:password@db.example.test/basechat";
  const refused = (env: NodeJS.Dict<string>) => expect(findTarget(env)).toMatchObject({ ok: false });
  for (const host of [
    "localhost",
    "LOCALHOST:5432",
    "db.localhost",
    "127.0.0.1",
    "127.0.0.2:5432",
    "[::1]",
    "0.0.0.0",
  ]) {
    refused({ DATABASE_URL: `postgres://user:password@${host}/basechat` });
    refused({ DATABASE_URL: databaseUrl, DATABASE_HTTP_URL: `http://${host}/sql` });
  }
  refused({ DATABASE_URL: "no address" });
  expect(findTarget({ DATABASE_HTTP_URL: "http://127.0.0.1/sql" })).toEqual({ ok: true, address: undefined });
  expect(findTarget({ DATABASE_URL: databaseUrl })).toEqual({ ok: true, address: { databaseUrl, httpUrl: undefined } });
});

/** The command itself. */
async function runCommand(args: string[], env: NodeJS.Dict<string>): Promise<{ code: number; text: string }> {
  const own = { ...process.env, DATABASE_URL: undefined, DATABASE_HTTP_URL: undefined, ...env };
  return new Promise((resolve) => {
    const script = join(ROOT, "dev/deploy.ts");
    const child = execFile(process.execPath, [script, ...args], { cwd: ROOT, env: own }, (_error, stdout, stderr) =>
      resolve({ code: child.exitCode ?? -1, text: `${stdout}${stderr}` }),
    );
  });
}

test("[DB-4] the command refuses without a database, and with one of this machine", async () => {
  expect(await runCommand([], {})).toMatchObject({ code: 1, text: expect.stringMatching(/^Set DATABASE_URL/) });
  const local = { DATABASE_URL, DATABASE_HTTP_URL: `${neon.url}/sql` };
  expect(await runCommand(["--dry-run"], local)).toMatchObject({
    code: 1,
    text: expect.stringMatching(/^DATABASE_HTTP_URL is an address of this machine/),
  });
});

test("[CONF-3] each Worker is given its own lines of a file of secrets, for as long as it is deployed", async () => {
  const folder = await mkdtemp(join(tmpdir(), "basechat-test-"));
  const file = join(folder, "secrets");
  await writeFile(file, "SECRET_KEY=one\nOPENAI_API_KEY=two\nDATABASE_URL=three\nTAVILY_API_KEY=\n");
  const secrets = await splitSecrets(file);
  const given = await Promise.all(Object.entries(secrets.paths).map(async ([name, path]) => [name, await read(path)]));
  expect(Object.fromEntries(given)).toEqual({
    main: { SECRET_KEY: "one", DATABASE_URL: "three" },
    "llm-agent": { OPENAI_API_KEY: "two" },
    mcp: { SECRET_KEY: "one", DATABASE_URL: "three" },
  });
  const args: string[][] = [];
  const wrangler = (all: string[]) => Promise.resolve(args.push(all) && 0);
  await deploy({ environment: "", releaseId: "r1", secrets, sql: undefined, dryRun: true, wrangler, print: () => {} });
  expect(args.map((all) => all[all.indexOf("--secrets-file") + 1])).toEqual([
    ...[secrets.paths["llm-agent"], secrets.paths.mcp, secrets.paths.main],
  ]);
  await secrets.remove();
  await expect(read(secrets.paths.mcp ?? "")).rejects.toThrow("ENOENT");
  await writeFile(file, "SECRET_KYE=one\n");
  await expect(splitSecrets(file)).rejects.toThrow(/no Worker reads SECRET_KYE$/);
  await rm(folder, { recursive: true });
});

const read = async (path: string): Promise<unknown> => JSON.parse(await readFile(path, "utf8"));

test("[CONF-3] an environment that the wrangler files do not have is refused", async () => {
  expect(await runCommand(["--dry-run", "--env", "prod"], {})).toMatchObject({
    code: 1,
    text: expect.stringMatching(/no environment "prod".*Nothing was changed/),
  });
});

test.each(["", "production"])(
  "[DB-4] [CONF-3] a real dry run builds what would be deployed, environment '%s'",
  async (env) => {
    const { code, text } = await runCommand(["--dry-run", "--env", env], {});
    expect(code, text).toBe(0);
    expect(text.match(/^(Migrations|Building|Total Upload|Dry run)/gm)).toEqual([
      "Migrations",
      ...["Building", "Total Upload", "Building", "Total Upload", "Building", "Total Upload"],
      "Dry run",
    ]);
  },
  120_000,
);
