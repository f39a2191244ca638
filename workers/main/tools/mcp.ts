/**
 * The tool server as the workflow sees it, spoken to in the Model Context Protocol over a service binding: the only file
 * of main that imports the SDK's client side. State: the tool list in a cache object of plain data, shared by an isolate.
 * One HTTP request for a list, one for a call, no handshake. Refuses answers that are no list or result, or are too large.
 */
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { Protocol } from "@modelcontextprotocol/sdk/shared/protocol.js";
import {
  type CallToolResult,
  CallToolResultSchema,
  LATEST_PROTOCOL_VERSION,
  ListToolsResultSchema,
  McpError,
  type Notification,
  type Request as McpRequest,
  type Result as McpResult,
} from "@modelcontextprotocol/sdk/types.js";
import * as z from "zod";
import { sortKeys } from "../../../contracts/canonical.ts";
import { capBody, capBytes } from "../../../contracts/capped.ts";
import type {
  CallContext,
  ToolCall,
  ToolDefinition,
  ToolList,
  ToolOutcome,
  ToolServer,
} from "../../../contracts/tools.ts";

const URL_OF_SERVER = new URL("https://mcp.internal/stateless"); // the binding decides who answers, not the name
const FRESH_MS = 60_000;
/** From this age on a newer list is waited for: what a quiet spell has left may hold tools that are long gone. */
const OLD_MS = 2 * FRESH_MS;
/** Served while a newer list is fetched; older than this it is as good as none. */
const STALE_MS = 600_000;
/** After a failure nobody asks again for this long. */
const RETRY_MS = 5_000;
const LIST_TIMEOUT_MS = 3_000;
/** The server's own limit of a tool is 15 s. */
const CALL_TIMEOUT_MS = 17_000;
/** Why a call was refused that was chosen from an old list. */
const LIST_IS_OLD: unknown[] = ["stale", "disabled"];
/** JSON-RPC 2.0, section 5.1. */
const INVALID_PARAMS = -32602;
/** As many as providers take in one request. */
const MAX_TOOLS = 128;
const MAX_CONTENT_BYTES = 256 * 1024;
/** 256 KiB of content may take six times as many bytes in JSON. */
const MAX_BODY_BYTES = 2 * 1024 * 1024;

/** The last tool list of an isolate: bounded plain data, so it may outlive a request. */
export interface ToolListCache {
  list?: ToolList | undefined;
  fetchedAtMs: number;
  /** No request for a list starts before this. */
  nextTryMs: number;
}

const isolateCache: ToolListCache = { fetchedAtMs: 0, nextTryMs: 0 };

export interface McpToolServerOptions {
  /** The service binding's fetch. */
  fetch: (url: string | URL, init?: RequestInit) => Promise<Response>;
  now: () => number;
  /** Keeps the Worker alive for a list fetched behind a reply. */
  waitUntil?: (work: Promise<unknown>) => void;
  /** Tells the server's monitor; left out: nobody counts. */
  noteHits?: (names: string[]) => Promise<void>;
  cache?: ToolListCache;
  callTimeoutMs?: number;
  listTimeoutMs?: number;
}

export function createMcpToolServer(options: McpToolServerOptions): ToolServer {
  const { now, cache = isolateCache, waitUntil = () => undefined } = options;
  async function refresh(context: CallContext): Promise<ToolList | undefined> {
    const list = await fetchList(options, context);
    if (list === undefined) {
      cache.nextTryMs = now() + RETRY_MS;
    } else {
      Object.assign(cache, { list, fetchedAtMs: now(), nextTryMs: 0 });
    }
    return list;
  }

  async function currentList(context: CallContext): Promise<ToolList | undefined> {
    const ageMs = now() - cache.fetchedAtMs;
    if (cache.list !== undefined && ageMs < FRESH_MS) return cache.list;
    const mayTry = now() >= cache.nextTryMs;
    if (cache.list === undefined || ageMs >= STALE_MS) return mayTry ? await refresh(context) : undefined;
    if (mayTry) {
      cache.nextTryMs = now() + RETRY_MS; // others use the old list meanwhile
      const refreshed = refresh(context);
      if (ageMs >= OLD_MS) return (await refreshed) ?? cache.list;
      waitUntil(refreshed);
    }
    return cache.list;
  }

  return {
    list: currentList,
    async call(call, context, signal) {
      const { outcome, stale } = await callTool(options, { call, context, signal, version: context.listVersion });
      if (stale) cache.list = undefined;
      return outcome;
    },
    noteHits(names) {
      const noted = options.noteHits?.(names);
      if (noted !== undefined) waitUntil(noted.catch(() => undefined)); // a count that is lost is no reason to fail
    },
  };
}

const ListedTool = z.object({
  name: z.string().regex(/^[\w.-]{1,64}$/),
  description: z.string().max(4_096).default(""),
  inputSchema: z.record(z.string(), z.unknown()),
  // what a tool does not say of itself is taken for the less trusting answer
  annotations: z
    .object({ readOnlyHint: z.boolean().default(false), idempotentHint: z.boolean().default(false) })
    .prefault({}),
  _meta: z
    .object({
      "basechat/cost": z.enum(["free", "metered"]).default("metered"),
      "basechat/private": z.boolean().default(true),
    })
    .prefault({}),
});
const ListReply = z.object({
  // Too many are no reason to have none.
  tools: z
    .array(z.unknown())
    .transform((all) => all.slice(0, MAX_TOOLS))
    .pipe(z.array(ListedTool)),
  _meta: z.object({ "basechat/version": z.string().min(1).max(128) }),
});

