/**
 * Puts together what this Worker serves, from its settings. State: none of its own; the registry keeps its list as plain data.
 */
import { FIXTURE_OFFERS } from "./conformance/offers.ts";
import { FIXTURE_TOOLS } from "./conformance/tools.ts";
import type { Config } from "./env.ts";
import type { Offers } from "./offers.ts";
import type { ServerParts } from "./protocol/server.ts";
import { createRegistry, TOOL_LOADERS } from "./registry.ts";
import { createToolRunner, type LogLine } from "./run.ts";

const NO_OFFERS: Offers = {
  resources: { list: async () => [], templates: [], read: async () => undefined },
  prompts: [],
};

export function makeParts({ hasFixtures }: Config, log: (line: LogLine) => void): ServerParts {
  const registry = createRegistry({ ...TOOL_LOADERS, ...(hasFixtures && FIXTURE_TOOLS) });
  return { registry, run: createToolRunner({ registry, log }), offers: hasFixtures ? FIXTURE_OFFERS : NO_OFFERS };
}
