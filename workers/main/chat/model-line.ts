/** The log line of a model call, whoever made it. Pure. */
import type { NoteCall } from "../../../contracts/llm.ts";
import type { LogLine } from "../../../contracts/log.ts";
import { traceIdOf } from "../../../contracts/trace.ts";

export function modelLine(
  service: string,
  [call, { requestId, traceparent, userId, turnId }]: Parameters<NoteCall>,
  cost: number | null,
): LogLine {
  const { operation = "chat", provider, model, ms, usage, error } = call;
  return {
    ...{ service, request_id: requestId, trace_id: traceIdOf(traceparent), user_id: userId, turn_id: turnId },
    ...{ call: "model", operation, provider, model, ms, tokens: usage.total_tokens, error },
    ...(usage.estimated && { estimated: true }),
    ...(error === "cancelled" && { level: "info" }),
    ...(cost !== null && { cost_usd: cost }),
  };
}
