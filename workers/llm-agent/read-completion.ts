/**
 * A reply in one piece, checked. Pure. The same rules as the stream's decoder: only a real finish reason completes an answer,
 * calls present beat it, arguments are parsed once. Refuses a reply with a call that cannot be parsed.
 */
import * as z from "zod";
import { readFinishReason, readUsage, settleFinish, TRUNCATED } from "../../contracts/dialects.ts";
import type { Completion, ModelRequest } from "../../contracts/llm.ts";
import { estimateUsage } from "../../contracts/rounds.ts";
import { MAX_ARGUMENT_CHARS, MAX_CALLS, parseToolCalls } from "../../contracts/tool-call-deltas.ts";
import { faulty, type Outcome, paidFor, refused } from "./refusal.ts";

const Name = z.string().max(256);
const Call = z.object({
  id: Name.nullish(),
  function: z.object({ name: Name, arguments: z.string().max(MAX_ARGUMENT_CHARS).nullish() }),
});
const Reply = z.object({
  choices: z
    .array(
      z.object({
        finish_reason: z.unknown().optional(),
        message: z.object({ content: z.string().nullish(), tool_calls: z.array(Call).max(MAX_CALLS).nullish() }),
      }),
    )
    .min(1),
  usage: z.unknown().optional(),
});

export interface ReadOptions {
  request: ModelRequest;
  provider: string;
  newCallId: () => string;
}

export function readCompletion(text: string, { request, provider, newCallId }: ReadOptions): Outcome<Completion> {
  const reply = Reply.safeParse(parseJson(text));
  const choice = reply.data?.choices[0];
  if (choice === undefined) return refused("upstream_error", "the model provider sent an unreadable answer");
  const raw = (choice.message.tool_calls ?? []).map((call) => ({
    id: call.id ?? "",
    name: call.function.name,
    arguments: call.function.arguments ?? "",
  }));
  const content = choice.message.content ?? "";
  const said = content + raw.map((call) => call.arguments).join("");
  const usage = readUsage(reply.data?.usage) ?? estimateUsage(request, said);
  const finish = readFinishReason(choice.finish_reason);
  if (finish === undefined) return paidFor(faulty(TRUNCATED.message, TRUNCATED.code), usage);
  const toolCalls = parseToolCalls(raw, newCallId).flatMap((call) => ("malformed" in call ? [] : [call]));
  if (toolCalls.length < raw.length)
    return paidFor(refused("upstream_error", "the model called a tool with unreadable arguments"), usage);
  const finishReason = settleFinish(finish, toolCalls.length);
  return { ok: true, value: { model: request.model, provider, content, toolCalls, finishReason, usage } };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
