/**
 * The llm-agent's RPC face: what main asks of a model provider and what it gets back.
 * Pure types; a six-line fake satisfies `LlmAgent`.
 */
import type { FinishReason, ModelType, Usage } from "./chat.ts";
import type { Dialect } from "./dialects.ts";
import type { Result } from "./errors.ts";
import type { CallContext, ToolCall, ToolDefinition } from "./tools.ts";

export type ModelMessage =
  | { role: "system" | "user"; content: string }
  | { role: "assistant"; content: string; toolCalls?: ToolCall[] }
  | { role: "tool"; toolCallId: string; content: string };

export interface ModelRequest {
  model: string;
  /** Which provider serves it; left out: the deployment's LLM_TYPE. */
  modelType?: ModelType;
  messages: ModelMessage[];
  tools?: Pick<ToolDefinition, "name" | "description" | "inputSchema">[];
  temperature?: number;
  maxTokens?: number;
  responseFormat?: { type: "text" | "json_object" };
}

/** A provider's stream, byte for byte, with the codec that reads it. Cancelling `body` aborts the provider's request. */
export interface ModelStream {
  model: string;
  provider: string;
  dialect: Dialect;
  body: ReadableStream<Uint8Array>;
}

export interface Completion {
  model: string;
  provider: string;
  content: string;
  toolCalls: ToolCall[];
  finishReason: FinishReason;
  usage: Usage;
}

export interface ModelInfo {
  id: string;
  provider: string;
}

/** Reachability of a provider; found without a paid call. */
export interface ProviderHealth {
  provider: string;
  status: "healthy" | "degraded" | "unhealthy";
  latencyMs: number;
}

/**
 * Resolves when the caller no longer wants the reply. A function crosses RPC, an AbortSignal does not: its serialization is an
 * experimental flag. It ends the provider's request at any time: before `stream` answers, and while the provider is silent,
 * when a cancelled `body` would only be noticed at the next byte.
 */
export type WhenGone = () => Promise<void>;

/** Expected failures come back as `Result`; only bugs throw. */
export interface LlmAgent {
  /** Resolves once the provider's first frame is here: until then another route may still be taken. */
  stream(request: ModelRequest, context: CallContext, gone?: WhenGone): Promise<Result<ModelStream>>;
  generate(request: ModelRequest, context: CallContext, gone?: WhenGone): Promise<Result<Completion>>;
  models(context: CallContext): Promise<Result<ModelInfo[]>>;
  health(context: CallContext): Promise<ProviderHealth[]>;
}
