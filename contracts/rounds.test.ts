import { expect, test } from "vitest";
import type { ModelMessage } from "./llm.ts";
import { addUsage, estimateUsage, NO_USAGE, usageOf } from "./rounds.ts";

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

test("[LEDGER-17] cached tokens are added up where they are told, and kept of a reply that was cut", () => {
  const plain = { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 };
  const cached = { ...plain, cached_tokens: 5 };
  const twice = { prompt_tokens: 14, completion_tokens: 6, total_tokens: 20 };
  expect(addUsage(plain, plain)).toEqual(twice);
  expect(addUsage(cached, cached)).toEqual({ ...twice, cached_tokens: 10 });
  expect([addUsage(plain, cached), addUsage(cached, plain)]).toEqual(
    [1, 2].map(() => ({ ...twice, cached_tokens: 5 })),
  );
  expect(addUsage(NO_USAGE, cached)).toEqual(cached);
  const cut = usageOf({ messages })("hello", { usage: cached, deltas: 1, isFinished: false });
  expect(cut).toEqual({ ...cached, completion_tokens: 4, total_tokens: 11, estimated: true });
});
