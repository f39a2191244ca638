/**
 * A tool that a user calls without a model: the cache first where a result may be used again, then the tool. State lives in Redis.
 * Refuses unknown tools (`not_found`), and a call that only the cache may answer and does not (`cache_miss`); a tool that is closed to the user, or fails, is a result that says so.
 */
import type { CacheUse } from "../../../contracts/cache.ts";
import { fail, ok, type Result } from "../../../contracts/errors.ts";
import type { CalledTool, Toolbox, ToolCaller } from "../../../contracts/toolbox.ts";
import { isCacheable, type ToolDefinition, type ToolList } from "../../../contracts/tools.ts";
import type { Cache, CacheRead, Slot } from "../cache/cache.ts";
import type { Scope } from "../cache/key.ts";

export interface DirectDeps {
  toolbox: Pick<Toolbox, "call" | "list" | "noteHits">;
  cache: Cache;
  /** False: the deployment gives no user what was made for another. */
  sharesResults: boolean;
  /** As turns are offered them: it may be a minute old. */
  list(caller: ToolCaller): Promise<ToolList | undefined>;
  now: () => number;
  /** Goes on behind the reply. */
  waitUntil(work: Promise<unknown>): void;
}

export interface DirectCall {
  name: string;
  arguments: Record<string, unknown>;
  caller: ToolCaller;
  /** What the request says of the cache. */
  use: CacheUse;
}

export interface DirectOutcome extends CalledTool {
  cache: CacheRead<"mcp">["verdict"];
  /** Of a hit. */
  ageSeconds?: number;
  /** There was none, because. */
  why?: string;
}

export async function callDirectly(call: DirectCall, deps: DirectDeps): Promise<Result<DirectOutcome>> {
  const { toolbox, cache, now, waitUntil } = deps;
  const { use } = call;
  const slot = await slotOf(call, deps);
  const { read, since } = slot === undefined ? NOT_LOOKED : await lookUp(cache, slot, use);
  if (read.verdict === "hit" && slot !== undefined) {
    waitUntil(toolbox.noteHits([call.name]));
    waitUntil(cache.write({ since: undefined, entries: [], looked: [{ layer: "mcp", read }] }));
    return ok({ ...read.value, failure: null, cache: "hit", ageSeconds: read.ageSeconds });
  }
  const looked = [{ layer: "mcp" as const, read }];
  if (use.onlyIfCached) {
    if (slot !== undefined) waitUntil(cache.write({ since: undefined, entries: [], looked }));
    return fail("cache_miss", "no cached result of this call");
  }
  const calledAtMs = now();
  const called = await toolbox.call({ name: call.name, arguments: call.arguments }, call.caller);
  if (!called.ok) return called;
  if (slot !== undefined) {
    const { ok: isOk, content } = called.value;
    const saves = { calls: 1, ms: now() - calledAtMs, tokens: null };
    const origin = { userId: call.caller.userId, route: "mcp-tools-call" as const, models: [], tools: [call.name] };
    const { ttlSeconds } = use;
    const entries =
      isOk && use.write ? [{ slot, ttlSeconds, value: { ok: true as const, content }, saves, origin }] : [];
    waitUntil(cache.write({ since, entries, looked }));
  }
  return ok({ ...called.value, cache: read.verdict, ...("why" in read && { why: read.why }) });
}

const NOT_LOOKED = { read: { verdict: "bypass", why: "asked" } as CacheRead<"mcp">, since: undefined };

async function lookUp(cache: Cache, slot: Slot<"mcp">, use: CacheUse) {
  if (!use.read) return { ...NOT_LOOKED, since: use.write ? (await cache.read([])).since : undefined };
  const { reads, since } = await cache.read([slot] as const, use);
  return { read: reads[0], since };
}

/** A free tool is quicker than a look into the cache; what is closed to the caller is in nobody's cache. */
async function slotOf(call: DirectCall, deps: DirectDeps): Promise<Slot<"mcp"> | undefined> {
  const { cache, list, toolbox } = deps;
  const { name, caller } = call;
  const offered = (await list(caller))?.tools.find((tool) => tool.name === name);
  if (offered === undefined || !isCacheable(offered) || offered.cost === "free") return undefined;
  const listed = (await toolbox.list(caller)).tools.find((tool) => tool.name === name);
  if (!listed?.enabled) return undefined;
  // The same parts as a turn's, so that both share what is kept.
  return cache.slot("mcp", scopeOf(offered, call, deps), { tool: offered, arguments: call.arguments });
}

function scopeOf(tool: ToolDefinition, { caller, use }: DirectCall, { sharesResults }: DirectDeps): Scope {
  const isForAll = sharesResults && !use.userScope && !tool.private;
  return isForAll ? { shared: true } : { userId: caller.userId };
}
