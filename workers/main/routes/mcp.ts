/**
 * /mcp: the Model Context Protocol, forwarded to the mcp Worker after auth. The client's credential stays here;
 * the mcp Worker is told who asks.
 */
import * as z from "zod";
import type { ToolCaller } from "../../../contracts/toolbox.ts";
import { type Call, type Route, route } from "../http/route.ts";
import { callerOf } from "./tools.ts";

export interface McpRoutesDeps {
  forward(request: Request): Promise<Response>;
  /** Tools that the deployment's rules close to a user. */
  deniedTo(userId: string): string[];
}

/** Headers of the protocol; nothing else of the client's crosses. */
const FORWARDED =
  /^(?:accept|content-type|origin|last-event-id|mcp-(?:session-id|protocol-version|method|name|param-.+))$/;

const Message = z.looseObject({ jsonrpc: z.literal("2.0") });
const VERSION = "the version that was agreed on";
const SESSION = "the session, as the answer to initialize named it";
/** A message that belongs to no request: why this one is not taken. */
const REFUSED = { 400: Message, 404: Message, 406: Message, 409: Message, 413: Message, 415: Message } as const;

export function mcpRoutes({ forward, deniedTo }: McpRoutesDeps): Route[] {
  const shared = { path: "/mcp", access: "user", body: "raw" } as const;
  const headers = { "Mcp-Session-Id": SESSION, "Mcp-Protocol-Version": VERSION };
  const handle = (call: Call): Promise<Response> => forward(strip(call.raw, callerOf(call, { deniedTo })));
  return [
    route(
      {
        ...{ ...shared, method: "POST", headers },
        summary: "The Model Context Protocol (Streamable HTTP): a message of the client",
        description:
          "`initialize` begins a session; every other message names it. In revision 2026-07-28 there are no sessions.",
        answers: { 200: ["text/event-stream", Message], 202: "empty", ...REFUSED },
        fails: ["not_found", "payload_too_large", "invalid_json"],
      },
      handle,
    ),
    route(
      {
        ...{ ...shared, method: "GET", headers: { ...headers, "Last-Event-ID": "the last event that was seen" } },
        summary: "What the server has to say to a session unasked, or the rest of a stream that broke",
        answers: { 200: "text/event-stream", ...REFUSED },
        fails: ["not_found"],
      },
      handle,
    ),
    route(
      {
        ...{ ...shared, method: "DELETE", headers },
        summary: "Ends a session of the Model Context Protocol",
        answers: { 200: "empty", ...REFUSED },
        fails: ["not_found"],
      },
      handle,
    ),
  ];
}

function strip({ url, method: asked, body, signal, headers: sent }: Request, caller: ToolCaller): Request {
  const { requestId, traceparent, userId, denied, isAdmin } = caller;
  const headers = new Headers({ "x-request-id": requestId, "x-basechat-user": userId });
  if (traceparent !== undefined) headers.set("traceparent", traceparent);
  if (isAdmin) headers.set("x-basechat-role", "admin");
  if (denied.length > 0) headers.set("x-basechat-denied", denied.join(","));
  for (const [name, value] of sent) if (FORWARDED.test(name)) headers.set(name, value);
  const method = asked === "HEAD" ? "GET" : asked;
  // The runtime makes no GET with a body, and the protocol gives it no meaning.
  const isBare = body === null || method === "GET";
  return new Request(url, { method, headers, signal, ...(!isBare && { body }) });
}
