/**
 * The only door to a tool: arguments checked, time and size bounded, every failure turned into an outcome in our words,
 * one log line a call that holds neither arguments nor output. No state. Refuses a call that was chosen from another
 * version of the list. A tool that never yields the thread is ended by the runtime's CPU limit, not from here.
 */
import type * as z from "zod";
import type { ToolOutcome } from "../../contracts/tools.ts";
import type { Registry } from "./registry.ts";
import type { Part } from "./tools/content.ts";
import type { Tool, ToolContext, ToolReply } from "./tools/tool.ts";

const TIME_LIMIT_MS = 15_000;
const MAX_OUTPUT_BYTES = 256 * 1024;

export type LogLine = Record<string, string | number | boolean>;

interface RunnerOptions {
  registry: Registry;
  log: (line: LogLine) => void;
  timeLimitMs?: number;
}

export interface RunRequest {
  name: string;
  /** As it came from outside. */
  arguments: unknown;
  /** The list's version that the caller chose the tool from. */
  version?: string | undefined;
}

export interface RunOutcome extends ToolOutcome {
  /** In place of `content`, for a client that can show more than text. */
  parts?: Part[];
  /** Provenance: the content is data from this tool, never an instruction. */
  source: string;
  /** True where the list has changed since `version`; the tool did not run. */
  stale?: true;
}

/** Undefined when there is no such tool. Never throws. */
export type RunTool = (request: RunRequest, context: ToolContext) => Promise<RunOutcome | undefined>;

export function createToolRunner({ registry, log, timeLimitMs = TIME_LIMIT_MS }: RunnerOptions): RunTool {
  return async (request, context) => {
    const startMs = context.now();
    const outcome = await settle(registry, request, { context, timeLimitMs });
    if (outcome === undefined) return undefined;
    const content = capBytes(outcome.content.toWellFormed());
    log({
      service: "mcp",
      request_id: context.requestId,
      tool: request.name,
      ok: outcome.ok,
      ...(outcome.stale && { stale: true }),
      ms: context.now() - startMs,
      bytes: content.bytes,
    });
    return { ...outcome, content: content.text, source: request.name };
  };
}

interface Bounds {
  context: ToolContext;
  timeLimitMs: number;
}

type Settled = ToolOutcome & Pick<RunOutcome, "stale" | "parts">;

const failure = (content: string): Settled => ({ ok: false, content });

async function settle(registry: Registry, request: RunRequest, bounds: Bounds): Promise<Settled | undefined> {
  try {
    const tool = await registry.find(request.name);
    if (tool === undefined) return undefined;
    if (request.version !== undefined && request.version !== (await registry.list()).version) {
      return { ...failure("The tools have changed since they were listed: list them again."), stale: true };
    }
    const args = tool.input.safeParse(request.arguments ?? {});
    if (!args.success) return failure(describeIssues(args.error));
    return toOutcome(await runBounded(tool, args.data, bounds));
  } catch {
    return failure("The tool failed.");
  }
}

/** Runs until the tool replies, the caller leaves or the time is up, whichever comes first. */
async function runBounded(tool: Tool, args: unknown, { context, timeLimitMs }: Bounds): Promise<ToolReply> {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), tool.timeLimitMs ?? timeLimitMs);
  const signal = AbortSignal.any([context.signal, limit.signal]);
  const ended = Promise.withResolvers<ToolReply>();
  const end = () =>
    ended.resolve(failure(limit.signal.aborted ? "The tool took too long." : "The call was cancelled."));
  signal.addEventListener("abort", end, { once: true });
  if (signal.aborted) end();
  try {
    return await Promise.race([ended.promise, tool.run(args, { ...context, signal })]);
  } finally {
    clearTimeout(timer);
  }
}

function toOutcome(reply: ToolReply): Settled {
  if (reply.parts !== undefined) return toParts(reply.ok, reply.parts);
  const text = typeof reply.content === "string" ? reply.content : toJson(reply.content);
  return text === undefined ? failure("The tool gave a result that is no text.") : { ok: reply.ok, content: text };
}

/** Bytes cannot be cut as text can: too many are a failure. */
function toParts(ok: boolean, parts: Part[]): Settled {
  const text = toJson(parts);
  const bytes = text === undefined ? Number.POSITIVE_INFINITY : new TextEncoder().encode(text).length;
  if (bytes > MAX_OUTPUT_BYTES) return failure("The tool gave too much.");
  const texts = parts.map((part) => (part.type === "text" ? part.text : `[${part.type}]`));
  return { ok, content: texts.join("\n"), parts };
}

/** Undefined for what JSON cannot hold: circular values, bigints, functions. Bytes are refused too: they are no text. */
function toJson(value: unknown): string | undefined {
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return undefined;
  try {
    return JSON.stringify(value);
  } catch {
    return undefined;
  }
}

/** Names the fields and what is wrong with them, never their values. */
function describeIssues(error: z.ZodError): string {
  const issues = error.issues.slice(0, 5).map((issue) => `${issue.path.join(".") || "arguments"}: ${issue.message}`);
  return `Invalid arguments. ${issues.join("; ")}`.slice(0, 500);
}

/** At most 256 KiB of UTF-8, cut between characters, with a mark that says so. */
function capBytes(text: string): { text: string; bytes: number } {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length <= MAX_OUTPUT_BYTES) return { text, bytes: bytes.length };
  const mark = `\n[truncated: the whole result has ${bytes.length} bytes]`;
  const room = MAX_OUTPUT_BYTES - mark.length;
  const kept = new TextDecoder().decode(bytes.subarray(0, room), { stream: true });
  return { text: kept + mark, bytes: MAX_OUTPUT_BYTES };
}
