import { expect, test } from "vitest";
import type { ModelMessage } from "./llm.ts";
import { estimateUsage, usageOf } from "./rounds.ts";

const messages: ModelMessage[] = [{ role: "user", content: "Tell me what this costs. ".repeat(40) }];

test("[LEDGER-10] a reply's usage can be asked for while it comes: its prompt is estimated once, and only where nothing is told", () => {
  let reads = 0;
  const request = {
    get messages() {
      reads += 1;
      return messages;
    },
  };
  const usage = usageOf(request);
  const figures = { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 };
  expect(usage("hello", { usage: figures, deltas: 0, isFinished: true })).toEqual(figures);
  expect(usage("hello", { usage: figures, deltas: 2, isFinished: false })).toEqual({
    ...{ prompt_tokens: 7, completion_tokens: 5, total_tokens: 12, estimated: true },
  });
  expect(reads).toBe(0);
  const { prompt_tokens } = estimateUsage({ messages }, "");
  for (const deltas of [1, 5, 9]) {
    const told = usage("hello", { usage: undefined, deltas, isFinished: false });
    const completion_tokens = Math.max(2, deltas);
    const total_tokens = prompt_tokens + completion_tokens;
    expect(told).toEqual({ prompt_tokens, completion_tokens, total_tokens, estimated: true });
  }
  expect(reads).toBe(1);
});
