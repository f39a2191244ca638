/** The log line of a model call in a turn. Pure. */
import type { SeenCall } from "../../../contracts/llm.ts";
import type { LogLine } from "../../../contracts/log.ts";
import { traceIdOf } from "../../../contracts/trace.ts";
import type { TurnRequest } from "./turn-request.ts";

type Asked = Pick<TurnRequest, "requestId" | "traceparent" | "userId" | "turnId">;

export function modelLine(
  call: SeenCall,
  { requestId, traceparent, userId, turnId }: Asked,
  cost: number | null,
): LogLine {
  const { provider, model, ms, usage, error } = call;
  return {
    ...{
      service: "session",
      request_id: requestId,
      trace_id: traceIdOf(traceparent),
      user_id: userId,
      turn_id: turnId,
    },
    ...{ call: "model", provider, model, ms, tokens: usage?.total_tokens, error },
    ...(error === "cancelled" && { level: "info" }),
    ...(cost !== null && { cost_usd: cost }),
  };
}
