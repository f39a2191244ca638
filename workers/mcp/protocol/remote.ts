/**
 * A client of a remote server: the handshake once, then one request for a list or a call. State: what is needed to go on with a session, plain
 * data that the caller keeps. A session that the server has lost is begun anew, once. Refuses redirects and answers above 1 MiB, offers the
 * server nothing, and sends it no header but its own.
 */
import { StreamableHTTPClientTransport, StreamableHTTPError } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { Protocol } from "@modelcontextprotocol/sdk/shared/protocol.js";
import {
  CallToolResultSchema,
  InitializeResultSchema,
  LATEST_PROTOCOL_VERSION,
  McpError,
  type Notification,
  type Request as McpRequest,
  type Result as McpResult,
  SUPPORTED_PROTOCOL_VERSIONS,
} from "@modelcontextprotocol/sdk/types.js";
import * as z from "zod";
import { capBody } from "../../../contracts/capped.ts";
import type { Fetch } from "../web/read.ts";

const MAX_BODY_BYTES = 1024 * 1024;
const MAX_PAGES = 5;

/** A session with a server, as it can be kept. */
export interface RemoteSession {
  id: string | undefined;
  version: string;
}

export interface RemoteOptions {
  url: string;
  headers: Record<string, string>;
  fetch: Fetch;
  signal: AbortSignal;
  /** Left out: it must be begun. */
  session?: RemoteSession | undefined;
}

export type Remote<T> =
  | { ok: true; value: T; session: RemoteSession }
  /** `refused`: the server answered with an error of the protocol. */
  | { ok: false; why: "unreachable" | "refused" };

export interface RemoteResult {
  ok: boolean;
  content: string;
}

const Tools = z.object({ tools: z.array(z.unknown()).max(1_000), nextCursor: z.string().optional() });

export function listRemote(options: RemoteOptions): Promise<Remote<unknown[]>> {
  return withSession(options, async (client) => {
    const all: unknown[] = [];
    let cursor: string | undefined;
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const params = cursor === undefined ? {} : { cursor };
      const { tools, nextCursor } = await client.request({ method: "tools/list", params }, Tools, TIMEOUT);
      all.push(...tools);
      cursor = nextCursor;
      if (cursor === undefined) return all;
    }
    return all;
  });
}

export function callRemote(
  options: RemoteOptions,
  call: { name: string; arguments: Record<string, unknown> },
): Promise<Remote<RemoteResult>> {
  return withSession(options, async (client) => {
    const result = await client.request({ method: "tools/call", params: call }, CallToolResultSchema, TIMEOUT);
    const texts = result.content.map((part) => (part.type === "text" ? part.text : `[${part.type}]`));
    const isEmpty = texts.length === 0 && result.structuredContent !== undefined;
    const content = isEmpty ? JSON.stringify(result.structuredContent) : texts.join("\n");
    return { ok: result.isError !== true, content };
  });
}

/** The caller's signal ends a request; the SDK's own limit is out of its way. */
const TIMEOUT = { timeout: 600_000 };

/** Runs with the session that is kept, or a new one; once more with a new one if the server has lost it. */
async function withSession<T>(options: RemoteOptions, ask: (client: RemoteClient) => Promise<T>): Promise<Remote<T>> {
  try {
    const first = await attempt(options, ask);
    if (first !== "lost") return first;
    const second = await attempt({ ...options, session: undefined }, ask);
    return second === "lost" ? { ok: false, why: "unreachable" } : second;
  } catch (error) {
    return { ok: false, why: error instanceof McpError && !options.signal.aborted ? "refused" : "unreachable" };
  }
}

async function attempt<T>(
  options: RemoteOptions,
  ask: (client: RemoteClient) => Promise<T>,
): Promise<Remote<T> | "lost"> {
  const { url, signal, session } = options;
  signal.throwIfAborted();
  const transport = new StreamableHTTPClientTransport(new URL(url), {
    fetch: (address, init) => send(address, init, options),
    requestInit: { headers: options.headers },
    ...(session?.id !== undefined && { sessionId: session.id }),
    reconnectionOptions: {
      maxRetries: 2,
      initialReconnectionDelay: 500,
      maxReconnectionDelay: 2_000,
      reconnectionDelayGrowFactor: 2,
    },
  });
  const client = new RemoteClient();
  const close = () => void client.close();
  signal.addEventListener("abort", close, { once: true });
  try {
    await client.connect(transport);
    const version = session?.version ?? (await begin(client, transport));
    transport.setProtocolVersion(version);
    const value = await ask(client);
    return { ok: true, value, session: { id: transport.sessionId, version } };
  } catch (error) {
    if (session !== undefined && error instanceof StreamableHTTPError && error.code === 404) return "lost";
    throw error;
  } finally {
    signal.removeEventListener("abort", close);
    await client.close();
  }
}

async function begin(client: RemoteClient, transport: StreamableHTTPClientTransport): Promise<string> {
  const clientInfo = { name: "basechat", version: "1.0.0" };
  const params = { protocolVersion: LATEST_PROTOCOL_VERSION, capabilities: {}, clientInfo };
  const { protocolVersion } = await client.request({ method: "initialize", params }, InitializeResultSchema, TIMEOUT);
  if (!SUPPORTED_PROTOCOL_VERSIONS.includes(protocolVersion)) throw new Error("the server speaks another protocol");
  transport.setProtocolVersion(protocolVersion);
  await client.notification({ method: "notifications/initialized" });
  return protocolVersion;
}

/** The SDK listens for what a server says unasked; nothing of it is wanted, but for the rest of a stream that broke. */
async function send(
  address: string | URL,
  init: RequestInit = {},
  { fetch, signal }: RemoteOptions,
): Promise<Response> {
  const isListening = init.method === "GET" && !new Headers(init.headers).has("last-event-id");
  if (isListening) return new Response(null, { status: 405 });
  const both = init.signal ? AbortSignal.any([init.signal, signal]) : signal;
  const response = await fetch(String(address), { ...init, redirect: "manual", signal: both });
  return capBody(response, MAX_BODY_BYTES);
}

/** The SDK's protocol engine. Its `Client` compiles schemas to code, which workerd refuses. */
class RemoteClient extends Protocol<McpRequest, Notification, McpResult> {
  protected override assertCapabilityForMethod(): void {}
  protected override assertNotificationCapability(): void {}
  protected override assertRequestHandlerCapability(): void {}
  protected override assertTaskCapability(): void {}
  protected override assertTaskHandlerCapability(): void {}
}
