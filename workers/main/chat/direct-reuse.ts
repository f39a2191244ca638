/**
 * What a direct call can take from the cache and leaves there: its answer, or the client's own tools that the model called. A key holds
 * all that goes to the model. Answers to a first message in words are for all users where the deployment shares them, all else for its user alone.
 * State lives in Redis. Keeps whole answers only.
 */
import type { CachedRoute, CacheUse, Layer, Saves } from "../../../contracts/cache.ts";
import type { ModelMessage, ModelRequest } from "../../../contracts/llm.ts";
import type { ModelEntry } from "../../../contracts/models.ts";
import type { ToolCall } from "../../../contracts/tools.ts";
import type { Cache, CacheEntry, CacheRead, TurnWrite } from "../cache/cache.ts";
import type { DirectAnswer, DirectEnd } from "./direct-call.ts";
import { hasAttachments } from "./reuse.ts";
import type { CacheNote } from "./turn.ts";

export interface DirectReuseDeps {
  cache: Cache;
  sharesAnswers: boolean;
  /** Who serves a model, as the registry says. */
  routesOf(model: string): ModelEntry["routes"];
  newCallId: () => string;
  now: () => number;
}

export interface ReusableCall {
  request: ModelRequest;
  userId: string;
  route: CachedRoute;
  control: CacheUse;
}

/** What the cache held: the same as a model's reply. */
export interface CachedReply extends DirectAnswer {
  model: string;
  provider: string;
  usage: DirectEnd["usage"];
}

export interface DirectLookup {
  note: CacheNote;
  reply: CachedReply | undefined;
  /** What to write once the call has ended; it counts the look-up too. */
  toWrite(end: DirectEnd | undefined): TurnWrite;
}

export async function lookUpDirect(call: ReusableCall, deps: DirectReuseDeps): Promise<DirectLookup> {
  const { request, control } = call;
  const { cache } = deps;
  const startedAtMs = deps.now();
  const owner = isShared(call, deps) ? ({ shared: true } as const) : { userId: call.userId };
  const parts = keyParts(request, deps.routesOf(request.model));
  const slots = [cache.slot("llm", owner, parts), cache.slot("intent", owner, parts)] as const;
  const { answer, calls, since } = await read(cache, slots, control);
  const reply = toReply(request, answer, calls, deps);
  const looked = [
    { layer: "llm" as const, read: answer },
    ...(request.tools && answer.verdict !== "hit" ? [{ layer: "intent" as const, read: calls }] : []),
  ];
  return {
    note: noteOf(answer, calls, reply !== undefined),
    reply,
    toWrite: (end) => ({
      ...{ since, looked },
      entries: end === undefined || !control.write ? [] : entriesOf(call, end, slots, deps.now() - startedAtMs),
    }),
  };
}

type Slots = readonly [ReturnType<Cache["slot"]> & { layer: "llm" }, ReturnType<Cache["slot"]> & { layer: "intent" }];

async function read(cache: Cache, slots: Slots, control: CacheUse) {
  const bypass = { verdict: "bypass", why: "asked" } as const;
  if (!control.read) {
    const { since } = control.write ? await cache.read([]) : { since: undefined };
    return { answer: bypass, calls: bypass, since };
  }
  const { reads, since } = await cache.read(slots, control);
  return { answer: reads[0], calls: reads[1], since };
}

function keyParts({ messages, ...request }: ModelRequest, routes: ModelEntry["routes"]): Record<string, unknown> {
  return { direct: 1, ...request, routes, history: messages.slice(0, -1), question: messages.at(-1) };
}

/** A conversation that has begun is its user's own, and so is what is attached. */
function isShared({ request, control }: ReusableCall, { sharesAnswers }: DirectReuseDeps): boolean {
  const hasBegun = request.messages.some(({ role }: ModelMessage) => role === "assistant" || role === "tool");
  return sharesAnswers && !hasBegun && !control.userScope && !request.messages.some(hasAttachments);
}

function toReply(
  { model }: ModelRequest,
  answer: CacheRead<"llm">,
  calls: CacheRead<"intent">,
  { newCallId }: DirectReuseDeps,
): CachedReply | undefined {
  if (answer.verdict === "hit") {
    const { content, usage, provider } = answer.value;
    return { content, toolCalls: [], finishReason: "stop", usage, model, provider };
  }
  if (calls.verdict !== "hit") return undefined;
  const toolCalls = calls.value.calls.map((call): ToolCall => ({ id: newCallId(), ...call }));
  return { content: "", toolCalls, finishReason: "tool_calls", usage: usageOf(calls.saves), model, provider: "cache" };
}

function usageOf({ tokens }: Saves): DirectEnd["usage"] {
  const { prompt = 0, completion = 0 } = tokens ?? {};
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
}

function noteOf(answer: CacheRead<"llm">, calls: CacheRead<"intent">, isHit: boolean): CacheNote {
  const found = answer.verdict === "hit" || !isHit ? answer : calls;
  if (found.verdict === "hit") return { verdict: "hit", ageSeconds: found.ageSeconds };
  return { verdict: found.verdict, why: found.why };
}

function entriesOf(
  call: ReusableCall,
  end: DirectEnd,
  [answerSlot, callsSlot]: Slots,
  ms: number,
): CacheEntry<Layer>[] {
  const { answer, usage, model, provider } = end;
  if (answer === undefined || provider === undefined) return [];
  const { content, toolCalls, finishReason } = answer;
  const tokens = { model, prompt: usage.prompt_tokens, completion: usage.completion_tokens };
  const about = {
    saves: { calls: 1, ms, tokens },
    origin: { userId: call.userId, route: call.route, models: [model], tools: toolCalls.map(({ name }) => name) },
    ttlSeconds: call.control.ttlSeconds,
  };
  if (finishReason === "stop" && content !== "") {
    return [{ ...about, slot: answerSlot, value: { content, rounds: [], usage, model, provider } }];
  }
  // Words beside calls have no place in that layer.
  if (finishReason !== "tool_calls" || content !== "") return [];
  return [
    {
      ...about,
      slot: callsSlot,
      value: { calls: toolCalls.map(({ name, arguments: args }) => ({ name, arguments: args })) },
    },
  ];
}
