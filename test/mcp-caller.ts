/**
 * A Worker for mcp.test.ts: main's tool server over a real service binding, counting the requests it makes.
 * No state: every request begins with an empty cache. POST {tool, arguments} gives a `Reply`.
 */
import type { ToolList, ToolOutcome } from "../contracts/tools.ts";
import { createMcpToolServer, type ToolListCache } from "../workers/main/tools/mcp.ts";

interface Env {
  MCP: Fetcher;
}

interface Ask {
  tool: string;
  arguments: Record<string, unknown>;
}

export interface Reply {
  list: ToolList | undefined;
  outcome: ToolOutcome;
  /** HTTP requests that the list and the call took together. */
  requests: number;
}

// oxlint-disable-next-line import/no-default-export -- a Worker is its module's default export
export default {
  async fetch(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
    const ask: Ask = await request.json();
    let requests = 0;
    const cache: ToolListCache = { fetchedAtMs: 0, nextTryMs: 0 };
    const tools = createMcpToolServer({
      fetch: (url, init) => (requests++, env.MCP.fetch(url, init)),
      now: Date.now,
      waitUntil: (work) => ctx.waitUntil(work),
      cache,
    });
    const context = { requestId: "req-from-main", userId: "user-1" };
    const list = await tools.list(context);
    const outcome = await tools.call({ id: "c1", name: ask.tool, arguments: ask.arguments }, context, request.signal);
    return Response.json({ list, outcome, requests } satisfies Reply);
  },
};
