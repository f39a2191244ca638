/**
 * What main asks of this Worker by RPC, beside the protocol: the tools and who may use them, one call, switching on and off, figures.
 * No state. Refuses unknown tools (`not_found`).
 */
import { fail, ok } from "../../../contracts/errors.ts";
import type { ListedTool, Toolbox, ToolFigures } from "../../../contracts/toolbox.ts";
import type { KnownTool, Registry } from "../registry.ts";
import type { RunTool } from "../run.ts";
import type { Snapshot } from "./object.ts";
import { createServerAnswers, type ServersDeps } from "./servers.ts";

export interface AnswersDeps extends ServersDeps {
  registry: Registry;
  run: RunTool;
  toolbox: ServersDeps["toolbox"] & { setEnabled(tool: string, enabled: boolean): Promise<Snapshot> };
  monitor: { stats(hours: number): Promise<ToolFigures[]>; noteHits(tools: string[]): Promise<void> };
}

export function createAnswers(deps: AnswersDeps): Toolbox {
  const { registry, run, snapshots, toolbox, monitor, now, log } = deps;
  return {
    async list(caller) {
      const [{ version }, known] = await Promise.all([registry.list(caller), registry.listAll(caller)]);
      return { version, tools: known.map(toListed) };
    },
    async call({ name, arguments: args }, caller) {
      const outcome = await run(
        { name, arguments: args },
        { ...caller, now, signal: new AbortController().signal }, // the time limit ends it
      );
      if (outcome === undefined) return fail("not_found", "there is no such tool");
      return ok({ ok: outcome.ok, content: outcome.content, failure: outcome.failure });
    },
    async setEnabled(name, enabled, { requestId, userId }) {
      const tool = await registry.find(name);
      if (tool === undefined) return fail("not_found", "there is no such tool");
      snapshots.put(await toolbox.setEnabled(name, enabled));
      const audit = enabled ? "tool_enabled" : "tool_disabled";
      log({ service: "mcp", request_id: requestId, audit, user_id: userId, tool: name });
      return ok(undefined);
    },
    ...createServerAnswers(deps),
    stats: (hours) => monitor.stats(hours),
    noteHits: (names) => monitor.noteHits(names),
  };
}

function toListed({ definition, server, enabled }: KnownTool): ListedTool {
  const { name, description, inputSchema, readOnly, idempotent, cost } = definition;
  return {
    ...{ name, description, input_schema: inputSchema, read_only: readOnly, idempotent },
    ...{ private: definition.private, cost, server, enabled },
  };
}
