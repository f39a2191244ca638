/**
 * Counts at the walls: each wrapper is the thing that it wraps, and tells the meter what went through. No state, no request of its own: what
 * another Worker knows comes back in the replies that it gives anyway.
 */
import type { Layer } from "../../../contracts/cache.ts";
import type { Usage } from "../../../contracts/chat.ts";
import type { ErrorCode, Result } from "../../../contracts/errors.ts";
import type { LlmAgent, ModelReport, NoteCall, Reported, SeenCall } from "../../../contracts/llm.ts";
import type { Meter } from "../../../contracts/metrics.ts";
import { NO_USAGE } from "../../../contracts/rounds.ts";
import type { ToolServer } from "../../../contracts/tools.ts";
import type { CacheAdmin } from "../cache/admin.ts";
import type { Cache } from "../cache/cache.ts";
import type { Looked } from "../cache/counts.ts";

interface Measuring {
  meter: Meter;
  noteCall: NoteCall;
  now: () => number;
}

/** Streams and replies are noted by whoever reads them to their end. */
export function measureModels(llm: LlmAgent, { meter, noteCall, now }: Measuring): LlmAgent {
  const counted = async <R extends ModelReport>(asked: Promise<R>): Promise<R> => {
    const reported = await asked;
    countAttempts(meter, reported);
    return reported;
  };
  return {
    models: (context) => llm.models(context),
    health: (context) => llm.health(context),
    brokeOff: (request, context) => counted(llm.brokeOff(request, context)),
    stream: (request, context, gone) => counted(llm.stream(request, context, gone)),
    generate: (request, context, gone) => counted(llm.generate(request, context, gone)),
    async embed(request, context) {
      const startedAtMs = now();
      const embedded = await counted(llm.embed(request, context));
      const call = { ...seen(embedded), model: request.model, ms: now() - startedAtMs };
      noteCall({ ...call, operation: "embeddings" }, context);
      return embedded;
    },
  };
}

/** For who asks for whole replies and keeps no account of them. */
export function measureReplies(llm: LlmAgent, { noteCall, now }: Omit<Measuring, "meter">): Pick<LlmAgent, "generate"> {
  return {
    async generate(request, context, gone) {
      const startedAtMs = now();
      const completed = await llm.generate(request, context, gone);
      noteCall({ ...seen(completed), model: request.model, ms: now() - startedAtMs }, context);
      return completed;
    },
  };
}

function seen(replied: Reported<{ provider: string; usage: Usage }>): Pick<SeenCall, "provider" | "usage" | "error"> {
  if (!replied.ok) {
    const { code, usage = NO_USAGE } = replied.error;
    return { provider: lastProvider(replied), usage, error: code };
  }
  return { provider: replied.value.provider, usage: replied.value.usage };
}

function lastProvider({ attempts }: ModelReport): string {
  return attempts?.at(-1)?.provider ?? "none";
}

function countAttempts(meter: Meter, { attempts = [], openNodes = {} }: ModelReport): void {
  for (const [at, { provider, node, code }] of attempts.entries()) {
    meter.count("basechat_model_attempts_total", { provider, code });
    const before = attempts[at - 1];
    if (before === undefined) continue;
    const isRetry = before.node === node;
    meter.count(isRetry ? "basechat_model_retries_total" : "basechat_model_failovers_total", { provider });
  }
  for (const [breaker, open] of Object.entries(openNodes)) meter.gauge("basechat_breaker_open", { breaker }, open);
}

