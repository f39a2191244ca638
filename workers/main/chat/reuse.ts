/**
 * What a turn can take from the cache and what it leaves there. Each slot's parts are everything that its value depends on;
 * an answer is shared between users only when nothing private went into it. What is a user's own is kept for that user.
 */
import { isCacheable } from "../../../contracts/tools.ts";
import type { Cache, CacheEntry, CacheRead, Slot } from "../cache/cache.ts";
import type { CacheValue, Layer, Saves, StoredValues } from "../../../contracts/cache.ts";
import type { Usage } from "../../../contracts/chat.ts";
import type { Looked } from "../cache/counts.ts";
import type { Scope } from "../cache/key.ts";
import type { Meaning } from "../cache/semantic.ts";
import type { Origin } from "../cache/tags.ts";
import type { ModelMessage } from "../../../contracts/llm.ts";
import { toolsOf } from "../../../contracts/rounds.ts";
import { keyParts } from "./key-parts.ts";
import type { RequestedCall } from "./tool-round.ts";
import type { TurnDeps, TurnOutcome } from "./turn.ts";
import type { TurnRequest } from "./turn-request.ts";

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
  /** By what the answer may be found under other wordings; undefined: by none. */
  meaning?: Meaning | undefined;
}

export function turnSlots(
  { cache, sharesAnswers, routesOf }: Pick<TurnDeps, "cache" | "sharesAnswers" | "routesOf">,
  request: TurnRequest,
): TurnSlots {
  const scope = scopeOf(request, sharesAnswers);
  const parts = keyParts(request, routesOf(request.model));
  return { answer: cache.slot("llm", scope, parts), intent: cache.slot("intent", scope, parts) };
}

/** The request leaves before this returns, unless its answer is on its way; resolves to misses or bypasses when there is nothing to reuse. */
export async function lookUp(
  cache: Cache,
  slots: TurnSlots,
  request: TurnRequest,
  ahead?: Promise<StoredValues | undefined>,
): Promise<Found> {
  const { resumed } = request;
  const begun = resumed && (resumed.rounds.length > 0 || resumed.open || resumed.approval);
  if (!request.cache.read || begun) {
    const bypass = { verdict: "bypass", why: begun ? "resumed" : "asked" } as const;
    // What is purged while the turn runs must not be written back, so the count is needed also where no entry is.
    const { since } = request.cache.write ? await cache.read([]) : { since: undefined };
    return { answer: bypass, intent: bypass, since };
  }
  const { reads, since } = await cache.read([slots.answer, slots.intent] as const, { ...request.cache, ahead });
  const [answer, intent] = reads;
  return { answer, intent, since };
}

/** What the look-up at the start of a turn counts for: an intent only where it could have been of use. */
export function lookedUp({ answer, intent }: Found): Looked[] {
  const first: Looked = { layer: "llm", read: answer };
  return answer.verdict === "hit" ? [first] : [first, { layer: "intent", read: intent }];
}

/** Where a tool's result lives; undefined for a call whose result may not be kept. */
export function toolSlot(call: RequestedCall, request: TurnRequest, deps: TurnDeps): Slot<"mcp"> | undefined {
  const tool = request.tools?.tools.find((offered) => offered.name === call.name);
  if (tool === undefined || "malformed" in call || !isCacheable(tool)) return undefined;
  const isForAll = !tool.private && sharesWith(request, deps.sharesAnswers);
  const scope: Scope = isForAll ? { shared: true } : { userId: request.userId };
  return deps.cache.slot("mcp", scope, { tool, arguments: call.arguments });
}

/** What a finished turn adds to the cache: only complete answers, and only what came of tools that may be cached. */
export function entriesOf(
  outcome: TurnOutcome,
  request: TurnRequest,
  slots: TurnSlots,
  { reusable, modelCalls, ms, meaning }: Made,
): CacheEntry<Layer>[] {
  if (!request.cache.write) return [];
  const ttlSeconds = request.cache.ttlSeconds;
  const origin = (models: string[], tools: string[]) => originOf(request, models, tools);
  const entries: CacheEntry<Layer>[] = reusable.toolEntries.map((entry) => ({ ...entry, ttlSeconds }));
  if (reusable.intent !== undefined) {
    const { calls, saves } = reusable.intent;
    const tools = calls.map(({ name }) => name);
    entries.push({ slot: slots.intent, ttlSeconds, value: { calls }, saves, origin: origin([request.model], tools) });
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
    const saves = { calls: modelCalls, ms, tokens: tokensOf(model, usage) };
    const from = origin([request.model, model], tools);
    entries.push({ slot: slots.answer, ttlSeconds, value, saves, origin: from, meaning });
  }
  return entries;
}

interface Made {
  reusable: Reusable;
  modelCalls: number;
  ms: number;
  meaning?: Meaning | undefined;
}

/** Where the entries of a turn come from. */
export function originOf(request: TurnRequest, models: string[], tools: string[]): Origin {
  const { userId, sessionId, route } = request;
  return { userId, sessionId, route, models, tools };
}

export function tokensOf(model: string, { prompt_tokens: prompt, completion_tokens: completion }: Usage) {
  return { model, prompt, completion };
}

/** What the steps of a turn found fit to be used again. */
export interface Reusable {
  /** The calls that the model made first; none when it answered, or when they came from the cache. */
  intent: (CacheValue<"intent"> & { saves: Saves }) | undefined;
  toolEntries: CacheEntry<"mcp">[];
  answer: boolean;
}

function scopeOf(request: TurnRequest, sharesAnswers: boolean): Scope {
  return isShared(request, sharesAnswers) ? { shared: true } : { userId: request.userId };
}

/** Nothing private goes into the answer, as far as it is known before the tools run. */
function isShared(request: TurnRequest, sharesAnswers: boolean): boolean {
  return sharesWith(request, sharesAnswers) && request.firstTurn && !request.context.some(hasAttachments);
}

/** Neither the deployment nor the request keeps what is made to its user. */
function sharesWith({ cache }: TurnRequest, sharesAnswers: boolean): boolean {
  return sharesAnswers && !cache.userScope;
}

export function hasAttachments(message: ModelMessage): boolean {
  return message.role === "user" && message.attachments !== undefined;
}

/** The call's tool may be cached, and what it gives is for all who may have the turn's entries. */
export function isReusable(call: RequestedCall, request: TurnRequest, sharesAnswers: boolean): boolean {
  const tool = request.tools?.tools.find((offered) => offered.name === call.name);
  return tool !== undefined && isCacheable(tool) && !(tool.private && isShared(request, sharesAnswers));
}
