/** dev/install.mjs in a temporary project, with a script in place of npm that notes its arguments. */
import { execFile } from "node:child_process";
import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

const NPM = `#!/bin/sh
echo "$@" >> calls
rm -rf node_modules
[ -f fail ] && exit 7
mkdir -p node_modules/.bin && touch node_modules/.bin/node && cp package-lock.json node_modules/.package-lock.json
`;

let root = "";

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "install-"));
  for (const folder of ["dev", "bin"]) await mkdir(join(root, folder));
  await copyFile(join(import.meta.dirname, "install.mjs"), join(root, "dev", "install.mjs"));
  await writeFile(join(root, "bin", "npm"), NPM);
  await chmod(join(root, "bin", "npm"), 0o755);
  await lock("1.0.0");
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function lock(version: string): Promise<void> {
  const packages = { "": {}, "node_modules/zod": { version }, "node_modules/other-os": { version, optional: true } };
  await writeFile(join(root, "package-lock.json"), JSON.stringify({ packages }));
}

async function install(): Promise<{ code: number; stdout: string; stderr: string }> {
  const env = { ...process.env, PATH: `${join(root, "bin")}:${process.env["PATH"]}` };
  return new Promise((resolve) => {
    const script = join(root, "dev", "install.mjs");
    const child = execFile(process.execPath, [script], { cwd: root, env }, (_error, stdout, stderr) =>
      resolve({ code: child.exitCode ?? -1, stdout, stderr }),
    );
  });
}

async function calls(): Promise<string[]> {
  const text = await readFile(join(root, "calls"), "utf8").catch(() => "");
  return text.split("\n").filter((line) => line !== "");
}

test("[INSTALL-1] installs what is missing, says so before and after, and is silent from then on", async () => {
  const first = await install();
  expect(first).toMatchObject({ code: 0, stderr: "" });
  expect(first.stdout).toMatch(/^Installing dependencies \(npm ci\) \.\.\.\nDependencies installed in \d+\.\d s\.\n$/);
  expect(await install()).toEqual({ code: 0, stdout: "", stderr: "" });
  expect(await calls()).toEqual([expect.stringMatching(/^ci /)]);
});

test("[INSTALL-1] installs again when the lockfile changes", async () => {
  await install();
  await lock("1.0.1");
  expect((await install()).stdout).toContain("Installing");
  expect(await calls()).toHaveLength(2);
});

test("[INSTALL-1] takes over an install made by hand, unless it is of another lockfile", async () => {
  await install();
  await rm(join(root, "node_modules", ".install-stamp"));
  expect(await install()).toEqual({ code: 0, stdout: "", stderr: "" });
  await rm(join(root, "node_modules", ".install-stamp"));
  await lock("1.0.1");
  expect((await install()).stdout).toContain("Installing");
});

test("[INSTALL-1] two commands at once install once", async () => {
  const runs = await Promise.all([install(), install(), install()]);
  expect(runs.map((run) => run.code)).toEqual([0, 0, 0]);
  expect(await calls()).toHaveLength(1);
});

test.each([
  ["a command that died", "4194305"], // above the largest process id
  ["a machine that lost power", ""],
])("[INSTALL-1] the lock of %s does not block, nor lets two install", async (_whose, owner) => {
  await mkdir(join(root, ".dev"));
  await writeFile(join(root, ".dev", "install.lock"), owner);
  const runs = await Promise.all([install(), install(), install()]);
  expect(runs.map((run) => run.code)).toEqual([0, 0, 0]);
  expect(await calls()).toHaveLength(1);
  expect(await readdir(join(root, ".dev"))).toEqual([]);
});

test("[INSTALL-2] a failed install says what to do and exits with npm's code, and the next one tries again", async () => {
  await writeFile(join(root, "fail"), "");
  const failed = await install();
  expect(failed.code).toBe(7);
  expect(failed.stderr).toMatch(/npm ci failed with code 7\.\n.*then run: npm ci\n$/);
  await rm(join(root, "fail"));
  expect((await install()).code).toBe(0);
});