/** One call of a model as its caller saw it. `usd`: null where no price is known. */
export function measureCall(meter: Meter, call: SeenCall, usd: number | null): void {
  const { operation = "chat", provider, model, ms, usage, error, isRestart } = call;
  const labels = { gen_ai_operation_name: operation, gen_ai_provider_name: provider, gen_ai_request_model: model };
  meter.observe("gen_ai_client_operation_duration_seconds", { ...labels, error_type: error ?? "" }, ms / 1_000);
  if (isRestart) meter.count("basechat_model_restarts_total", {});
  if (usd !== null) meter.count("basechat_cost_usd_total", { model }, usd);
  if (usage.total_tokens === 0) return; // nothing was answered
  for (const [type, tokens] of [
    ["input", usage.prompt_tokens],
    ["output", usage.completion_tokens],
  ] as const) {
    meter.observe("gen_ai_client_token_usage", { ...labels, gen_ai_token_type: type }, tokens);
  }
}

export function measureTools(tools: ToolServer, meter: Meter, now: () => number): ToolServer {
  return {
    list: (context) => tools.list(context),
    async call(call, context, signal) {
      const startedAtMs = now();
      const outcome = await tools.call(call, context, signal);
      measureTool(meter, call.name, outcome.ok, now() - startedAtMs);
      return outcome;
    },
    noteHits(names) {
      for (const tool of names) meter.count("basechat_tool_calls_total", { tool, outcome: "cached" });
      tools.noteHits?.(names);
    },
  };
}

/** A call that ran. */
function measureTool(meter: Meter, tool: string, isOk: boolean, ms: number): void {
  meter.count("basechat_tool_calls_total", { tool, outcome: isOk ? "ok" : "failed" });
  meter.observe("basechat_tool_duration_seconds", { tool }, ms / 1_000);
}

/** A tool that a user calls without a model. */
export async function measureDirect<T extends Result<{ ok: boolean; cache: string }>>(
  { name: tool }: { name: string },
  call: () => Promise<T>,
  { meter, now }: { meter: Meter; now: () => number },
): Promise<T> {
  const startedAtMs = now();
  const called = await call();
  // What failed here has no such tool.
  if (called.ok && called.value.cache === "hit") meter.count("basechat_tool_calls_total", { tool, outcome: "cached" });
  else if (called.ok) measureTool(meter, tool, called.value.ok, now() - startedAtMs);
  return called;
}

/** Look-ups are counted where Redis is told of them too: when their turn has ended. */
export function measureCache(cache: Cache, meter: Meter): Cache {
  return {
    slot: cache.slot,
    read: cache.read,
    look: cache.look,
    async write(turn) {
      for (const one of turn.looked) meter.count("basechat_cache_lookups_total", lookupLabels(one));
      const kept = await cache.write(turn);
      if (kept === undefined) meter.count("basechat_cache_writes_failed_total", {});
      return kept;
    },
  };
}

function lookupLabels(looked: Looked): { layer: Layer; result: string } {
  const { layer } = looked;
  if ("joined" in looked) return { layer, result: "joined" };
  const { read } = looked;
  return { layer, result: read.verdict === "bypass" && read.why === "away" ? "away" : read.verdict };
}

export function measurePurges(admin: CacheAdmin, meter: Meter): CacheAdmin {
  return {
    ...admin,
    async purge(filter, options) {
      const purged = await admin.purge(filter, options);
      if (options.dryRun) return purged;
      meter.count("basechat_purges_total", { outcome: purged.ok ? "ok" : "failed" });
      if (purged.ok) meter.count("basechat_purged_entries_total", {}, purged.value.deletedCount);
      return purged;
    },
  };
}

/** A turn that has ended. */
export interface SeenTurn {
  cache: string;
  failure?: { code: ErrorCode } | undefined;
  ms: number;
  /** Until its first words; undefined: there were none. */
  firstTokenMs: number | undefined;
}

export function measureTurn(meter: Meter, turn: SeenTurn): void {
  const { cache, failure, ms, firstTokenMs } = turn;
  const outcome = failure?.code ?? "complete";
  meter.observe("basechat_turn_duration_seconds", { cache, outcome }, ms / 1_000);
  if (firstTokenMs !== undefined) meter.observe("basechat_first_token_seconds", { cache }, firstTokenMs / 1_000);
}
