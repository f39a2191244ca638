/**
 * A model asked directly, without a session: the request, its reply, the events of its stream, and what is told of models and providers.
 * Pure. Unknown fields are refused; role "system" is not a client's to send.
 */
import * as z from "zod";
import { answerOptions, BilledUsage, checkInput, FinishReason, inputFields } from "./chat.ts";
import { ERROR_STATUS, type ErrorCode } from "./errors.ts";
import type { AgentHealth, HealthStatus, ModelInfo, ProviderHealth } from "./llm.ts";
import { ABILITIES } from "./models.ts";
import { ModelPrice } from "./prices.ts";

const { model, model_type, temperature, max_tokens, response_format } = answerOptions;

export const DirectRequest = z
  .strictObject({
    ...inputFields,
    ...{ model, model_type, temperature, max_tokens, response_format },
  })
  .superRefine((request, issues) => checkInput(request, undefined, issues))
  .meta({ id: "GenerateRequest" });
export type DirectRequest = z.infer<typeof DirectRequest>;

export const DirectReply = z
  .strictObject({
    response: z.string(),
    success: z.literal(true),
    timestamp: z.iso.datetime(),
    model: z.string(),
    provider: z.string(),
    usage: BilledUsage,
    finish_reason: FinishReason,
  })
  .meta({ id: "GenerateReply" });

const Code = z.enum(Object.keys(ERROR_STATUS) as [ErrorCode, ...ErrorCode[]]); // keys of a const object

/**
 * Of a stream: `meta`, `delta`s, `usage`, then one `done` or `error`; a second `meta` where another route answers in place of one that broke off
 * before its words, a `rewind` where an answer in JSON is made once more.
 */
export const DIRECT_EVENT_DATA = {
  meta: z.strictObject({ model: z.string(), provider: z.string() }),
  delta: z.strictObject({ content: z.string() }),
  /** Deltas with a higher number than `after` that stand before it are void. */
  rewind: z.strictObject({ after: z.int().min(0) }),
  usage: BilledUsage,
  done: z.strictObject({ finish_reason: FinishReason }),
  error: z.strictObject({ code: Code, message: z.string(), retryable: z.boolean(), request_id: z.string() }),
} as const;
type DirectEventName = keyof typeof DIRECT_EVENT_DATA;
export type DirectEvent = {
  [Name in DirectEventName]: { event: Name; data: z.infer<(typeof DIRECT_EVENT_DATA)[Name]> };
}[DirectEventName];

const ModelView = z
  .strictObject({
    id: z.string(),
    providers: z.array(z.string()),
    abilities: z.array(z.enum(ABILITIES)).nullable(),
    context_window: z.int().nullable(),
    price: ModelPrice.nullable(),
    available: z.boolean().nullable(),
  })
  .meta({ id: "Model" });
export const ModelList = z.strictObject({ models: z.array(ModelView), default_model: z.string() });

export function viewModel({ id, providers, abilities, contextWindow, price, isAvailable }: ModelInfo) {
  return { id, providers, abilities, context_window: contextWindow, price, available: isAvailable };
}

const Status = z.enum(["healthy", "degraded", "unhealthy"]);
const NodeView = z.strictObject({
  node: z.string(),
  status: Status,
  latency_ms: z.number(),
  breaker: z.enum(["closed", "open", "half_open"]),
  in_flight: z.int(),
  draining: z.boolean(),
});
const ProviderView = z.strictObject({
  ...{ provider: z.string(), status: Status, latency_ms: z.number(), nodes: z.array(NodeView) },
});
export const LlmHealth = z.strictObject({
  status: Status,
  providers: z.array(ProviderView),
  configuration: z.array(z.string()),
});

export function viewHealth({ providers, problems }: AgentHealth): z.infer<typeof LlmHealth> {
  return {
    status: overallHealth(providers),
    providers: providers.map(({ provider, status, latencyMs, nodes }) => ({
      ...{ provider, status, latency_ms: latencyMs },
      nodes: nodes.map(({ node, status: state, latencyMs: ms, breaker, inFlight, isDraining }) => ({
        ...{ node, status: state, latency_ms: ms, breaker, in_flight: inFlight, draining: isDraining },
      })),
    })),
    configuration: problems,
  };
}

/** Healthy where every provider is; without a single healthy node nothing is served. */
export function overallHealth(providers: ProviderHealth[]): HealthStatus {
  if (providers.length > 0 && providers.every(({ status }) => status === "healthy")) return "healthy";
  const serves = providers.some(({ nodes }) => nodes.some((node) => node.status === "healthy" && !node.isDraining));
  return serves ? "degraded" : "unhealthy";
}
