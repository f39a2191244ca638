/**
 * docs/adding-a-tool.md, followed to the letter in a copy of the Worker: its files are written, its line is added, its test runs, the types
 * hold, and a house with that Worker answers its command. State: the copy, for as long as it takes.
 */
import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { buildWorkers, ROOT } from "../dev/build.ts";
import { openHouse } from "../dev/house.ts";

const run = promisify(execFile);
let folder: string;
let guide: string;

beforeAll(async () => {
  guide = await readFile(join(ROOT, "docs/adding-a-tool.md"), "utf8");
  folder = await mkdtemp(join(tmpdir(), "adding-a-tool-"));
  for (const name of ["contracts", "db", "workers/mcp", "wrangler.mcp.toml", "tsconfig.json", "package.json"]) {
    await cp(join(ROOT, name), join(folder, name), { recursive: true });
  }
  await symlink(join(ROOT, "node_modules"), join(folder, "node_modules"));
});
afterAll(() => rm(folder, { recursive: true }));

/** The block below a heading. */
function blockOf(heading: string): { file: string; code: string } {
  const section = guide.slice(guide.indexOf(heading));
  const file = /`(workers\/mcp\/[\w./-]+)`/.exec(section)?.[1];
  const code = /^```ts\n([^]*?)^```$/m.exec(section)?.[1];
  if (file === undefined || code === undefined) throw new Error(`nothing to do under ${heading}`);
  return { file, code };
}

test("[MCP-13] the guide's file, line and test make a tool that every door knows", { timeout: 120_000 }, async () => {
  const [tool, line, unit] = ["## 1.", "## 2.", "## 3."].map(blockOf);
  if (!tool || !line || !unit) throw new Error("the guide has three steps");
  await writeFile(join(folder, tool.file), tool.code);
  await writeFile(join(folder, unit.file), unit.code);
  const catalog = join(folder, line.file);
  const before = await readFile(catalog, "utf8");
  const after = before.replace(/(TOOL_LOADERS[^]*?)\n\};/, `$1\n${line.code}};`);
  expect(after).not.toBe(before);
  await writeFile(catalog, after);

  const vitest = join(ROOT, "node_modules/vitest/vitest.mjs");
  const args = [vitest, "run", "--root", folder, unit.file];
  const { stdout } = await run(process.execPath, args, { cwd: folder });
  expect(stdout).toMatch(/Tests +.*1 passed/);
  const { compilerOptions } = JSON.parse(await readFile(join(folder, "tsconfig.json"), "utf8"));
  await writeFile(
    join(folder, "tsconfig.json"),
    JSON.stringify({ compilerOptions, include: ["workers/mcp/index.ts", "workers/mcp/tools"] }),
  );
  await run(join(ROOT, "node_modules/.bin/tsc"), ["--noEmit", "-p", folder], { cwd: folder });

  const built = await buildWorkers(["wrangler.mcp.toml"], folder);
  const house = await openHouse({ bundles: { ...inject("bundles"), ...built } });
  try {
    const as = await house.newTenant();
    const command = /^```sh\n([^]*?)^```$/m.exec(guide)?.[1] ?? "";
    const body = /-d '(.*)'/.exec(command)?.[1] ?? "";
    const path = /localhost:8787(\S+)/.exec(command)?.[1] ?? "";
    const response = await house.call(path, { as, body });
    expect(await response.json()).toMatchObject({ tool_name: "reverse", success: true, content: "edit" });
    const stream = await house.call("/mcp/tools/list", { as });
    expect(await stream.text()).toContain('"reverse"');
  } finally {
    await house.close();
  }
});
