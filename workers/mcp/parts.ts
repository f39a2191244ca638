/**
 * Puts together what this Worker serves, from its settings. State: none of its own; the registry keeps its list as plain data.
 */
import type { ToolRecord } from "../../contracts/toolbox.ts";
import { configuredTools, TOOL_LOADERS } from "./catalog.ts";
import { FIXTURE_OFFERS } from "./conformance/offers.ts";
import { FIXTURE_TOOLS } from "./conformance/tools.ts";
import type { Config } from "./env.ts";
import type { Gateway } from "./gateway/gateway.ts";
import type { RemoteServer } from "./gateway/server.ts";
import type { Offers } from "./offers.ts";
import type { ServerParts } from "./protocol/server.ts";
import { createRegistry } from "./registry.ts";
import { createToolRunner, type LogLine } from "./run.ts";
import type { Snapshots } from "./toolbox/snapshots.ts";
import type { Fetch } from "./web/read.ts";

const NO_OFFERS: Offers = {
  resources: { list: async () => [], templates: [], read: async () => undefined },
  prompts: [],
};

export interface Outside {
  snapshots: Snapshots;
  gateway: Gateway;
  log: (line: LogLine) => void;
  record: (record: ToolRecord) => void;
  /** To the public network. */
  fetch: Fetch;
}

export function makeParts(config: Config, { snapshots, gateway, log, record, fetch }: Outside): ServerParts {
  const { hasFixtures } = config;
  const loaders = { ...TOOL_LOADERS, ...configuredTools(config, fetch), ...(hasFixtures && FIXTURE_TOOLS) };
  const remote = (server: RemoteServer, name: string) => gateway.toolOf(server, name);
  const registry = createRegistry({ loaders, snapshots, remote });
  const run = createToolRunner({ registry, log, record });
  return { registry, run, offers: hasFixtures ? FIXTURE_OFFERS : NO_OFFERS };
}
