/** The official conformance suite against /mcp and for our client, as `npm run mcp:conformance` runs it. */
import { expect, inject, test } from "vitest";
import { runClientSuite, runServerSuite } from "../dev/conformance/run.ts";

test("[MCP-6] every scenario that revision 2025-11-25 requires of a server passes", { timeout: 180_000 }, async () => {
  const { passed, output } = await runServerSuite(inject("bundles"));
  expect(passed, output.slice(output.indexOf("=== SUMMARY ==="))).toBe(true);
  expect(output.match(/^✓ /gm)?.length).toBeGreaterThanOrEqual(30);
});

test("[MCP-6] our client of remote servers passes the scenarios that are for it", { timeout: 120_000 }, async () => {
  const { passed, output } = await runClientSuite();
  expect(passed, output).toBe(true);
});
