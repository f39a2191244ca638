/** Rollbacks with a note-taker in place of wrangler, on a real schema. State: the Postgres stand-in. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { migrate, status } from "../db/migrate.ts";
import type { Sql } from "../db/open.ts";
import { SCHEMA_VERSION } from "../db/schema.ts";
import { readRelease, writeRelease } from "./deployment.ts";
import { openLocalSql } from "./local.ts";
import { rollback } from "./rollback.ts";
import { serveNeon } from "./stand-ins/neon.ts";
import type { StandIn } from "./stand-ins/serve.ts";

let neon: StandIn;
let sql: Sql;
beforeAll(async () => {
  neon = await serveNeon();
  sql = openLocalSql(neon.url);
});
beforeEach(() => migrate(sql, "up"));
afterAll(() => neon.close());

const countApplied = async () => (await status(sql)).filter(({ appliedAt }) => appliedAt !== null).length;

/** The releases that each Worker has had, the newest first; an empty name is a version that another command deployed. */
interface History {
  main: string[];
  "llm-agent": string[];
  mcp: string[];
}
const EVEN: History = { main: ["r2", "r1"], "llm-agent": ["r2", "r1"], mcp: ["r2", "r1"] };
const FILES: Record<string, keyof History> = {
  ...{ "wrangler.toml": "main", "wrangler.llm-agent.toml": "llm-agent", "wrangler.mcp.toml": "mcp" },
};

interface Asked {
  history?: History;
  /** Of the releases r1, r2 … */
  schemas?: number[];
  schemaDown?: boolean;
  dryRun?: boolean;
  db?: Sql;
  fails?: string;
}

async function run({ history = EVEN, schemas = [SCHEMA_VERSION, SCHEMA_VERSION], fails, db, ...asked }: Asked) {
  const lines: string[] = [];
  const done: string[] = [];
  const ask = (args: string[]): Promise<unknown> => {
    const worker = FILES[args[args.indexOf("-c") + 1] ?? ""] ?? "main";
    expect(args).toEqual(expect.arrayContaining(["--env", "staging", "--json"]));
    const had = history[worker].map((release, age) => ({
      id: `${worker}-${release || age}`,
      release,
      at: `2026-01-0${9 - age}`,
    }));
    if (args[0] === "deployments") {
      return Promise.resolve(
        had.map(({ id, at }) => ({ created_on: at, versions: [{ version_id: id, percentage: 100 }] })).toReversed(),
      );
    }
    const message = (id: string) => writeRelease({ id, schema: schemas[Number(id.slice(1)) - 1] ?? 0 });
    return Promise.resolve(
      had.map(({ id, release }) => ({ id, annotations: release ? { "workers/message": message(release) } : {} })),
    );
  };
  const wrangler = (args: string[]) => {
    const [, id = ""] = args;
    done.push(id);
    return Promise.resolve(id === fails ? 1 : 0);
  };
  const options = { environment: "staging", dryRun: false, schemaDown: false, sql: db, ...asked };
  const isDone = await rollback({ ...options, ask, wrangler, print: (line) => lines.push(line) });
  return { isDone, done, text: lines.join("\n") };
}

test("[OPS-1] the Workers go back to the version before: main, mcp, llm-agent; the schema stays", async () => {
  const { isDone, done, text } = await run({ db: sql });
  expect({ isDone, done }).toEqual({ isDone: true, done: ["main-r1", "mcp-r1", "llm-agent-r1"] });
  expect(text).toContain(`main: back to main-r1 (release r1, schema ${SCHEMA_VERSION})`);
  expect(text).not.toContain("not looked at");
  expect((await run({ dryRun: true })).text).toContain("Schema: not looked at");
  expect(await countApplied()).toBe(SCHEMA_VERSION);
});

test("[OPS-1] a second rollback goes further back, not forth again", async () => {
  const history = {
    main: ["r1", "r2", "r1", "r0"],
    "llm-agent": ["r1", "r2", "r1", "r0"],
    mcp: ["r1", "r2", "r1", "r0"],
  };
  expect((await run({ history })).done).toEqual(["main-r0", "mcp-r0", "llm-agent-r0"]);
});

test("[OPS-1] of a deployment that broke off half-way, the half that was done goes back", async () => {
  const half = { ...EVEN, main: ["r1", "r0"], mcp: ["r1", "r0"] };
  expect(await run({ history: half })).toMatchObject({
    ...{
      isDone: true,
      done: ["llm-agent-r1"],
      text: expect.stringContaining("main: stays, it is not of this release"),
    },
  });
});

test("[OPS-1] a dry run tells the plan and changes nothing; a failure tells what is done", async () => {
  expect(await run({ dryRun: true })).toMatchObject({
    isDone: true,
    done: [],
    text: expect.stringContaining("mcp-r1"),
  });
  expect(await run({ fails: "mcp-r1" })).toMatchObject({
    ...{ isDone: false, done: ["main-r1", "mcp-r1"], text: expect.stringMatching(/code 1. Rolled back: main\./) },
  });
  expect(await run({ history: { ...EVEN, mcp: ["r2"] } })).toMatchObject({ isDone: false, done: [] });
});

test("[OPS-2] the schema goes down only when asked, after the Workers, to what the older code knows", async () => {
  const schemas = [SCHEMA_VERSION - 2, SCHEMA_VERSION];
  expect((await run({ db: sql, schemas })).isDone).toBe(true);
  expect(await countApplied()).toBe(SCHEMA_VERSION);
  const { isDone, text } = await run({ db: sql, schemas, schemaDown: true });
  expect(isDone).toBe(true);
  expect(text).toMatch(
    /2 migrations are taken back.*\nTaken back: migration \d+[^]*Rolled back: main, mcp, llm-agent\.$/,
  );
  expect(await countApplied()).toBe(SCHEMA_VERSION - 2);
  // Done twice, nothing more is taken back.
  expect((await run({ db: sql, schemas, schemaDown: true })).isDone).toBe(true);
  expect(await countApplied()).toBe(SCHEMA_VERSION - 2);
});

test("[OPS-2] an older code that does not tell its schema, or needs a newer one, is refused before anything changes", async () => {
  const unknown = { ...EVEN, main: ["r2", ""] };
  expect(await run({ db: sql, history: unknown, schemaDown: true })).toMatchObject({ isDone: false, done: [] });
  expect(await run({ db: sql, history: unknown })).toMatchObject({ isDone: true });
  expect(await run({ schemaDown: true })).toMatchObject({ isDone: false, done: [] });
  await migrate(sql, "down");
  expect(await run({ db: sql })).toMatchObject({
    ...{ isDone: false, done: [], text: expect.stringContaining(`needs schema ${SCHEMA_VERSION}`) },
  });
});

test("[OPS-1] a release is read back from its message, and from no other", () => {
  const release = { id: "2026-11-23T14:45:23.602Z", schema: 7 };
  expect(readRelease(writeRelease(release))).toEqual(release);
  for (const other of [undefined, "", "Rollback", "release x", "schema 7"]) expect(readRelease(other)).toBeUndefined();
});
