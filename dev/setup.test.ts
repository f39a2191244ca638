/** The set-up with answers in place of a terminal. State: a temporary folder that is a git repository. */
import { execFile, execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseEnv, promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";
import { setUp } from "./setup.ts";
import { QUESTIONS } from "./setup/questions.ts";
import { readersOf } from "./settings-table.ts";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "basechat-setup-"));
  execFileSync("git", ["init", "--quiet"], { cwd: root });
  await writeFile(join(root, ".gitignore"), ".dev/\n");
});
afterEach(() => rm(root, { recursive: true }));

const FILE = ".dev/production.vars";

async function run(answers: Record<string, string[]>) {
  const asked: string[] = [];
  const lines: string[] = [];
  const isDone = await setUp({
    ...{ root, environment: "production", newSecret: () => "n3wS3cr3t".repeat(5), print: (line) => lines.push(line) },
    ask: ({ name, isSecret, hasValue }) => {
      asked.push(`${name}${isSecret ? " secret" : ""}${hasValue ? " known" : ""}`);
      return Promise.resolve(answers[name]?.shift() ?? "");
    },
  });
  return { isDone, asked, text: lines.join("\n") };
}

/** Without a question. */
const MADE = { SECRET_KEY: "n3wS3cr3t".repeat(5), METRICS_TOKEN: "n3wS3cr3t".repeat(5) };
const written = async () => ({ ...parseEnv(await readFile(join(root, FILE), "utf8")) });

test("[OPS-3] the answers are checked and written to a file of the owner's alone, which git ignores", async () => {
  const { isDone, asked, text } = await run({
    ...{ DATABASE_URL: ["mysql://no", "postgres://u:p4ssw0rd@h.neon.tech/db"], UPSTASH_REDIS_REST_TOKEN: ["t0ken"] },
    ...{ UPSTASH_REDIS_REST_URL: ["https://r.upstash.io"], OPENAI_API_KEY: ["sk-1"], SIGN_UP: ["closed"] },
  });
  expect(isDone).toBe(true);
  expect(await written()).toEqual({
    ...{
      ...MADE,
      DATABASE_URL: "postgres://u:p4ssw0rd@h.neon.tech/db",
      OPENAI_API_KEY: "sk-1",
    },
    ...{ UPSTASH_REDIS_REST_URL: "https://r.upstash.io", UPSTASH_REDIS_REST_TOKEN: "t0ken", SIGN_UP: "closed" },
  });
  expect((await stat(join(root, FILE))).mode & 0o777).toBe(0o600);
  expect(asked.slice(0, 3)).toEqual(["DATABASE_URL secret", "DATABASE_URL secret", "UPSTASH_REDIS_REST_URL"]);
  expect(text).toContain("DATABASE_URL is malformed");
  expect(text).toContain("BASECHAT_KEY='the key that was printed' npm run smoke");
  expect(text).not.toMatch(/p4ssw0rd|t0ken|sk-1|n3wS3cr3t/);
});

test("[OPS-3] a second run keeps what there is, the key too", async () => {
  await run({ OPENAI_API_KEY: ["sk-1"] });
  const { asked } = await run({ DEFAULT_MODEL: ["gpt-4o"] });
  expect(asked).toContain("OPENAI_API_KEY secret known");
  expect(await written()).toEqual({
    ...MADE,
    OPENAI_API_KEY: "sk-1",
    DEFAULT_MODEL: "gpt-4o",
  });
});

test("[OPS-3] nothing is written where git would see it", async () => {
  await writeFile(join(root, ".gitignore"), "");
  const { isDone, asked, text } = await run({});
  expect({ isDone, asked }).toEqual({ isDone: false, asked: [] });
  expect(text).toContain("nothing was written");
  await expect(written()).rejects.toThrow("ENOENT");
});

test("[OPS-3] without a terminal the steps are printed, each with settings that a Worker reads", async () => {
  const command = promisify(execFile)(process.execPath, [join(import.meta.dirname, "setup.ts")]);
  command.child.stdin?.end();
  const { stdout: text } = await command;
  for (const { title, names } of QUESTIONS) {
    expect(text).toContain(title);
    for (const name of names) expect(readersOf(name), name).not.toEqual([]);
  }
  expect(text).toContain("npm run deploy -- --env production --secrets-file .dev/production.vars");
});
