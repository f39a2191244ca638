/**
 * A completion in OpenAI's shapes: the frames of a stream, and the one object of a reply without it. Pure.
 * Content frames are marked, as faults count them.
 */
import type { Completion } from "./completion.ts";
import type { Faults } from "./faults.ts";
import type { CompletionRequest } from "./request.ts";
import { joinDeltas } from "./tool-scripts.ts";

export interface Frame {
  /** Content is text or a tool call: what the pace waits for and faults count. */
  kind: "opening" | "content" | "closing";
  data: object;
  /** What of the answer is in it. */
  said?: string;
  /** It tells what the answer cost. */
  isUsage?: true;
}

export function* framesOf(completion: Completion, faults: Faults, asked: CompletionRequest["usage"]): Generator<Frame> {
  const withUsage = asked !== "none" && faults.usage !== "none";
  const prompt = completion.usage.prompt_tokens;
  let [said, pieces] = ["", 0];
  /** In vLLM's order. */
  const soFar = (): object | null => {
    if (!withUsage || asked !== "continuous") return null;
    const made = completion.count(said, pieces);
    return { prompt_tokens: prompt, total_tokens: prompt + made, completion_tokens: made };
  };
  const add = (piece: string): string => {
    [said, pieces] = [said + piece, pieces + 1];
    return piece;
  };
  const chunk = (choices: object[], usage = soFar()): object => ({
    id: completion.id,
    object: "chat.completion.chunk",
    created: completion.created,
    model: completion.model,
    choices,
    ...(withUsage || usage !== null ? { usage } : {}),
  });
  const choice = (delta: object, finish: string | null = null): object => ({
    index: 0,
    delta,
    logprobs: null,
    finish_reason: finish,
  });
  const unasked = faults.usage === "empty-choices";

  if (unasked) yield { kind: "opening", data: chunk([], { ...completion.usage, completion_tokens: 0 }) };
  yield {
    kind: "opening",
    data: chunk([choice({ role: "assistant", content: completion.content.kind === "text" ? "" : null })]),
  };
  if (completion.content.kind === "text") {
    for (const piece of completion.content.pieces)
      yield { kind: "content", said: add(piece), data: chunk([choice({ content: piece })]) };
  } else {
    for (const delta of completion.content.deltas)
      yield { kind: "content", said: add(JSON.stringify(delta)), data: chunk([choice({ tool_calls: [delta] })]) };
  }
  yield { kind: "closing", data: chunk([choice({}, completion.finish)]) };
  if (faults.duplicateFinish === true) yield { kind: "closing", data: chunk([choice({}, completion.finish)]) };
  if (withUsage || unasked) yield { kind: "closing", isUsage: true, data: chunk([], completion.usage) };
}

export function replyOf(completion: Completion, faults: Faults): object {
  const message =
    completion.content.kind === "text"
      ? { role: "assistant", content: completion.content.pieces.join(""), refusal: null }
      : { role: "assistant", content: null, refusal: null, tool_calls: joinDeltas(completion.content.deltas) };
  return {
    id: completion.id,
    object: "chat.completion",
    created: completion.created,
    model: completion.model,
    choices: [{ index: 0, message, logprobs: null, finish_reason: completion.finish }],
    ...(faults.usage === "none" ? {} : { usage: completion.usage }),
  };
}
