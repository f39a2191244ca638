/**
 * Tool rounds: what the model did with tools before its answer, as a session keeps it and as a model is shown it again.
 * Pure.
 */
import type { Usage } from "./chat.ts";
import type { Told } from "./dialects.ts";
import type { Failure } from "./errors.ts";
import type { ModelMessage, ModelRequest } from "./llm.ts";
import { estimateAttachmentTokens, type Prelude } from "./parts.ts";
import type { ToolCall } from "./tools.ts";

/** One reply of the model in which it asked for tools: its words, its calls and their results. */
export interface ToolRound {
  content: string;
  calls: ToolCall[];
  /** In the order of `calls`. */
  results: { ok: boolean; content: string }[];
}

export function roundMessages(round: ToolRound): ModelMessage[] {
  return [
    { role: "assistant", content: round.content, toolCalls: round.calls },
    ...round.calls.map((call, at): ModelMessage => ({
      role: "tool",
      toolCallId: call.id,
      content: round.results[at]?.content ?? "",
    })),
  ];
}

export function preludeMessages(before: Prelude[] = []): ModelMessage[] {
  return before.flatMap((one) =>
    "round" in one ? roundMessages(one.round) : { role: "system" as const, content: one.system },
  );
}

/** The names of the tools that ran, each once. */
export function toolsOf(rounds: ToolRound[]): string[] {
  return [...new Set(rounds.flatMap((round) => round.calls.map((call) => call.name)))];
}

/** About four characters a token: a bound for trimming, not a bill. */
export function estimateTokens(text: string): number {
  return Math.ceil(text.length / 4);
}

export function addUsage(sum: Usage | undefined, next: Usage): Usage {
  if (sum === undefined) return next;
  return {
    prompt_tokens: sum.prompt_tokens + next.prompt_tokens,
    completion_tokens: sum.completion_tokens + next.completion_tokens,
    total_tokens: sum.total_tokens + next.total_tokens,
    ...((sum.cached_tokens ?? next.cached_tokens) !== undefined && {
      cached_tokens: (sum.cached_tokens ?? 0) + (next.cached_tokens ?? 0),
    }),
    ...((sum.estimated || next.estimated) && { estimated: true }),
  };
}

/** What a message takes of a window. */
export function estimateMessage(message: ModelMessage): number {
  return estimateTokens(JSON.stringify(withoutAttachments(message))) + attachmentTokens(message);
}

/** Their bytes are no words. */
function withoutAttachments(message: ModelMessage): ModelMessage {
  if (message.role !== "user" || message.attachments === undefined) return message;
  return { role: "user", content: message.content };
}

function attachmentTokens(message: ModelMessage): number {
  if (message.role !== "user" || message.attachments === undefined) return 0;
  return message.attachments.reduce((sum, attachment) => sum + estimateAttachmentTokens(attachment), 0);
}

/** What there is to read for whoever answers. */
type Prompt = Pick<ModelRequest, "messages" | "tools" | "responseFormat">;

/** What a call cost where the provider does not say. */
export function estimateUsage(request: Prompt, said: string): Usage {
  return toEstimate(estimatePrompt(request), estimateTokens(said));
}

function toEstimate(prompt_tokens: number, completion_tokens: number): Usage {
  return { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens, estimated: true };
}

function estimatePrompt({ messages, tools, responseFormat }: Prompt): number {
  const attached = messages.reduce((sum, message) => sum + attachmentTokens(message), 0);
  const words = estimateTokens(JSON.stringify([messages.map(withoutAttachments), tools]));
  return words + estimateSchema(responseFormat) + attached;
}

/** Providers show a model the schema that its answer is to have. */
export function estimateSchema(format: ModelRequest["responseFormat"]): number {
  return format?.type === "json_schema" ? estimateTokens(JSON.stringify(format.json_schema)) : 0;
}

/**
 * What a reply took, whether or not it came to its end; it may be asked for as often as wanted: a prompt that has to be estimated is so once.
 * The provider's figures are final once it has finished and told them last; those of a reply that was cut are right as far as it was read, and
 * what was still on its way is not in them: they are marked as estimated. Without any, a delta is a token at least.
 */
export function usageOf(request: Prompt): (said: string, told: Told) => Usage {
  let estimated: number | undefined;
  return (said, { usage, deltas, isFinished }) => {
    if (usage === undefined) {
      estimated ??= estimatePrompt(request);
      return toEstimate(estimated, Math.max(estimateTokens(said), deltas));
    }
    if (isFinished && deltas === 0) return usage;
    const { cached_tokens } = usage;
    const estimate = toEstimate(usage.prompt_tokens, usage.completion_tokens + deltas);
    return { ...estimate, ...(cached_tokens !== undefined && { cached_tokens }) };
  };
}

export const NO_USAGE: Usage = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 };

/** What texts cost that were made vectors of, where the provider does not say. */
export function estimateTexts(texts: string[]): Usage {
  const prompt_tokens = texts.reduce((sum, text) => sum + estimateTokens(text), 0);
  return { prompt_tokens, completion_tokens: 0, total_tokens: prompt_tokens, estimated: true };
}

/** What a call cost that came to no answer: as it was told, else a guess where the caller left it in the middle. */
export function spentBy(request: Prompt, { code, usage }: Pick<Failure, "code" | "usage">): Usage {
  if (usage !== undefined) return usage;
  return code === "cancelled" || code === "upstream_timeout" ? estimateUsage(request, "") : NO_USAGE;
}
