/**
 * Tools as the workflow and the model see them. Pure; the Model Context Protocol's own types stay in workers/mcp/protocol/ and
 * workers/main/tools/mcp.ts.
 */
import * as z from "zod";

export const ToolDefinition = z.object({
  name: z.string(),
  description: z.string(),
  /** JSON Schema of the arguments, an object schema. */
  inputSchema: z.record(z.string(), z.unknown()),
  /** Running it changes nothing. */
  readOnly: z.boolean(),
  /** The same arguments give the same result for as long as a cache entry lives. */
  idempotent: z.boolean(),
  /** The result depends on who asks, so no other user may be given it. */
  private: z.boolean(),
  /** "free" runs faster than a cache read; "metered" calls something that costs time or money. */
  cost: z.enum(["free", "metered"]),
});
export type ToolDefinition = z.infer<typeof ToolDefinition>;

/** A tool list and its version: the hash of the definitions, part of every cache key that offers them. */
export interface ToolList {
  version: string;
  tools: ToolDefinition[];
}

export interface ToolCall {
  id: string;
  name: string;
  arguments: Record<string, unknown>;
}

/** What the model gets back. A failed tool is an outcome, not an exception. */
export interface ToolOutcome {
  ok: boolean;
  /** Text for the model, capped at 256 KiB. */
  content: string;
}

/** On whose behalf a call crosses a wall. */
export interface CallContext {
  requestId: string;
  userId: string;
  /** The trace that the request belongs to (W3C). */
  traceparent?: string | undefined;
}

/** A call is made from a list: a server whose list has changed since refuses it. */
export interface ToolCallContext extends CallContext {
  listVersion?: string;
}

/** What the workflow needs of a tool server. `list` and `call` never throw for expected failures. */
export interface ToolServer {
  /** The enabled tools; undefined when the server cannot be reached. */
  list(context: CallContext): Promise<ToolList | undefined>;
  call(call: ToolCall, context: ToolCallContext, signal: AbortSignal): Promise<ToolOutcome>;
  /** The cache stood in for calls of these tools: counted behind the reply. */
  noteHits?(names: string[]): void;
}

/** A tool may be cached only if it says that it changes nothing and repeats itself. */
export function isCacheable(tool: Pick<ToolDefinition, "readOnly" | "idempotent">): boolean {
  return tool.readOnly && tool.idempotent;
}