async function fetchList(options: McpToolServerOptions, context: CallContext): Promise<ToolList | undefined> {
  const limit = startLimit(options.listTimeoutMs ?? LIST_TIMEOUT_MS);
  try {
    const reply = await exchange({ options, context, signal: limit.signal }, (client) =>
      client.request({ method: "tools/list" }, ListToolsResultSchema),
    );
    const { tools, _meta } = ListReply.parse(reply);
    return { version: _meta["basechat/version"], tools: tools.map(toDefinition) };
  } catch {
    return undefined;
  } finally {
    limit.stop();
  }
}

function toDefinition({
  name,
  description,
  inputSchema,
  annotations,
  _meta,
}: z.infer<typeof ListedTool>): ToolDefinition {
  return {
    name,
    description,
    // Prompts are to begin with the same bytes, in whatever order a server tells its schemas.
    inputSchema: sortKeys(inputSchema) as typeof inputSchema,
    readOnly: annotations.readOnlyHint,
    idempotent: annotations.idempotentHint,
    private: _meta["basechat/private"],
    cost: _meta["basechat/cost"],
  };
}

interface CallInput {
  call: ToolCall;
  context: CallContext;
  signal: AbortSignal;
  version: string | undefined;
}

interface Called {
  outcome: ToolOutcome;
  /** The server's list is no longer the one that the tool was chosen from. */
  stale?: boolean;
}

async function callTool(options: McpToolServerOptions, { call, context, signal, version }: CallInput): Promise<Called> {
  const limit = startLimit(options.callTimeoutMs ?? CALL_TIMEOUT_MS);
  const params = {
    name: call.name,
    arguments: call.arguments,
    ...(version !== undefined && { _meta: { "basechat/version": version } }),
  };
  try {
    const result = await exchange({ options, context, signal: AbortSignal.any([signal, limit.signal]) }, (client) =>
      client.request({ method: "tools/call", params }, CallToolResultSchema),
    );
    const outcome = { ok: result.isError !== true, content: capBytes(toText(result), MAX_CONTENT_BYTES).text };
    return { outcome, stale: LIST_IS_OLD.includes(result._meta?.["basechat/failure"]) };
  } catch (error) {
    return { outcome: { ok: false, content: describeFailure(error, signal, limit.signal) } };
  } finally {
    limit.stop();
  }
}

/** A time limit that leaves no timer behind. */
function startLimit(ms: number): { signal: AbortSignal; stop: () => void } {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), ms);
  return { signal: limit.signal, stop: () => clearTimeout(timer) };
}

/** Our words for each way a call can fail; the error's own text stays here. */
function describeFailure(error: unknown, signal: AbortSignal, limit: AbortSignal): string {
  if (signal.aborted) return "The tool call was cancelled.";
  if (limit.aborted) return "The tool did not answer in time.";
  if (error instanceof McpError && error.code === INVALID_PARAMS) return "There is no such tool.";
  return "The tool could not be reached.";
}

/** Text parts joined by line breaks; other parts named by kind, since a model cannot read them here. */
function toText({ content, structuredContent }: CallToolResult): string {
  if (content.length === 0 && structuredContent !== undefined) return JSON.stringify(structuredContent);
  return content
    .map((part) => {
      if (part.type === "text") return part.text;
      if (part.type === "resource_link") return `[link to ${part.uri}]`;
      if (part.type === "resource")
        return "text" in part.resource ? part.resource.text : `[resource ${part.resource.uri}]`;
      return `[${part.type}, ${part.mimeType}]`;
    })
    .join("\n");
}

/**
 * The SDK's protocol engine without the handshake of its `Client`: the server keeps no sessions, so `initialize` would be
 * a round trip for nothing. `Client` also imports Ajv, which cannot run on workerd and doubles the size of what is here.
 */
class StatelessClient extends Protocol<McpRequest, Notification, McpResult> {
  protected override assertCapabilityForMethod(): void {}
  protected override assertNotificationCapability(): void {}
  protected override assertRequestHandlerCapability(): void {}
  protected override assertTaskCapability(): void {}
  protected override assertTaskHandlerCapability(): void {}
}

interface Exchange {
  options: McpToolServerOptions;
  context: CallContext;
  signal: AbortSignal;
}

/**
 * One client for one request. An abort closes the client, which ends the HTTP request; the SDK's own cancellation would
 * send a second request, to a server that has nothing to cancel.
 */
async function exchange<T>(
  { options, context, signal }: Exchange,
  ask: (client: StatelessClient) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const transport = new StreamableHTTPClientTransport(URL_OF_SERVER, {
    fetch: async (url, init) => capBody(await options.fetch(url, init), MAX_BODY_BYTES),
    requestInit: {
      headers: {
        ...{ "x-request-id": context.requestId, "x-basechat-user": context.userId },
        ...(context.traceparent !== undefined && { traceparent: context.traceparent }),
      },
    },
    reconnectionOptions: {
      maxRetries: 0,
      initialReconnectionDelay: 0,
      maxReconnectionDelay: 0,
      reconnectionDelayGrowFactor: 1,
    },
  });
  transport.setProtocolVersion(LATEST_PROTOCOL_VERSION);
  const client = new StatelessClient();
  const close = () => void client.close();
  signal.addEventListener("abort", close, { once: true });
  try {
    await client.connect(transport);
    return await ask(client);
  } finally {
    signal.removeEventListener("abort", close);
    await client.close();
  }
}
