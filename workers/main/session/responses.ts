/**
 * What a session's object answers with: a reply, a turn's state, a stream of events, an error. Pure.
 */
import type { ChatReply, TurnView } from "../../../contracts/chat.ts";
import { fromBase64 } from "../../../contracts/base64.ts";
import { CODE_HEADER, ERROR_STATUS, type Failure, toErrorBody } from "../../../contracts/errors.ts";
import { limitHeaders } from "../../../contracts/limits.ts";
import type { AttachedFile } from "../../../contracts/parts.ts";
import { type StageClock, toServerTiming } from "../../../contracts/timing.ts";
import { traceIdOf } from "../../../contracts/trace.ts";
import type { CacheNote } from "../chat/turn.ts";
import type { SeenTurn } from "../metrics/measure.ts";
import type { LiveTurn } from "./live-turn.ts";
import type { StoredOutcome, TurnRow } from "./turns.ts";

/** The one reply of an ended turn, in the status that its failure has. */
export function turnReply(
  { id, plan, outcome, endedAtMs = 0 }: TurnRow,
  sessionId: string,
  requestId: string,
  mark: Record<string, string>,
): Response {
  const ids = { turn_id: id, session_id: sessionId };
  if (outcome === undefined) throw new Error("the turn has not ended");
  const headers = { ...turnHeaders(id, sessionId, { verdict: outcome.cache }), ...mark };
  if (outcome.failure === undefined) {
    return Response.json(toReply({ outcome, sessionId, turnId: id, endedAtMs }), { headers });
  }
  const details = { ...outcome.failure.details, ...ids, ...(outcome.response && { message_id: plan.messageId }) };
  return errorResponse({ ...outcome.failure, details }, requestId, headers);
}

/** Never shown by a browser as a part of our pages, whatever it is: to be saved, and of exactly the type that it has. */
export function attachmentReply(file: AttachedFile): Response {
  const bytes = fromBase64(file.data) ?? new Uint8Array(); // it was checked where it came in
  return new Response(bytes, {
    headers: {
      "content-type": file.mimeType,
      "content-disposition": "attachment",
      "content-security-policy": "default-src 'none'; sandbox",
    },
  });
}

interface Ended {
  outcome: StoredOutcome;
  sessionId: string;
  turnId: string;
  endedAtMs: number;
}

function toReply({ outcome, sessionId, turnId, endedAtMs }: Ended): ChatReply {
  return {
    response: outcome.response,
    success: true,
    timestamp: new Date(endedAtMs).toISOString(),
    session_id: sessionId,
    turn_id: turnId,
    message_id: outcome.messageId,
    model: outcome.model,
    provider: outcome.provider,
    usage: outcome.usage,
    cache: outcome.cache,
    mcp_tools_used: outcome.toolsUsed,
    finish_reason: outcome.finishReason ?? "stop",
  };
}

/** A turn as its state route shows it. */
export function turnState({ id, state, plan, outcome, ...turn }: TurnRow, sessionId: string, last: number): TurnView {
  const time = (ms: number | undefined): string | null => (ms === undefined ? null : new Date(ms).toISOString());
  return {
    turn_id: id,
    session_id: sessionId,
    message_id: plan.messageId,
    state,
    last_event_id: last,
    started_at: time(turn.startedAtMs) ?? "",
    ended_at: time(turn.endedAtMs),
    approval:
      state === "waiting" && turn.approval
        ? { calls: turn.approval.calls, expires_at: new Date(turn.approval.expiresAtMs).toISOString() }
        : null,
    response: outcome?.response ?? null,
    usage: outcome?.usage ?? null,
    finish_reason: outcome?.finishReason ?? null,
    error: outcome?.failure ? { code: outcome.failure.code, message: outcome.failure.message } : null,
  };
}

/** The log line of a turn. */
export function turnLine(live: LiveTurn, outcome: StoredOutcome, nowMs: number) {
  const { cache, model, provider, usage, toolsUsed, finishReason, failure } = outcome;
  return {
    ...{
      service: "session",
      request_id: live.requestId,
      route: "turn",
      turn_id: live.id,
      ms: nowMs - live.startedAtMs,
    },
    ...{ trace_id: traceIdOf(live.traceparent), user_id: live.userId, stages: live.stages.read() },
    ...{ cache, model, provider, tokens: usage.total_tokens, tools: toolsUsed },
    ...(cache !== "hit" && usage.cost_usd !== null && { cost_usd: usage.cost_usd }),
    ...(failure?.code === "cancelled" && { level: "info" as const }),
    ...(failure ? { error: failure.code } : { finish_reason: finishReason }),
  };
}

/** The same for the meter. A turn that was taken up again counts from its first life. */
export function seenTurn({ startedAtMs, log }: LiveTurn, outcome: StoredOutcome, nowMs: number): SeenTurn {
  const { cache, failure } = outcome;
  const firstTokenMs = log.firstTextAtMs === undefined ? undefined : log.firstTextAtMs - startedAtMs;
  return { cache, failure, ms: nowMs - startedAtMs, firstTokenMs };
}

export function turnHeaders(turnId: string, sessionId: string, note?: CacheNote): Record<string, string> {
  return { "x-turn-id": turnId, "x-session-id": sessionId, ...(note && cacheHeaders(note)) };
}

/** Where the time of a turn went until now, from when its request came to the object. */
export function timingHeader(stages: StageClock, receivedAtMs: number, { why }: CacheNote): Record<string, string> {
  const start = Math.max(0, stages.startedAtMs - receivedAtMs);
  return { "server-timing": toServerTiming({ start, ...stages.read() }, why) };
}

/** Of a reply that is no turn's: why the cache gave none. */
export function reasonHeader({ why }: CacheNote): Record<string, string> {
  return why === undefined ? {} : { "server-timing": toServerTiming({ cache: 0 }, why) };
}

export function cacheHeaders({ verdict, ageSeconds }: CacheNote): Record<string, string> {
  return {
    "x-cache": verdict.toUpperCase(),
    ...(ageSeconds !== undefined && { age: String(ageSeconds) }),
  };
}

export function eventStream(body: ReadableStream<Uint8Array> | string, headers: Record<string, string>): Response {
  return new Response(body, {
    headers: {
      ...headers,
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store, no-transform",
      "x-accel-buffering": "no",
    },
  });
}

/** Its code goes to main's log and figures in a header, which main takes away. */
export function errorResponse(failure: Failure, requestId: string, headers: Record<string, string> = {}): Response {
  const retryAfter = failure.retryAfterSeconds;
  return Response.json(toErrorBody(failure, requestId), {
    status: ERROR_STATUS[failure.code],
    headers: {
      ...limitHeaders(failure.limits),
      ...headers,
      [CODE_HEADER]: failure.code,
      ...(retryAfter !== undefined && { "retry-after": String(Math.ceil(retryAfter)) }),
      ...(failure.code === "unauthorized" && { "www-authenticate": "Bearer" }),
    },
  });
}
