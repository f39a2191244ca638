/** The cache by meaning against fakes of its contracts: what takes too long, what fails over and over, and what is not for it. */
import { expect, test } from "vitest";
import type { Embeddings } from "../../../contracts/embeddings.ts";
import { fail, ok, type Result } from "../../../contracts/errors.ts";
import type { Cache, Slot } from "./cache.ts";
import { createSemantic, type SemanticOptions } from "./semantic.ts";

const CONTEXT = { requestId: "r", userId: "u" };
const slot = (parts: Record<string, unknown>, scope: Slot<"llm">["scope"] = { shared: true }): Slot<"llm"> => ({
  ...{ layer: "llm", key: "k", scope },
  parts: { history: [], question: { role: "user", content: "How do I pay?" }, ...parts },
});
const saves = { calls: 1, ms: 1, tokens: null };
const value = { content: "So.", rounds: [], usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 } };
const stored = { ...value, model: "m", provider: "p" };

function open(more: Partial<SemanticOptions> = {}) {
  const said: unknown[] = [];
  const scopes: string[] = [];
  const spent: unknown[] = [];
  const clock = { ms: 0 };
  const read = async (slots: readonly Slot<"llm">[]) => ({
    reads: slots.map(() => ({ verdict: "hit", value: stored, saves, ageSeconds: 1, question: "how can i pay" })),
    since: 0,
  });
  const usage = { ...value.usage };
  const semantic = createSemantic({
    ...{ model: "v", threshold: 0.9, cache: { read: read as unknown as Cache["read"] } }, // one hit a slot, as the cache gives them
    embed: async () => ok({ model: "v", provider: "p", vectors: [new Float32Array([1])], usage }),
    index: {
      nearest: async ({ scope }) => {
        scopes.push(scope);
        return ok([{ key: "other", similarity: 0.95 }]);
      },
      ...{ add: async () => ok(undefined), ping: async () => ok(undefined) },
    },
    onSpent: (userId, told) => void spent.push({ userId, ...told }),
    ...{ now: () => clock.ms, log: (line) => void said.push(line), state: { failures: 0, pausedUntilMs: 0 } },
    ...more,
  });
  return { semantic, said, scopes, spent, clock };
}

test("[SEM-1] an entry over the threshold whose question is the same is a hit; one below it is not even read", async () => {
  const found = await open().semantic.seek(slot({}), CONTEXT);
  expect(found).toMatchObject({
    hit: { value: { content: "So." }, isSimilar: true },
    meaning: { question: "How do I pay?" },
  });
  const never = () => Promise.reject(new Error("not to be read"));
  const strict = await open({ threshold: 0.96, cache: { read: never } }).semantic.seek(slot({}), CONTEXT);
  expect(strict).toMatchObject({ meaning: { question: "How do I pay?" } });
  expect(strict).not.toHaveProperty("hit");
  const other = { role: "user", content: "How do I not pay?" };
  expect(await open().semantic.seek(slot({ question: other }), CONTEXT)).not.toHaveProperty("hit");
});

test("[SEM-3] nobody is asked about what is one user's, has a history, is more than words, or is long", async () => {
  const { semantic, scopes } = open();
  const question = { role: "user", content: "How do I pay?" };
  for (const one of [
    ...[
      slot({}, { userId: "u" }),
      slot({ history: [question] }),
      slot({ history: undefined }),
      slot({ question: undefined }),
    ],
    slot({ question: { ...question, images: ["x"] } }),
    slot({ question: { role: "user", content: [{ type: "image" }] } }),
    slot({ question: { role: "tool", content: "x" } }),
    slot({ question: { role: "user", content: "x".repeat(1_001) } }),
  ]) {
    expect(await semantic.seek(one, CONTEXT)).toEqual({});
  }
  expect(scopes).toEqual([]);
});

test("[SEM-3] a scope is all that an answer depends on but the question", async () => {
  const { semantic, scopes } = open();
  for (const parts of [
    {},
    { question: { role: "user", content: "Another" } },
    { model: "n" },
    { tools: { names: ["x"] } },
    { new_part: 1 },
  ]) {
    await semantic.seek(slot(parts), CONTEXT);
  }
  expect(scopes[0]).toBe(scopes[1]);
  expect(new Set(scopes).size).toBe(4);
});

test("[SEM-5] what takes too long, fails or throws is a miss; after three in a row nobody is asked for half a minute", async () => {
  let calls = 0;
  const silent = () => new Promise<never>(() => (calls += 1));
  const { semantic, said, clock } = open({ embed: silent, timeoutMs: 5 });
  for (let at = 0; at < 5; at += 1) expect(await semantic.seek(slot({}), CONTEXT)).toEqual({});
  expect(calls).toBe(3);
  expect(said).toHaveLength(3);
  expect(said[0]).toMatchObject({ route: "cache.semantic", error: "upstream_timeout" });
  clock.ms = 30_000;
  await semantic.seek(slot({}), CONTEXT);
  expect(calls).toBe(4);
  await semantic.seek(slot({}), CONTEXT);
  expect(calls).toBe(4);
  const broken = open({ embed: () => Promise.reject(new Error("secret")) });
  expect(await broken.semantic.seek(slot({}), CONTEXT)).toEqual({});
  expect(JSON.stringify(broken.said)).not.toContain("secret");
  const away = async () => fail("not_configured", "no pgvector");
  const without = open({ index: { nearest: away, add: away, ping: away } });
  expect(await without.semantic.seek(slot({}), CONTEXT)).toEqual({});
});

test("[LEDGER-13] what a vector took is told whoever waits for it: of a hit, of one that failed, of one that came late", async () => {
  const usage = { prompt_tokens: 3, completion_tokens: 0, total_tokens: 3 };
  const hit = open();
  await hit.semantic.seek(slot({}), CONTEXT);
  expect(hit.spent).toEqual([{ userId: "u", provider: "p", usage: value.usage }]);
  const failed = open({ embed: async () => fail("upstream_timeout", "late", { usage }) });
  await failed.semantic.seek(slot({}), CONTEXT);
  expect(failed.spent).toEqual([{ userId: "u", provider: null, usage }]);
  const refused = open({ embed: async () => fail("rate_limited", "busy") });
  await refused.semantic.seek(slot({}), CONTEXT);
  expect(refused.spent).toEqual([]);
  const { promise, resolve } = Promise.withResolvers<Result<Embeddings>>();
  const late = open({ embed: () => promise, timeoutMs: 1 });
  expect(await late.semantic.seek(slot({}), CONTEXT)).toEqual({});
  expect(late.spent).toEqual([]);
  resolve(ok({ model: "v", provider: "p", vectors: [new Float32Array([1])], usage }));
  await promise;
  expect(late.spent).toEqual([{ userId: "u", provider: "p", usage }]);
});
