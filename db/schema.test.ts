import { expect, test } from "vitest";
import { readMigrations } from "./migrations.ts";
import { SCHEMA_VERSION } from "./schema.ts";

test("[DB-1] the schema version that the code expects is that of the newest migration", async () => {
  expect((await readMigrations()).at(-1)?.version).toBe(SCHEMA_VERSION);
});
