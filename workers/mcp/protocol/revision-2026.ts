/**
 * Our methods on the SDK's second version, which speaks revision 2026-07-28: no sessions, every request says for itself who its client is and
 * what it can do. A new server for every request; no state. Refuses to be listened to (nothing is told unasked), and what the methods refuse.
 */
import {
  createMcpHandler,
  isLegacyRequest,
  ProtocolError,
  Server,
  type ServerContext,
} from "@modelcontextprotocol/server";
import * as z from "zod";
import type { Client } from "../tools/client.ts";
import type { ToolContext } from "../tools/tool.ts";
import { INVALID_PARAMS, type Methods, toRefusal } from "./handling.ts";
import { offerMethods } from "./offers.ts";
import { INFO, type ServerParts } from "./server.ts";
import { toolMethods } from "./tools.ts";

/** Whether a message belongs to this revision, by its headers and what it says of itself. */
export async function isOfRevision2026(request: Request, message: unknown): Promise<boolean> {
  return !(await isLegacyRequest(request, message));
}

export async function serveRevision2026(
  request: Request,
  message: unknown,
  { parts, context }: { parts: ServerParts; context: ToolContext },
): Promise<Response> {
  // The tools and prompts are the deployment's, but which of them one sees is one's own affair.
  const cacheHints = { "tools/list": { ttlMs: 30_000 }, "prompts/list": { ttlMs: 30_000 } };
  const capabilities = { tools: {}, resources: {}, prompts: {}, completions: {} };
  const makeServer = (): Server => {
    const server = new Server(INFO, { capabilities, cacheHints });
    register(server, { ...toolMethods(parts), ...offerMethods(parts.offers, INVALID_PARAMS) }, context);
    return server;
  };
  const handler = createMcpHandler(makeServer, { legacy: "reject", maxSubscriptions: 0 });
  return handler.fetch(request, { parsedBody: message });
}

function register(server: Server, methods: Methods, context: ToolContext): void {
  for (const [name, method] of Object.entries(methods)) {
    server.setRequestHandler(name, { params: z.unknown() }, async (params, called) => {
      try {
        return await method(params, { ...context, signal: called.mcpReq.signal, client: createClient(called) });
      } catch (error) {
        const { code, message, data } = toRefusal(error);
        throw new ProtocolError(code, message, data);
      }
    });
  }
}

/** In this revision a client is told things while it waits, and asked nothing. */
function createClient({ mcpReq }: ServerContext): Client {
  return {
    log: (level, text) => mcpReq.log(level, text),
    async progress(done, total) {
      const progressToken = mcpReq._meta?.progressToken;
      if (progressToken === undefined) return;
      const params = { progressToken, progress: done, total };
      await mcpReq.notify({ method: "notifications/progress", params });
    },
    sample: async () => undefined,
    elicit: async () => undefined,
    hangUp: () => undefined,
    resourceChanged: async () => undefined,
  };
}
