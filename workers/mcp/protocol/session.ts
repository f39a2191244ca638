/**
 * The protocol for a session: one server and one transport for as long as the session's object is in memory. What must outlive that is the
 * caller's to store: the events of its streams, and its client's first message, which is told again when the session wakes.
 */
import {
  type EventStore,
  WebStandardStreamableHTTPServerTransport,
} from "@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js";
import type { LogLevel } from "../tools/client.ts";
import type { ToolContext } from "../tools/tool.ts";
import { createClient } from "./client.ts";
import { createSessionServer, type Extra, type ServerParts, type SessionWishes } from "./server.ts";

export type { EventStore };

export interface KeptWishes extends SessionWishes {
  level(): LogLevel | undefined;
  isSubscribed(uri: string): boolean;
}

export interface SessionOptions {
  parts: ServerParts;
  handle: string;
  events: EventStore;
  wishes: KeptWishes;
  /** How long a client whose connection ended is asked to wait before it comes back. */
  retryMs: number;
  /** Who sent a request, by its headers. */
  contextOf(headers: Headers, signal: AbortSignal): ToolContext;
}

export interface Session {
  handle(request: Request, message: unknown): Promise<Response>;
  toolsChanged(): Promise<void>;
  resourceChanged(uri: string): Promise<void>;
  close(): Promise<void>;
}

export async function openSession(options: SessionOptions): Promise<Session> {
  const { parts, handle, events, wishes, retryMs } = options;
  const transport = new WebStandardStreamableHTTPServerTransport({
    sessionIdGenerator: () => handle,
    eventStore: events,
    retryInterval: retryMs,
  });
  const contextOf = (extra: Extra): ToolContext => ({
    ...options.contextOf(headersOf(extra), extra.signal),
    client: createClient(server, extra, wishes),
  });
  const server = createSessionServer(parts, contextOf, wishes);
  await server.connect(transport);
  return {
    handle: (request, message) =>
      transport.handleRequest(request, message === undefined ? {} : { parsedBody: message }),
    toolsChanged: () => server.sendToolListChanged(),
    resourceChanged: (uri) => server.sendResourceUpdated({ uri }),
    close: () => server.close(),
  };
}

/** A session that was out of memory learns again what its client said of itself; the answer is nobody's. */
export async function wake(session: Session, { url, handle, first }: { url: string; handle: string; first: unknown }) {
  const headers = {
    accept: "application/json, text/event-stream",
    "content-type": "application/json",
    "mcp-session-id": handle,
  };
  const post = (message: unknown) => session.handle(new Request(url, { method: "POST", headers }), message);
  await (await post(first)).text();
  await post({ jsonrpc: "2.0", method: "notifications/initialized" });
}

function headersOf({ requestInfo }: Extra): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(requestInfo?.headers ?? {})) {
    if (typeof value === "string") headers.set(name, value);
  }
  return headers;
}
