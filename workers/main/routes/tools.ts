/**
 * /mcp/tools, /mcp/stats and /mcp/health: the tools without the protocol. What is listed and called is what the caller may use; switching
 * on and off is the admin's. Arguments are the tool's to check.
 */
import * as z from "zod";
import { cacheUse } from "../../../contracts/cache.ts";
import { AppError, type ErrorCode, type Result, orThrow } from "../../../contracts/errors.ts";
import { count } from "../../../contracts/params.ts";
import {
  type Toolbox,
  ToolCallReply,
  ToolCallRequest,
  type ToolCaller,
  ToolPath,
  ToolsReply,
  ToolStats,
  ToolSwitched,
} from "../../../contracts/toolbox.ts";
import { withCacheControl } from "../http/cache-control.ts";
import { asker, type Call, type Route, route } from "../http/route.ts";
import { cacheHeaders, reasonHeader } from "../session/responses.ts";
import type { DirectCall, DirectOutcome } from "../tools/direct.ts";

export interface ToolsRoutesDeps {
  toolbox: Toolbox;
  callTool(call: DirectCall): Promise<Result<DirectOutcome>>;
  /** Tools that the deployment's rules close to a user. */
  deniedTo(userId: string): string[];
  now: () => number;
}

const FAILS: ErrorCode[] = ["overloaded"];
const MAX_HOURS = 7 * 24;

const Health = z.strictObject({
  status: z.enum(["healthy", "unhealthy"]),
  /** Null: there was no answer. */
  latency_ms: z.number().nullable(),
  tools: z.int().nullable(),
});

export function toolsRoutes(deps: ToolsRoutesDeps): Route[] {
  return [listRoute(deps), callRoute(deps), healthRoute(deps), statsRoute(deps), ...switchRoutes(deps)];
}

/** Who asks, and what is closed to them. */
export function callerOf(
  { user, requestId, traceparent }: Call,
  { deniedTo }: Pick<ToolsRoutesDeps, "deniedTo">,
): ToolCaller {
  const denied = [...deniedTo(user.id), ...user.preferences.disabled_tools];
  return { requestId, traceparent, userId: user.id, denied, isAdmin: user.role === "admin" };
}

function listRoute(deps: ToolsRoutesDeps): Route {
  return route(
    {
      ...{ method: "GET", path: "/mcp/tools/list", access: "user", answers: { 200: ToolsReply }, fails: FAILS },
      summary: "The tools with the schema of their arguments, and whether one may use them",
    },
    async (call) => Response.json(await reach(() => deps.toolbox.list(callerOf(call, deps)))),
  );
}

function callRoute(deps: ToolsRoutesDeps): Route {
  return route(
    {
      ...{ method: "POST", path: "/mcp/tools/call", access: "user", body: ToolCallRequest },
      ...{ answers: { 200: ToolCallReply }, fails: [...FAILS, "not_found", "cache_miss"] },
      headers: { "Cache-Control": "no-cache, no-store, only-if-cached or max-age; joined with the body's cache" },
      summary: "Calls a tool",
      description: "A tool that fails, or is switched off, is an answer with `success: false` and a code.",
    },
    async (call) => {
      const { tool_name: name, input_data: args } = call.body;
      const use = cacheUse(withCacheControl(call.body.cache, call.raw.headers.get("cache-control")));
      const asked = { name, arguments: args, caller: callerOf(call, deps), use };
      const { ok, content, failure, cache, ageSeconds, why } = orThrow(await reach(() => deps.callTool(asked)));
      const reply = { tool_name: name, success: ok, content, code: failure, cache } satisfies z.infer<
        typeof ToolCallReply
      >;
      const note = { verdict: cache, ...(ageSeconds !== undefined && { ageSeconds }), ...(why && { why }) };
      return Response.json(reply, { headers: { ...cacheHeaders(note), ...reasonHeader(note) } });
    },
  );
}

function healthRoute(deps: ToolsRoutesDeps): Route {
  return route(
    {
      ...{ method: "GET", path: "/mcp/health", access: "user", answers: { 200: Health, 503: Health } },
      summary: "Whether the tools can be reached; calls none of them",
    },
    async (call) => {
      const askedAtMs = deps.now();
      const found = await deps.toolbox.list(callerOf(call, deps)).catch(() => undefined);
      const health: z.infer<typeof Health> = {
        status: found ? "healthy" : "unhealthy",
        latency_ms: found ? deps.now() - askedAtMs : null,
        tools: found?.tools.filter(({ enabled }) => enabled).length ?? null,
      };
      return Response.json(health, { status: found ? 200 : 503 });
    },
  );
}

function statsRoute({ toolbox }: ToolsRoutesDeps): Route {
  return route(
    {
      ...{
        method: "GET",
        path: "/mcp/stats",
        access: "user",
        query: z.strictObject({ hours: count(1, MAX_HOURS).default(24) }),
      },
      ...{ answers: { 200: ToolStats }, fails: FAILS },
      summary: "Calls of each tool: how many, how many failed, how long they took, what the cache answered",
      description: "Of the last `hours`, the present one included, of all users together.",
    },
    async ({ query: { hours } }) => {
      const tools = await reach(() => toolbox.stats(hours));
      return Response.json({ hours, tools } satisfies z.infer<typeof ToolStats>);
    },
  );
}

function switchRoutes({ toolbox }: ToolsRoutesDeps): Route[] {
  return (["enable", "disable"] as const).map((verb) =>
    route(
      {
        ...{ method: "POST", path: `/mcp/tools/{name}/${verb}`, access: "admin", params: ToolPath },
        ...{ answers: { 200: ToolSwitched }, fails: [...FAILS, "not_found"] },
        summary: verb === "enable" ? "Switches a tool on for everyone" : "Switches a tool off for everyone",
        description: "Effective everywhere within seconds.",
      },
      async (call) => {
        const { name } = call.params;
        const enabled = verb === "enable";
        orThrow(await reach(() => toolbox.setEnabled(name, enabled, asker(call))));
        return Response.json({ tool_name: name, enabled });
      },
    ),
  );
}

/** The Worker of the tools may be away. */
export async function reach<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw new AppError("overloaded", "the tools cannot be reached now", { retryAfterSeconds: 2, cause });
  }
}
