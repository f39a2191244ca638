/** The official conformance suite against /mcp, as `npm run mcp:conformance` runs it. */
import { expect, inject, test } from "vitest";
import { runServerSuite } from "../dev/conformance.ts";

test("[MCP-6] every scenario that revision 2025-11-25 requires of a server passes", { timeout: 180_000 }, async () => {
  const { passed, output } = await runServerSuite(inject("bundles"));
  expect(passed, output.slice(output.indexOf("=== SUMMARY ==="))).toBe(true);
  expect(output.match(/^✓ /gm)?.length).toBeGreaterThanOrEqual(30);
});
