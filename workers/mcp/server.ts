/**
 * The Model Context Protocol over our registry: the only file here that imports its SDK. A new server and transport for
 * every request, so nothing is shared between callers. Stateless: no sessions, no server-sent requests.
 * Refuses what is no JSON-RPC message (-32600), and hands the rest of the protocol's rules to the SDK.
 */
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { WebStandardStreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js";
import {
  type CallToolResult,
  ErrorCode,
  isInitializeRequest,
  JSONRPCMessageSchema,
  type ListToolsResult,
  McpError,
} from "@modelcontextprotocol/sdk/types.js";
import { CfWorkerJsonSchemaValidator } from "@modelcontextprotocol/sdk/validation/cfworker";
import * as z from "zod";
import type { ToolDefinition } from "../../contracts/tools.ts";
import type { Registry } from "./registry.ts";
import type { RunOutcome, RunTool } from "./run.ts";
import type { ToolContext } from "./tools/tool.ts";

interface McpDeps {
  registry: Registry;
  run: RunTool;
  context: ToolContext;
}

/** Answers one POST whose body is already read. Accept, content type and protocol version are the SDK's to judge. */
export async function serveMcp(request: Request, body: string, deps: McpDeps): Promise<Response> {
  const message = parseJson(body);
  if (message === undefined) return refuse(ErrorCode.ParseError, "Parse error");
  const problem = findProblem(message);
  if (problem !== undefined) return refuse(problem, "Invalid request");
  const transport = new WebStandardStreamableHTTPServerTransport({ enableJsonResponse: true });
  const server = createServer(deps);
  try {
    await server.connect(transport);
    return await transport.handleRequest(request, { parsedBody: dropCancels(message) });
  } finally {
    await server.close();
  }
}

/** Lax on purpose: the SDK would answer -32603 with its own text where a request's params do not fit its schema. */
const ListRequest = z.object({ method: z.literal("tools/list"), params: z.unknown().optional() });
const CallRequest = z.object({ method: z.literal("tools/call"), params: z.unknown().optional() });

const ListParams = z.looseObject({ cursor: z.undefined().optional() }).optional();
const CallParams = z.looseObject({
  name: z.string(),
  arguments: z.unknown().optional(),
  _meta: z.looseObject({ "basechat/version": z.string().optional() }).optional(),
});

function createServer({ registry, run, context }: McpDeps): Server {
  const server = new Server(
    { name: "basechat", version: "1.0.0" },
    { capabilities: { tools: {} }, jsonSchemaValidator: new CfWorkerJsonSchemaValidator() },
  );
  server.setRequestHandler(ListRequest, async ({ params }): Promise<ListToolsResult> => {
    if (!ListParams.safeParse(params).success)
      throw new McpError(ErrorCode.InvalidParams, "There is one page of tools");
    const { version, tools } = await registry.list().catch(() => {
      throw new McpError(ErrorCode.InternalError, "Internal error"); // the SDK would send the cause's own message
    });
    return { tools: tools.map(toListedTool), _meta: { "basechat/version": version } };
  });
  server.setRequestHandler(CallRequest, async ({ params }): Promise<CallToolResult> => {
    const call = CallParams.safeParse(params);
    if (!call.success) throw new McpError(ErrorCode.InvalidParams, "Malformed tool call");
    const { name, arguments: args, _meta } = call.data;
    const outcome = await run({ name, arguments: args, version: _meta?.["basechat/version"] }, context);
    if (outcome === undefined) throw new McpError(ErrorCode.InvalidParams, "Unknown tool");
    return toCallResult(outcome);
  });
  return server;
}

function toListedTool(tool: ToolDefinition): ListToolsResult["tools"][number] {
  return {
    name: tool.name,
    description: tool.description,
    inputSchema: { ...tool.inputSchema, type: "object" },
    annotations: { readOnlyHint: tool.readOnly, idempotentHint: tool.idempotent },
    _meta: { "basechat/cost": tool.cost, "basechat/private": tool.private },
  };
}

function toCallResult({ ok, content, source, stale }: RunOutcome): CallToolResult {
  return {
    content: [{ type: "text", text: content }],
    isError: !ok,
    _meta: { "basechat/source": source, ...(stale && { "basechat/stale": true }) },
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The error code of a body that is no message, or no batch of messages with ids of their own. */
function findProblem(body: unknown): ErrorCode | undefined {
  const messages: unknown[] = Array.isArray(body) ? body : [body];
  if (messages.length === 0) return ErrorCode.InvalidRequest;
  const ids = new Set<unknown>();
  for (const message of messages.slice(0, MAX_CHECKED)) {
    const parsed = JSONRPCMessageSchema.safeParse(message);
    if (!parsed.success) return ErrorCode.InvalidRequest;
    if (!("method" in parsed.data)) continue;
    if (parsed.data.method === "initialize" && !isInitializeRequest(message)) return ErrorCode.InvalidParams;
    if (!("id" in parsed.data)) continue;
    if (ids.has(parsed.data.id)) return ErrorCode.InvalidRequest;
    ids.add(parsed.data.id);
  }
  return undefined;
}

/** One more than the SDK's longest batch, which it refuses itself. */
const MAX_CHECKED = 101;

/** A cancel can only reach a request of its own batch, and that request's answer would then never come. */
function dropCancels(body: unknown): unknown {
  if (!Array.isArray(body)) return body;
  return body.filter((message: { method?: unknown }) => message.method !== "notifications/cancelled"); // checked above
}

function refuse(code: ErrorCode, message: string): Response {
  return Response.json({ jsonrpc: "2.0", error: { code, message }, id: null }, { status: 400 });
}
