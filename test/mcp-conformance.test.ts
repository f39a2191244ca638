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

/** The others of this revision ask the client something by a result, subscribe, or run tasks: none of it is offered. */
const OF_2026 = [
  ...["completion-complete", "tools-list", "tools-call-simple-text", "tools-call-image", "tools-call-audio"],
  ...["tools-call-embedded-resource", "tools-call-mixed-content", "tools-call-error", "tools-call-with-progress"],
  ...["server-sse-multiple-streams", "resources-list", "resources-read-text", "resources-read-binary"],
  ...["resources-templates-read", "sep-2164-resource-not-found", "prompts-list", "prompts-get-simple"],
  ...["prompts-get-with-args", "prompts-get-embedded-resource", "prompts-get-with-image"],
  ...["dns-rebinding-protection", "caching", "http-header-validation"],
];

test("[MCP-18] what is offered by revision 2026-07-28 passes its scenarios", { timeout: 180_000 }, async () => {
  const { output } = await runServerSuite(inject("bundles"), "2026-07-28");
  const passed = Array.from(output.matchAll(/^✓ ([\w-]+):/gm), ([, name]) => name);
  expect(passed).toEqual(expect.arrayContaining(OF_2026));
});
