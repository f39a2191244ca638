/** docs/operations.md against the alert rules. Pure reading of files. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "..");

test("[OPS-4] each alert says in docs/operations.md what it means, and no other does", async () => {
  const rules = await readFile(join(ROOT, "ops/alerts.yaml"), "utf8");
  const page = await readFile(join(ROOT, "docs/operations.md"), "utf8");
  const named = [...rules.matchAll(/^ +- alert: (\w+)$/gm)].map(([, name]) => name);
  const told = [...page.matchAll(/^### (\w+)\n./gm)].map(([, name]) => name);
  expect(named.length).toBeGreaterThan(0);
  expect(new Set(told)).toEqual(new Set(named));
  expect(told.length).toBe(named.length);
});
