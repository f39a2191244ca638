/**
 * One round of tool calls: checked, run in parallel within a bound, each result told as an event and kept for the model.
 * A call that is malformed, unknown or one too many becomes a result that says so; it is never run.
 */
import type { Decision } from "../../../contracts/approvals.ts";
import type { CacheEntry, CacheRead } from "../cache/cache.ts";
import type { MalformedToolCall } from "../../../contracts/dialects.ts";
import type { ToolCall, ToolOutcome } from "../../../contracts/tools.ts";
import type { ToolRound } from "../../../contracts/rounds.ts";
import { untraced } from "../../../contracts/spans.ts";
import { toolSpan } from "./spans.ts";
import { isReusable, originOf, toolSlot } from "./reuse.ts";
import type { TurnRun } from "./turn.ts";
import type { TurnRequest } from "./turn-request.ts";

export const MAX_CALLS_A_ROUND = 16;
const MAX_PARALLEL = 4;

/** A call as the model, or the cached intent, asked for it. */
export type RequestedCall = ToolCall | MalformedToolCall;

export interface RoundResult {
  round: ToolRound;
  /** Results that this round may add to the cache. */
  entries: CacheEntry<"mcp">[];
  /** Every tool that ran may be cached, so an answer made from it may be kept for those who may have the turn's entries. */
  isReusable: boolean;
}

export interface RoundInput {
  /** What the model said before it asked. */
  content: string;
  calls: RequestedCall[];
  /** What a person decided on those that ask first. */
  decisions: Decision[];
  /** The calls come from the cached intent: a read for their results replaces a model call. */
  fromCache: boolean;
  /** Bytes of results that earlier rounds of the turn hold. */
  usedBytes: number;
  /** Results by call id that an earlier life of the turn got; the calls are told already. */
  settled: Map<string, ToolOutcome> | undefined;
}

export async function runToolRound(run: TurnRun, input: RoundInput): Promise<RoundResult> {
  const { request, deps, emit } = run;
  const { content, calls } = input;
  if (input.settled === undefined) {
    for (const call of calls) {
      emit.append({ event: "tool_call", data: { id: call.id, name: call.name, arguments: argumentsOf(call) } });
    }
    emit.save();
  }
  const cached = await readCached(run, input);
  if (cached.size > 0) deps.tools.noteHits?.(calls.filter(({ id }) => cached.has(id)).map(({ name }) => name));
  const hasRoom = createRoom(input.usedBytes);
  const entries: CacheEntry<"mcp">[] = [];
  const results = await mapBounded(calls, MAX_PARALLEL, async (call, at) => {
    const settled = input.settled?.get(call.id);
    if (settled !== undefined) return settled;
    const again = input.settled !== undefined && !mayRepeat(call, request);
    const calledAtMs = deps.now();
    const rejected = rejection(call, input.decisions);
    const whole = rejected ?? (again ? UNKNOWN : (cached.get(call.id) ?? (await settle(run, call, at))));
    // A failure, so that neither it nor an answer made from it is kept for others.
    const outcome = hasRoom(whole.content) ? whole : LEFT_OUT;
    const slot = toolSlot(call, request, deps);
    if (slot !== undefined && outcome.ok && !cached.has(call.id)) {
      const value = { ok: true as const, content: outcome.content };
      const saves = { calls: 1, ms: deps.now() - calledAtMs, tokens: null };
      entries.push({ slot, value, saves, origin: originOf(request, [], [call.name]) });
    }
    emit.append({
      event: "tool_result",
      data: { id: call.id, name: call.name, ok: outcome.ok, content: outcome.content },
    });
    emit.save();
    return outcome;
  });
  const ran = calls.map((call) => {
    const args = argumentsOf(call);
    return { id: call.id, name: call.name, arguments: hasRoom(args) ? args : {} };
  });
  return {
    round: { content, calls: ran, results },
    entries,
    isReusable:
      results.every((result) => result.ok) && calls.every((call) => isReusable(call, request, deps.sharesAnswers)),
  };
}

