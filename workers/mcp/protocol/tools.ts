/**
 * tools/list and tools/call over the registry and the runner. No state. Refuses unknown tools and malformed calls (-32602); whatever
 * a tool does wrong is a result.
 */
import type { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { type CallToolResult, ErrorCode, type ListToolsResult } from "@modelcontextprotocol/sdk/types.js";
import * as z from "zod";
import type { ToolDefinition } from "../../../contracts/tools.ts";
import type { Registry } from "../registry.ts";
import type { RunOutcome, RunTool } from "../run.ts";
import { type ContextOf, refuse, withoutCauses } from "./handling.ts";

/** Lax on purpose: the SDK would answer -32603 with its own text where a request's params do not fit its schema. */
const ListRequest = z.object({ method: z.literal("tools/list"), params: z.unknown().optional() });
const CallRequest = z.object({ method: z.literal("tools/call"), params: z.unknown().optional() });

const ListParams = z.looseObject({ cursor: z.undefined().optional() }).optional();
const CallParams = z.looseObject({
  name: z.string(),
  arguments: z.unknown().optional(),
  _meta: z.looseObject({ "basechat/version": z.string().optional() }).optional(),
});

export interface ToolParts {
  registry: Registry;
  run: RunTool;
}

export function handleTools(server: Server, { registry, run }: ToolParts, contextOf: ContextOf): void {
  server.setRequestHandler(
    ListRequest,
    withoutCauses(async ({ params }, extra): Promise<ListToolsResult> => {
      if (!ListParams.safeParse(params).success) return refuse(ErrorCode.InvalidParams, "There is one page of tools");
      const { version, tools } = await registry.list(contextOf(extra));
      return { tools: tools.map(toListedTool), _meta: { "basechat/version": version } };
    }),
  );
  server.setRequestHandler(
    CallRequest,
    withoutCauses(async ({ params }, extra): Promise<CallToolResult> => {
      const call = CallParams.safeParse(params);
      if (!call.success) return refuse(ErrorCode.InvalidParams, "Malformed tool call");
      const { name, arguments: args, _meta } = call.data;
      const outcome = await run({ name, arguments: args, version: _meta?.["basechat/version"] }, contextOf(extra));
      return outcome ? toCallResult(outcome) : refuse(ErrorCode.InvalidParams, "Unknown tool");
    }),
  );
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

function toCallResult({ ok, content, parts, source, failure }: RunOutcome): CallToolResult {
  return {
    content: parts ?? [{ type: "text", text: content }],
    isError: !ok,
    _meta: { "basechat/source": source, ...(failure && { "basechat/failure": failure }) },
  };
}
