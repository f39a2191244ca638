/** The closing line of real vitest runs over small suites in a temporary folder. */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

const VITEST = join(import.meta.dirname, "..", "node_modules", "vitest", "vitest.mjs");
const REPORTER = join(import.meta.dirname, "summary-reporter.ts");

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "summary-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The exit code and the last line of a run over one file with this code. */
async function lastLineOf(name: string, code: string): Promise<{ code: number; line: string }> {
  await writeFile(join(folder, `${name}.test.js`), code);
  const args = [VITEST, "run", `${name}.test.js`, "--root", folder, "--globals", "--reporter=default"];
  const env = Object.fromEntries(Object.entries(process.env).filter(([key]) => !key.startsWith("VITEST")));
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [...args, `--reporter=${REPORTER}`],
      { env, cwd: folder },
      (_error, stdout) => resolve({ code: child.exitCode ?? -1, line: stdout.trimEnd().split("\n").at(-1) ?? "" }),
    );
  });
}

test("[REPORT-1] a green run ends with its counts", async () => {
  const run = await lastLineOf("green", `test("a", () => {}); test("b", () => {}); test.skip("c", () => {});`);
  expect(run).toEqual({ code: 0, line: "2 passed, 0 failed, 1 skipped" });
});

test("[REPORT-1] a failed test is counted", async () => {
  const run = await lastLineOf("red", `test("a", () => {}); test("b", () => { throw new Error("no"); });`);
  expect(run).toEqual({ code: 1, line: "1 passed, 1 failed" });
});

test("[REPORT-1] what could not run counts as failed: a file, a hook, a stray rejection", async () => {
  expect(await lastLineOf("broken", `import "./missing.js";`)).toEqual({ code: 1, line: "0 passed, 1 failed" });
  const hook = await lastLineOf("hook", `beforeAll(() => { throw new Error("no"); }); test("a", () => {});`);
  expect(hook).toEqual({ code: 1, line: "0 passed, 1 failed, 1 skipped" });
  const stray = await lastLineOf("stray", `test("a", () => { Promise.reject(new Error("no")); });`);
  expect(stray).toEqual({ code: 1, line: "1 passed, 1 failed" });
});
