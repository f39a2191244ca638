/** docs/operations.md against the alert rules. Pure reading of files. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "..");
const RULES = join(ROOT, "ops/alerts.yaml");

test.skipIf(!existsSync(RULES))(
  "[OPS-4] each alert says in docs/operations.md what it means, and no other does",
  async () => {
    const rules = await readFile(RULES, "utf8");
    const page = await readFile(join(ROOT, "docs/operations.md"), "utf8");
    const named = [...rules.matchAll(/^ +- alert: (\w+)$/gm)].map(([, name]) => name);
    const told = [...page.matchAll(/^### (\w+)\n./gm)].map(([, name]) => name);
    expect(named.length).toBeGreaterThan(0);
    expect(told.toSorted()).toEqual(named.toSorted());
  },
);
