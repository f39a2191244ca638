/**
 * The llm-agent's RPC face: what main asks of a model provider and what it gets back.
 * Pure types; a six-line fake satisfies `LlmAgent`.
 */
import type { FinishReason, ModelType, Usage } from "./chat.ts";
import type { Dialect } from "./dialects.ts";
import type { Embeddings, EmbedRequest } from "./embeddings.ts";
import type { ErrorCode, Result } from "./errors.ts";
import type { Ability } from "./models.ts";
import type { ModelAttachment } from "./parts.ts";
import type { ModelPrice } from "./prices.ts";
import type { CallContext, ToolCall, ToolDefinition } from "./tools.ts";

export type ModelMessage =
  | { role: "system"; content: string }
  | { role: "user"; content: string; /** Left out where there are none. */ attachments?: ModelAttachment[] }
  | { role: "assistant"; content: string; toolCalls?: ToolCall[] }
  | { role: "tool"; toolCallId: string; content: string };

/** On whose behalf a model is called, and what keeps its prompts together and apart. */
export interface ModelContext extends CallContext {
  /** Prompts of one session begin alike: they go to the same node, and to the same cache. Of a conversation without a session a key of its own. */
  sessionId?: string;
  /** Parts users in a cache of prompts that is shared otherwise. Not to be guessed. */
  cacheSalt?: string;
}

export interface ModelRequest {
  model: string;
  /** No provider of another type may serve it; left out: the model's routes say who does. */
  modelType?: ModelType;
  /** Routes that broke off in this very reply: each counts as a fault there, and none is taken again. */
  avoid?: string[];
  messages: ModelMessage[];
  tools?: OfferedTool[];
  /** Left out: the model decides. */
  toolChoice?: "none" | "auto" | "required" | { name: string };
  /** false: one call at most. */
  parallelToolCalls?: boolean;
  temperature?: number;
  topP?: number;
  presencePenalty?: number;
  frequencyPenalty?: number;
  maxTokens?: number;
  /** Texts before which the answer ends. */
  stop?: string[];
  seed?: number;
  responseFormat?: ResponseFormat;
}

export type Broken = Pick<ModelRequest, "model" | "modelType" | "avoid">;

/** A tool as a model is told of it; a client's own may come without a description. */
export interface OfferedTool extends Pick<ToolDefinition, "name" | "inputSchema"> {
  description?: string;
  /** Arguments must fit the schema exactly. */
  strict?: boolean;
}

/** `json_schema`: in the form in which providers take it. */
export type ResponseFormat =
  | { type: "text" | "json_object" }
  | { type: "json_schema"; json_schema: Record<string, unknown> & { name: string } };

/** A provider's stream, byte for byte, with the codec that reads it. Cancelling `body` aborts the provider's request. */
export interface ModelStream {
  model: string;
  provider: string;
  /** The node that answers, for `avoid`. Names no address. */
  route: string;
  dialect: Dialect;
  body: ReadableStream<Uint8Array>;
  /** What attempts took that came to nothing before this one answered; left out: there were none. */
  paid?: Usage;
}

export interface Completion {
  model: string;
  provider: string;
  content: string;
  toolCalls: ToolCall[];
  finishReason: FinishReason;
  usage: Usage;
}

/** A model that can be asked for. */
export interface ModelInfo {
  id: string;
  /** In the order in which they are tried. */
  providers: string[];
  /** null: nobody has said. */
  abilities: Ability[] | null;
  contextWindow: number | null;
  price: ModelPrice | null;
  /** Whether a provider lists it; null: none could be asked. */
  isAvailable: boolean | null;
}

export type HealthStatus = "healthy" | "degraded" | "unhealthy";

/** Reachability of a provider; found without a paid call. */
export interface ProviderHealth {
  provider: string;
  status: HealthStatus;
  latencyMs: number;
  nodes: NodeHealth[];
}

/** What one isolate knows of a node; others count for themselves. */
export interface NodeHealth {
  node: string;
  status: HealthStatus;
  latencyMs: number;
  /** `open`: it failed lately and is passed by; `half_open`: the next call tries it. */
  breaker: "closed" | "open" | "half_open";
  inFlight: number;
  isDraining: boolean;
}

export interface AgentHealth {
  providers: ProviderHealth[];
  /** Settings that are malformed. */
  problems: string[];
}

/**
 * Resolves when the caller no longer wants the reply. A function crosses RPC, an AbortSignal does not: its serialization is an
 * experimental flag. It ends the provider's request at any time: before `stream` answers, and while the provider is silent,
 * when a cancelled `body` would only be noticed at the next byte.
 */
export type WhenGone = () => Promise<void>;

/** One request to a node, as it went; `ok`: it has begun to answer, or has answered. */
export interface ModelAttempt {
  provider: string;
  /** Names no address. */
  node: string;
  code: "ok" | ErrorCode;
}

/** What a call has to tell besides its result. Left out by whoever keeps no count. */
export interface ModelReport {
  attempts?: ModelAttempt[];
  /** By provider: nodes whose breaker is open, as one isolate knows them. */
  openNodes?: Record<string, number>;
}
export type Reported<T> = Result<T> & ModelReport;

/** A call of a model as its caller saw it to its end. */
export interface SeenCall {
  /** Left out: chat. */
  operation?: "embeddings";
  provider: string;
  model: string;
  ms: number;
  /** With what attempts took that came to nothing. */
  usage: Usage;
  /** Why there is no whole reply. */
  error?: ErrorCode | undefined;
  /** An answer that broke off was begun again. */
  isRestart?: boolean;
}

/** Counts a call and writes its line; `turnId` of one in a turn. */
export type NoteCall = (call: SeenCall, caller: CallContext & { turnId?: string }) => void;

/** Expected failures come back as `Result`; only bugs throw. */
export interface LlmAgent {
  /** Resolves once the provider's first frame is here: until then another route may still be taken. */
  stream(request: ModelRequest, context: ModelContext, gone?: WhenGone): Promise<Reported<ModelStream>>;
  generate(request: ModelRequest, context: ModelContext, gone?: WhenGone): Promise<Reported<Completion>>;
  /** Refuses a model that is known to be no model for it, and more than one call carries. */
  embed(request: EmbedRequest, context: CallContext): Promise<Reported<Embeddings>>;
  /** Tells of the routes in `avoid`, which broke off in a reply that is not asked for again. */
  brokeOff(request: Broken, context: CallContext): Promise<Reported<null>>;
  models(context: CallContext): Promise<Result<ModelInfo[]>>;
  health(context: CallContext): Promise<AgentHealth>;
}
