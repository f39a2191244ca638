/**
 * The Worker of the tools, reached by main's service binding only. State: the settings and the tool list, plain data,
 * once per isolate. Refuses nothing itself: handler.ts does.
 */
import { WorkerEntrypoint } from "cloudflare:workers";
import { type ConfigResult, readConfig } from "./env.ts";
import { handleRequest } from "./handler.ts";
import { createRegistry, TOOL_LOADERS } from "./registry.ts";

const registry = createRegistry(TOOL_LOADERS);
let config: ConfigResult | undefined;

export default class McpWorker extends WorkerEntrypoint<unknown> {
  override fetch(request: Request): Promise<Response> {
    return handleRequest(request, {
      config: (config ??= readConfig(this.env)),
      registry,
      now: Date.now,
      newId: () => crypto.randomUUID(),
      log: (line) => console.log(JSON.stringify(line)),
    });
  }
}
