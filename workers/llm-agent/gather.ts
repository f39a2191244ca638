/**
 * The whole of a reply out of a provider's stream. State: one reply. Refuses one that is silent for too long, is cut, has no end, or calls a
 * tool with arguments that cannot be read. Nobody has seen anything of it: what broke off may be asked of another node.
 */
import type { FinishReason } from "../../contracts/chat.ts";
import { createDecoder, type MalformedToolCall, type ModelEvent } from "../../contracts/dialects.ts";
import type { Completion, ModelRequest } from "../../contracts/llm.ts";
import { usageOf } from "../../contracts/rounds.ts";
import type { ToolCall } from "../../contracts/tools.ts";
import type { Config } from "./env.ts";
import type { Limit } from "./limit.ts";
import type { Endpoint } from "./provider.ts";
import { faulty, type Outcome, paidFor, refused } from "./refusal.ts";

/** UTF-16 code units; arguments of calls have a limit of their own. */
const MAX_CONTENT_CHARS = 4 * 1024 * 1024;

export interface OpenedStream {
  endpoint: Endpoint;
  /** What the provider sent first, already looked at. */
  first: Uint8Array;
  /** The bytes after `first`. Cancelling it closes the provider's socket. */
  rest: ReadableStream<Uint8Array>;
}

export interface GatherDeps {
  config: Pick<Config, "LLM_STALL_TIMEOUT_MS">;
  newCallId: () => string;
  /** Of the call that opened the stream. */
  limit: Limit;
}

interface Reply {
  content: string;
  calls: (ToolCall | MalformedToolCall)[];
}

export async function gather(
  { endpoint, first, rest }: OpenedStream,
  request: ModelRequest,
  { config, newCallId, limit }: GatherDeps,
): Promise<Outcome<Completion>> {
  const reply: Reply = { content: "", calls: [] };
  const decoder = createDecoder(endpoint.dialect, { newCallId });
  const reader = rest.getReader();
  let end = take(reply, decoder.push(first));
  while (end === undefined) {
    limit.arm(config.LLM_STALL_TIMEOUT_MS);
    const read = await reader.read().catch(() => undefined);
    // A connection that breaks is an end like any other: with a finish reason, or without.
    end = limit.verdict() ?? take(reply, read?.done === false ? decoder.push(read.value) : decoder.end());
  }
  void reader.cancel().catch(() => undefined); // frees the connection; it may be gone already
  const { content, calls } = reply;
  const toolCalls = calls.flatMap((call) => ("malformed" in call ? [] : [call]));
  const said = content + toolCalls.map((call) => JSON.stringify(call.arguments)).join("");
  const usage = usageOf(request)(said, decoder.told());
  if (!end.ok) return paidFor(end, usage);
  if (toolCalls.length < calls.length)
    return paidFor(refused("upstream_error", "the model called a tool with unreadable arguments"), usage);
  const { provider } = endpoint;
  return { ok: true, value: { model: request.model, provider, content, toolCalls, finishReason: end.value, usage } };
}

/** Gives how the reply ended, once it has. */
function take(reply: Reply, events: ModelEvent[]): Outcome<FinishReason> | undefined {
  for (const event of events) {
    if (event.type === "failure") return faulty(event.failure.message, event.failure.code);
    if (event.type === "finish") return { ok: true, value: event.reason };
    if (event.type === "tool_calls") reply.calls = event.calls;
    else reply.content += event.text;
    if (reply.content.length > MAX_CONTENT_CHARS) return refused("upstream_error", "the model's answer is too long");
  }
  return undefined;
}