function rejection(call: RequestedCall, decisions: Decision[]): ToolOutcome | undefined {
  const decision = decisions.find(({ call_id }) => call_id === call.id);
  if (decision?.decision !== "reject") return undefined;
  return { ok: false, content: `not run: the user rejected it${decision.reason ? `: ${decision.reason}` : ""}` };
}

/** A turn's calls and results are kept in the row of its answer, which holds 2 MB: together they may take this much as JSON. */
const MAX_ROUNDS_BYTES = 512 * 1024;

const LEFT_OUT: ToolOutcome = { ok: false, content: "left out: the tools of this turn gave too much" };

/** Takes the room of each value that still fits. */
function createRoom(usedBytes: number): (value: unknown) => boolean {
  let leftBytes = MAX_ROUNDS_BYTES - usedBytes;
  return (value) => {
    const bytes = jsonBytes(value);
    if (bytes > leftBytes) return false;
    leftBytes -= bytes;
    return true;
  };
}

/** How much a value takes in the row. */
export function jsonBytes(value: unknown): number {
  return new TextEncoder().encode(JSON.stringify(value)).byteLength;
}

/** A call that was cut may have run or not: it is not run again unless that does no harm. */
const UNKNOWN: ToolOutcome = { ok: false, content: "not known: the call was cut off and is not repeated" };

function mayRepeat(call: RequestedCall, request: TurnRequest): boolean {
  const tool = request.tools?.tools.find((offered) => offered.name === call.name);
  return tool !== undefined && (tool.readOnly || tool.idempotent);
}

/** Results already in the cache by call id. A free tool is not asked for unless its calls cost no model call. */
async function readCached(
  { request, deps, looked, since }: TurnRun,
  { calls, fromCache }: RoundInput,
): Promise<Map<string, ToolOutcome>> {
  const asked = calls.flatMap((call) => {
    const slot = toolSlot(call, request, deps);
    const metered = request.tools?.tools.find((tool) => tool.name === call.name)?.cost === "metered";
    return slot && (fromCache || metered) && request.cache.read ? [{ call, slot }] : [];
  });
  if (asked.length === 0) return new Map();
  const slots = asked.map(({ slot }) => slot);
  // A turn waits for a Redis that is away once.
  const away = slots.map((): CacheRead<"mcp"> => ({ verdict: "bypass", why: "away" }));
  const reads = since === undefined ? away : (await deps.cache.read(slots, request.cache)).reads;
  looked.push(...reads.map((read) => ({ layer: "mcp" as const, read })));
  return new Map(
    asked.flatMap(({ call }, at) => {
      const read = reads[at];
      return read?.verdict === "hit" ? [[call.id, read.value] as const] : [];
    }),
  );
}

async function settle({ request, deps, signal }: TurnRun, call: RequestedCall, at: number): Promise<ToolOutcome> {
  if (at >= MAX_CALLS_A_ROUND) return { ok: false, content: "not run: too many tool calls at once" };
  if ("malformed" in call) return { ok: false, content: "not run: the arguments were not a JSON object" };
  const offered = request.tools?.tools.find((tool) => tool.name === call.name);
  if (offered === undefined) return { ok: false, content: "not run: there is no such tool" };
  const { requestId, userId, traceparent, tools } = request;
  const context = { requestId, userId, traceparent, ...(tools && { listVersion: tools.version }) };
  const { inSpan = untraced } = deps;
  return inSpan(toolSpan(call), async (describe) => {
    const outcome = await deps.tools.call(call, context, signal);
    if (!outcome.ok) describe({ "error.type": "tool_error" });
    return outcome;
  });
}

function argumentsOf(call: RequestedCall): Record<string, unknown> {
  return "malformed" in call ? {} : call.arguments;
}

async function mapBounded<T, R>(items: T[], width: number, work: (item: T, at: number) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const queue = items.entries();
  const worker = async (): Promise<void> => {
    for (const [at, item] of queue) results[at] = await work(item, at);
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, worker));
  return results;
}
