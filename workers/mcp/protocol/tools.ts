/**
 * tools/list and tools/call over the registry and the runner. No state. Refuses unknown tools and malformed calls (-32602); whatever
 * a tool does wrong is a result.
 */
import * as z from "zod";
import type { ToolDefinition } from "../../../contracts/tools.ts";
import type { Registry } from "../registry.ts";
import type { RunOutcome, RunTool } from "../run.ts";
import { INVALID_PARAMS, type Methods, refuse } from "./handling.ts";

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

export function toolMethods({ registry, run }: ToolParts): Methods {
  return {
    async "tools/list"(params, context) {
      if (!ListParams.safeParse(params).success) return refuse(INVALID_PARAMS, "There is one page of tools");
      const { version, tools } = await registry.list(context);
      return { tools: tools.map(toListedTool), _meta: { "basechat/version": version } };
    },
    async "tools/call"(params, context) {
      const call = CallParams.safeParse(params);
      if (!call.success) return refuse(INVALID_PARAMS, "Malformed tool call");
      const { name, arguments: args, _meta } = call.data;
      const outcome = await run({ name, arguments: args, version: _meta?.["basechat/version"] }, context);
      return outcome ? toCallResult(outcome) : refuse(INVALID_PARAMS, "Unknown tool");
    },
  };
}

function toListedTool(tool: ToolDefinition) {
  return {
    name: tool.name,
    description: tool.description,
    inputSchema: { ...tool.inputSchema, type: "object" },
    annotations: { readOnlyHint: tool.readOnly, idempotentHint: tool.idempotent },
    _meta: { "basechat/cost": tool.cost, "basechat/private": tool.private },
  };
}

function toCallResult({ ok, content, parts, source, failure }: RunOutcome) {
  return {
    content: parts ?? [{ type: "text", text: content }],
    isError: !ok,
    _meta: { "basechat/source": source, ...(failure && { "basechat/failure": failure }) },
  };
}
