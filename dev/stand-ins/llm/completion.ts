/**
 * A completion as data: what will be said, how it finishes and what it costs, before any byte is sent. Pure.
 * Token figures are computed from the text, about four characters a token.
 */
import { answerPrompt } from "./demo.ts";
import type { Faults } from "./faults.ts";
import { BAD_JSON } from "./json-answers.ts";
import type { CompletionRequest } from "./request.ts";
import { playToolScript, streamCalls, type ScriptedCalls } from "./tool-scripts.ts";

export interface Completion {
  id: string;
  model: string;
  /** Seconds since 1970. */
  created: number;
  /** Tokens of so much of the answer. */
  count(said: string, pieces: number): number;
  /** Text or tool calls, in the pieces that a stream sends. */
  content: { kind: "text"; pieces: string[] } | { kind: "calls"; deltas: ScriptedCalls["deltas"] };
  finish: string | null;
  usage: {
    prompt_tokens: number;
    completion_tokens: number;
    total_tokens: number;
    prompt_tokens_details?: { cached_tokens: number };
  };
}

export function composeCompletion(
  request: CompletionRequest,
  faults: Faults,
  made: { id: string; created: number },
): Completion {
  const { content, finish } = compose(request, faults);
  const said = content.kind === "text" ? content.pieces.join("") : JSON.stringify(content.deltas);
  const prompt = countTokens(JSON.stringify(request.body.messages) + JSON.stringify(request.body.tools ?? ""));
  const count: Completion["count"] = (text, pieces) => (faults.tokens === undefined ? countTokens(text) : pieces);
  const completion = count(said, faults.tokens?.count ?? 0);
  return {
    ...{ ...made, count },
    model: request.model,
    content,
    finish: faults.finish === undefined ? finish : faults.finish,
    usage: {
      ...{ prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion },
      ...(faults.cached !== undefined && { prompt_tokens_details: { cached_tokens: faults.cached } }),
    },
  };
}

function countTokens(text: string): number {
  return Math.ceil(text.length / 4);
}

function compose(request: CompletionRequest, faults: Faults): Pick<Completion, "content" | "finish"> {
  if (faults.tokens !== undefined) {
    const pieces = Array.from({ length: faults.tokens.count }, (_, at) =>
      at === 0 ? "[demo model]" : ` t${at % 1000}`,
    );
    return { content: { kind: "text", pieces }, finish: "stop" };
  }
  const scripted = faults.toolScript === undefined ? undefined : playToolScript(faults.toolScript, request);
  if (scripted !== undefined) return { content: { kind: "calls", deltas: scripted.deltas }, finish: scripted.finish };

  const answer = isBad(request, faults) ? { kind: "text" as const, text: BAD_JSON } : answerWell(request, faults);
  if (answer.kind === "calls") {
    const { deltas, finish } = streamCalls(answer.calls);
    return { content: { kind: "calls", deltas }, finish };
  }
  const limit = Math.min(request.maxTokens * 4, faults.halved === true ? Math.ceil(answer.text.length / 2) : Infinity);
  const cut = limit < answer.text.length;
  const text = cut
    ? answer.text
        .slice(0, limit)
        .toWellFormed()
        .replace(/\uFFFD$/, "")
    : answer.text;
  return { content: { kind: "text", pieces: splitWords(text) }, finish: cut ? "length" : "stop" };
}

function answerWell(request: CompletionRequest, faults: Faults) {
  return faults.mirror === true ? mirror(request) : answerPrompt(request);
}

/** A model that is shown what it said wrongly may say it rightly. */
function isBad({ messages }: CompletionRequest, { badJson }: Faults): boolean {
  return badJson === "always" || (badJson === "once" && !messages.some(({ text }) => text === BAD_JSON));
}

/** The whole prompt and the tools, for tests that look for what must never be said. */
function mirror(request: CompletionRequest): { kind: "text"; text: string } {
  return { kind: "text", text: JSON.stringify({ demo: true, request: request.body }) };
}

/** Words with the white space before them; joined again they are the text. */
function splitWords(text: string): string[] {
  return text.match(/\s*\S+|\s+$/g) ?? [];
}
