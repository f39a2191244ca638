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
/** One, or those of a batch. */
const Messages = z.union([Message, z.array(Message)]);

/** POST alone: the server begins nothing and keeps no sessions, so there is nothing to GET or DELETE. */
export function mcpRoutes({ forward }: McpRoutesDeps): Route[] {
  return [
    route(
      {
        ...{ method: "POST", path: "/mcp", access: "user", body: "raw" },
        summary: "The Model Context Protocol (Streamable HTTP): initialize, tools/list, tools/call",
        headers: { "Mcp-Protocol-Version": "the version that was agreed on; left out: the oldest one that is spoken" },
        answers: { 200: Messages, 202: "empty", 400: Message, 406: Message, 415: Message },
        fails: ["not_found", "payload_too_large", "invalid_json"],
      },
      ({ raw, requestId, user }) => {
        const headers = new Headers({ "x-request-id": requestId, "x-basechat-user": user.id });
        for (const name of FORWARDED) {
          const value = raw.headers.get(name);
          if (value !== null) headers.set(name, value);
        }
        const { url, body, signal } = raw;
        return forward(new Request(url, { method: "POST", headers, signal, ...(body !== null && { body }) }));
      },
    ),
  ];
}
