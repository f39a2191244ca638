/**
 * /mcp: the Model Context Protocol, forwarded to the mcp Worker after auth. The client's credential stays here;
 * the mcp Worker is told who asks.
 */
import { Hono, type MiddlewareHandler } from "hono";
import type { AppContext } from "../http/context.ts";

export interface McpRoutesDeps {
  requireUser: MiddlewareHandler<AppContext>;
  forward(request: Request): Promise<Response>;
}

/** Headers of the protocol; nothing else of the client's crosses. */
const FORWARDED = ["accept", "content-type", "origin", "mcp-session-id", "mcp-protocol-version", "last-event-id"];

export function mcpRoutes({ requireUser, forward }: McpRoutesDeps) {
  return new Hono<AppContext>().use(requireUser).on(["POST", "GET", "DELETE"], "/", (context) => {
    const { raw } = context.req;
    const headers = new Headers({ "x-request-id": context.var.requestId, "x-basechat-user": context.var.user.id });
    for (const name of FORWARDED) {
      const value = raw.headers.get(name);
      if (value !== null) headers.set(name, value);
    }
    const { method, url, body, signal } = raw;
    return forward(new Request(url, { method, headers, signal, ...(body !== null && { body }) }));
  });
}
