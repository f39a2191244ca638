/**
 * The protocol for one POST: a new server and transport for every request, so nothing is shared between callers.
 * No state, no handshake needed; Accept, content type and protocol version are the SDK's to judge.
 */
import { WebStandardStreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js";
import type { ToolContext } from "../tools/tool.ts";
import { createServer, type ServerParts } from "./server.ts";

export async function serveStateless(
  request: Request,
  message: unknown,
  { parts, context }: { parts: ServerParts; context: ToolContext },
): Promise<Response> {
  const transport = new WebStandardStreamableHTTPServerTransport({ enableJsonResponse: true });
  const server = createServer(parts, () => context);
  try {
    await server.connect(transport);
    return await transport.handleRequest(request, { parsedBody: dropCancels(message) });
  } finally {
    await server.close();
  }
}

/** A cancel can only reach a request of its own batch, and that request's answer would then never come. */
function dropCancels(body: unknown): unknown {
  if (!Array.isArray(body)) return body;
  return body.filter((message: { method?: unknown }) => message.method !== "notifications/cancelled"); // checked before
}
