/**
 * What a turn can take from the cache and what it leaves there. Each slot's parts are everything that its value depends on;
 * an answer is shared between users only when nothing private went into it.
 */
import { isCacheable } from "../../../contracts/tools.ts";
import type { Cache, CacheEntry, CacheRead, Slot } from "../cache/cache.ts";
import type { Layer } from "../../../contracts/cache.ts";
import type { Scope } from "../cache/key.ts";
import type { Origin } from "../cache/tags.ts";
import { toolsOf } from "../../../contracts/rounds.ts";
import { PROMPT_VERSION } from "./prompt.ts";
import type { RequestedCall } from "./tool-round.ts";
import type { TurnDeps, TurnOutcome, TurnRequest } from "./turn.ts";

export interface TurnSlots {
  answer: Slot<"llm">;
  intent: Slot<"intent">;
}

/** What the cache holds for a turn, read in one round trip. */
export interface Found {
  answer: CacheRead<"llm">;
  intent: CacheRead<"intent">;
  /** How many purges there had been; undefined when nothing may be kept. */
  since: number | undefined;
}

export function turnSlots(cache: Cache, request: TurnRequest): TurnSlots {
  const scope = scopeOf(request);
  const parts = {
    prompt_version: PROMPT_VERSION,
    model: request.model,
    model_type: request.modelType,
    temperature: request.temperature,
    max_tokens: request.maxTokens,
    response_format: request.responseFormat,
    tools: request.tools && { version: request.tools.version, names: request.tools.tools.map((tool) => tool.name) },
    ask_first: request.askFirst,
    messages: request.context,
  };
  return { answer: cache.slot("llm", scope, parts), intent: cache.slot("intent", scope, parts) };
}

/** The request leaves before this returns; resolves to misses or bypasses when there is nothing to reuse. */
export async function lookUp(cache: Cache, slots: TurnSlots, request: TurnRequest): Promise<Found> {
  const { resumed } = request;
  const begun = resumed && (resumed.rounds.length > 0 || resumed.open || resumed.approval);
  if (!request.cache.read || begun) {
    // What is purged while the turn runs must not be written back, so the count is needed also where no entry is.
    const { since } = request.cache.write ? await cache.read([]) : { since: undefined };
    return { answer: { verdict: "bypass" }, intent: { verdict: "bypass" }, since };
  }
  const { reads, since } = await cache.read([slots.answer, slots.intent] as const);
  const [answer, intent] = reads;
  return { answer, intent, since };
}

/** Where a tool's result lives; undefined for a call whose result may not be kept. */
export function toolSlot(call: RequestedCall, request: TurnRequest, deps: TurnDeps): Slot<"mcp"> | undefined {
  const tool = request.tools?.tools.find((offered) => offered.name === call.name);
  if (tool === undefined || "malformed" in call || !isCacheable(tool)) return undefined;
  const scope: Scope = tool.private ? { userId: request.userId } : { shared: true };
  return deps.cache.slot("mcp", scope, { tool, arguments: call.arguments });
}

/** What a finished turn adds to the cache: only complete answers, and only what came of tools that may be cached. */
export function entriesOf(
  outcome: TurnOutcome,
  request: TurnRequest,
  slots: TurnSlots,
  reusable: Reusable,
): CacheEntry<Layer>[] {
  if (!request.cache.write) return [];
  const ttlSeconds = request.cache.ttlSeconds;
  const origin = (models: string[], tools: string[]) => originOf(request, models, tools);
  const entries: CacheEntry<Layer>[] = reusable.toolEntries.map((entry) => ({ ...entry, ttlSeconds }));
  if (reusable.intent.length > 0) {
    const calls = reusable.intent.map(({ name, arguments: args }) => ({ name, arguments: args }));
    const tools = calls.map(({ name }) => name);
    entries.push({ slot: slots.intent, ttlSeconds, value: { calls }, origin: origin([request.model], tools) });
  }
  if (outcome.ok && outcome.finishReason === "stop" && outcome.content !== "" && reusable.answer) {
    const { content, usage, model, provider } = outcome;
    const rounds = outcome.rounds.map((round) => ({
      content: round.content,
      calls: round.calls.map(({ name, arguments: args }) => ({ name, arguments: args })),
      results: round.results.map((result) => ({ ok: true as const, content: result.content })),
    }));
    const value = { content, rounds, usage, model, provider };
    const tools = toolsOf(outcome.rounds);
    entries.push({ slot: slots.answer, ttlSeconds, value, origin: origin([request.model, model], tools) });
  }
  return entries;
}

/** Where the entries of a turn come from. */
export function originOf(request: TurnRequest, models: string[], tools: string[]): Origin {
  const { userId, sessionId, route } = request;
  return { userId, sessionId, route, models, tools };
}

/** What the steps of a turn found fit to be used again. */
export interface Reusable {
  /** The calls that the model made first; empty when it answered, or when they came from the cache. */
  intent: { name: string; arguments: Record<string, unknown> }[];
  toolEntries: CacheEntry<"mcp">[];
  answer: boolean;
}

function scopeOf(request: TurnRequest): Scope {
  return request.firstTurn && !request.cache.userScope ? { shared: true } : { userId: request.userId };
}
