/**
 * Tools of remote servers, called as our own. No state but its connections'. Before a call the server's list is looked at again if it was not
 * within the last minute: one that has changed is set aside, and the server is closed until an admin accepts it. Refuses, for a while, servers
 * that keep failing.
 */
import * as z from "zod";
import type { ToolFailure } from "../../../contracts/toolbox.ts";
import { callRemote, type Remote } from "../protocol/remote.ts";
import type { Tool, ToolReply } from "../tools/tool.ts";
import { type ConnectionsDeps, createConnections } from "./connections.ts";
import { keyOf, type OfferedList, type RemoteServer, splitName } from "./server.ts";

export interface GatewayDeps extends ConnectionsDeps {
  /** Keeps a list that differs from the accepted one; it is logged there. */
  setPending(server: string, list: OfferedList): Promise<void>;
}

export interface Gateway {
  /** What a server offers now. */
  look(server: RemoteServer, signal: AbortSignal): Promise<Remote<OfferedList>>;
  toolOf(server: RemoteServer, name: string): Tool | undefined;
}

const Arguments = z.record(z.string(), z.unknown());

export function createGateway(deps: GatewayDeps): Gateway {
  const { exchange, look, findChange } = createConnections(deps);

  async function call(server: RemoteServer, name: string, args: unknown, signal: AbortSignal): Promise<ToolReply> {
    if (deps.breaker.isOpen(keyOf(server)))
      return failed("upstream_error", "The tool's server fails: try again later.");
    const change = await findChange(server, signal);
    if (change?.ok === false) return failed("upstream_error", UNREACHABLE);
    if (change !== undefined) {
      await deps.setPending(server.name, change.value);
      return failed("changed", "The tool's server has changed its tools: an admin must look at them first.");
    }
    const asked = { name, arguments: Arguments.parse(args) };
    const result = await exchange(server, signal, (options) => callRemote(options, asked));
    if (result.ok) return result.value;
    const isRefused = result.why === "refused";
    return failed("upstream_error", isRefused ? "The tool's server refused the call." : UNREACHABLE);
  }

  return {
    look,
    toolOf(server, name) {
      const definition = server.accepted.tools.find((tool) => tool.name === name);
      const parts = splitName(name);
      if (definition === undefined || parts === undefined) return undefined;
      return {
        ...{ name, description: definition.description, input: Arguments, annotations: definition },
        ...{ timeLimitMs: server.timeLimitMs, isOutside: true },
        run: (args, { signal }) => call(server, parts.tool, args, signal),
      };
    },
  };
}

const UNREACHABLE = "The tool's server could not be reached.";

function failed(failure: ToolFailure, content: string): ToolReply {
  return { ok: false, content, failure };
}
