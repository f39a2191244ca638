/** Traces requirements to tests: reads the titles of all test files of the repository. */
import { readFile, glob } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { REQUIREMENTS } from "./requirements.ts";

const ROOT = join(import.meta.dirname, "..");
const CITATION = /\[([A-Z][A-Z0-9-]*\d)\]/g;

/** The ids that titles of tests and suites cite: `test("[NET-1] ...`, also of `test.each(...)("[NET-1] ...`. */
function citedIds(source: string): string[] {
  const titles = source.match(/\(\s*["'`]\[[A-Z][^"'`\n]*/g) ?? [];
  return titles.flatMap((title) => [...title.matchAll(CITATION)].flatMap((match) => match[1] ?? []));
}

async function allCitedIds(): Promise<Set<string>> {
  const cited = new Set<string>();
  for await (const file of glob("{contracts,db,workers,dev,test,bench}/**/*.test.ts", { cwd: ROOT })) {
    for (const id of citedIds(await readFile(join(ROOT, file), "utf8"))) cited.add(id);
  }
  return cited;
}

test("[TRACE-1] every requirement is cited by a test, and every cited id is declared", async () => {
  const cited = [...(await allCitedIds())];
  const declared = Object.keys(REQUIREMENTS);
  expect({
    untested: declared.filter((id) => !cited.includes(id)),
    undeclared: cited.filter((id) => !declared.includes(id)),
  }).toEqual({ untested: [], undeclared: [] });
});

test("[TRACE-1] ids are read from titles only", () => {
  // "\u005b" is a bracket that this file's own scan does not see.
  const titles = 'test("\u005bF20] one"); it.each(rows)(\n  "\u005bTURN-3]\u005bTURN-4] two %s",';
  expect(citedIds(titles)).toEqual(["F20", "TURN-3", "TURN-4"]);
  expect(citedIds('const a = "\u005bF20] no title"; // \u005bF21]\nexpect(text).toBe("\u005bno id]")')).toEqual([]);
});
