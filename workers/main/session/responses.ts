/**
 * What a session's object answers with: a reply, a stream of events, an error. Pure.
 */
import type { ChatReply } from "../../../contracts/chat.ts";
import { ERROR_STATUS, type Failure, toErrorBody } from "../../../contracts/errors.ts";
import type { StoredOutcome } from "./turns.ts";

export function toReply(turnId: string, sessionId: string, outcome: StoredOutcome, nowMs: number): ChatReply {
  return {
    response: outcome.response,
    success: true,
    timestamp: new Date(nowMs).toISOString(),
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

export function turnHeaders(turnId: string, sessionId: string, cache?: string): Record<string, string> {
  return { "x-turn-id": turnId, "x-session-id": sessionId, ...(cache && { "x-cache": cache.toUpperCase() }) };
}

export function eventStream(body: ReadableStream<Uint8Array>, headers: Record<string, string>): Response {
  return new Response(body, {
    headers: {
      ...headers,
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store, no-transform",
      "x-accel-buffering": "no",
    },
  });
}

export function errorResponse(failure: Failure, requestId: string, headers: Record<string, string> = {}): Response {
  const retryAfter = failure.retryAfterSeconds;
  return Response.json(toErrorBody(failure, requestId), {
    status: ERROR_STATUS[failure.code],
    headers: { ...headers, ...(retryAfter !== undefined && { "retry-after": String(Math.ceil(retryAfter)) }) },
  });
}
