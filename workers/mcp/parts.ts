/**
 * Puts together what this Worker serves, from its settings. State: none of its own; the registry keeps its list as plain data.
 */
import type { ToolRecord } from "../../contracts/toolbox.ts";
import { configuredTools, TOOL_LOADERS, type ToolParts } from "./catalog.ts";
import { FIXTURE_OFFERS } from "./conformance/offers.ts";
import { FIXTURE_TOOLS } from "./conformance/tools.ts";
import type { Config } from "./env.ts";
import type { Gateway } from "./gateway/gateway.ts";
import type { RemoteServer } from "./gateway/server.ts";
import { createOffers } from "./knowledge/offers.ts";
import type { KnowledgeStore } from "./knowledge/store.ts";
import type { Offers } from "./offers.ts";
import type { ServerParts } from "./protocol/server.ts";
import { createRegistry } from "./registry.ts";
import { createToolRunner, type LogLine } from "./run.ts";
import type { Snapshots } from "./toolbox/snapshots.ts";

const NO_OFFERS: Offers = {
  resources: { list: async () => [], templates: [], read: async () => undefined },
  prompts: [],
};

export interface Outside extends ToolParts {
  snapshots: Snapshots;
  gateway: Gateway;
  log: (line: LogLine) => void;
  record: (record: ToolRecord) => void;
}

export function makeParts(config: Config, outside: Outside): ServerParts {
  const { snapshots, gateway, log, record, store } = outside;
  const { hasFixtures } = config;
  const loaders = { ...TOOL_LOADERS, ...configuredTools(config, outside), ...(hasFixtures && FIXTURE_TOOLS) };
  const remote = (server: RemoteServer, name: string) => gateway.toolOf(server, name);
  const registry = createRegistry({ loaders, snapshots, remote });
  const run = createToolRunner({ registry, log, record });
  return { registry, run, offers: offersOf(hasFixtures, store) };
}

function offersOf(hasFixtures: boolean, store: KnowledgeStore | undefined): Offers {
  if (hasFixtures) return FIXTURE_OFFERS;
  return store === undefined ? NO_OFFERS : createOffers(store);
}
