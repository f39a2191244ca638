/**
 * /mcp: the Model Context Protocol, forwarded to the mcp Worker after auth. The client's credential stays here;
 * the mcp Worker is told who asks.
 */
import * as z from "zod";
import { type Route, route } from "../http/route.ts";

export interface McpRoutesDeps {
  forward(request: Request): Promise<Response>;
}

/** Headers of the protocol; nothing else of the client's crosses. */
const FORWARDED = ["accept", "content-type", "origin", "mcp-session-id", "mcp-protocol-version", "last-event-id"];

const Message = z.looseObject({ jsonrpc: z.literal("2.0") });
const SUMMARY = {
  POST: "The Model Context Protocol (Streamable HTTP): initialize, tools/list, tools/call",
  GET: "The Model Context Protocol: a stream of the server's own messages; there is none",
  DELETE: "The Model Context Protocol: ends a session; there is none",
};

export function mcpRoutes({ forward }: McpRoutesDeps): Route[] {
  return (["POST", "GET", "DELETE"] as const).map((method) =>
    route(
      {
        ...{ method, path: "/mcp", access: "user", summary: SUMMARY[method], body: "raw" },
        answers: { 200: Message, 202: "empty", 400: Message, 403: Message, 405: Message, 406: Message, 413: Message },
      },
      ({ raw, requestId, user }) => {
        const headers = new Headers({ "x-request-id": requestId, "x-basechat-user": user.id });
        for (const name of FORWARDED) {
          const value = raw.headers.get(name);
          if (value !== null) headers.set(name, value);
        }
        const { url, body, signal } = raw;
        return forward(new Request(url, { method, headers, signal, ...(body !== null && { body }) }));
      },
    ),
  );
}
