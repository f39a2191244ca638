/**
 * What a tool is: a definition, a strict schema of its arguments, and a function. Pure types.
 * Knows nothing of the protocol that carries it; run.ts is the only caller of `run`.
 */
import type * as z from "zod";
import type { ToolFailure } from "../../../contracts/toolbox.ts";
import type { ToolDefinition } from "../../../contracts/tools.ts";
import type { Client } from "./client.ts";
import type { Part } from "./content.ts";

/** On whose behalf something is done. */
export interface Caller {
  requestId: string;
  /** The trace that the request belongs to (W3C). */
  traceparent?: string | undefined;
  userId: string;
  /** Tools that are closed to this user: names, where `*` stands for any characters. */
  denied: string[];
  isAdmin: boolean;
}

/** What a call hands to the tool besides its arguments. */
export interface ToolContext extends Caller {
  /** Milliseconds since 1970. */
  now: () => number;
  /** Aborts when the caller left or the time limit passed. */
  signal: AbortSignal;
  /** Left out where calls are stateless. */
  client?: Client;
}

/** An expected failure is a reply: its content is shown to the model. Content that is no text becomes JSON. */
export interface ToolReply {
  ok: boolean;
  content: unknown;
  /** In place of `content`, where text alone does not do. */
  parts?: Part[];
  /** Why it is not ok; left out: the tool's own words say it. */
  failure?: ToolFailure;
}

export interface Tool<Input extends z.ZodType = z.ZodType> {
  name: string;
  /** Static text, part of the list's version. */
  description: string;
  /** An object schema that refuses unknown fields. */
  input: Input;
  annotations: Pick<ToolDefinition, "readOnly" | "idempotent" | "private" | "cost">;
  /** Left out: the runner's limit. */
  timeLimitMs?: number;
  /** What it gives is other people's words: they are marked as data. */
  isOutside?: boolean;
  run(args: z.output<Input>, context: ToolContext): ToolReply | Promise<ToolReply>;
}
