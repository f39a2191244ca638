import { StageClock } from "../../../contracts/timing.ts";
import { expect, test } from "vitest";
import type { ToolDefinition } from "../../../contracts/tools.ts";
import { createCache } from "../cache/cache.ts";
import { runToolRound } from "./tool-round.ts";
import type { TurnRun } from "./turn.ts";

const never = () => Promise.reject(new Error("not asked for"));
const TOOL: ToolDefinition = {
  ...{ name: "big", description: "", inputSchema: {}, readOnly: true, idempotent: true, private: false, cost: "free" },
};

/** A run whose one tool answers every call with this text. */
function runWith(content: string): TurnRun {
  const cache = createCache({
    redis: undefined,
    ttlSeconds: { llm: 1, intent: 1, mcp: 1 },
    now: () => 0,
    random: () => 0,
  });
  return {
    stages: new StageClock(() => 0, "turn"),
    request: {
      ...{
        turnId: "t",
        sessionId: "s",
        messageId: "m",
        userId: "u",
        requestId: "r",
        route: "chat",
        model: "demo",
        modelType: "openai",
      },
      ...{ temperature: undefined, maxTokens: undefined, responseFormat: undefined, context: [], firstTurn: true },
      tools: { version: "1", tools: [TOOL] },
      askFirst: [],
      cache: {
        read: true,
        write: true,
        onlyIfCached: false,
        userScope: false,
        ttlSeconds: undefined,
        maxAgeSeconds: undefined,
      },
    },
    deps: {
      llm: { stream: never, generate: never, embed: never, models: never, health: never, brokeOff: never },
      tools: { list: never, call: () => Promise.resolve({ ok: true, content }) },
      ...{
        cache,
        policy: [],
        sharesAnswers: true,
        routesOf: () => undefined,
        placeTimeoutMs: 1_000,
        joinTimeoutMs: 1_000,
        stallTimeoutMs: 1_000,
        streamTimeoutMs: 9_000,
        log: () => {},
        now: () => 0,
        newCallId: () => "id",
      },
      cacheSalt: () => undefined,
      showAttachments: async (messages) => messages,
      saver: () => {
        throw new Error("nothing asks first");
      },
    },
    emit: { last: 0, spent: () => undefined, append: () => {}, text: () => {}, save: () => {} },
    approver: { ask: never },
    ...{ looked: [], since: 0 },
    signal: new AbortController().signal,
  };
}

test("[TOOL-4] results that a turn has no room for are left out, and neither they nor the answer are kept for others", async () => {
  const calls = ["a", "b"].map((id) => ({ id, name: "big", arguments: { id } }));
  const input = { content: "", calls, decisions: [], fromCache: false, usedBytes: 0, settled: undefined };
  const small = await runToolRound(runWith("x".repeat(1_000)), input);
  expect([small.round.results.map(({ ok }) => ok), small.entries.length, small.isReusable]).toEqual([
    [true, true],
    2,
    true,
  ]);
  const big = await runToolRound(runWith("x".repeat(300_000)), input);
  expect([big.round.results.map(({ ok }) => ok), big.entries.length, big.isReusable]).toEqual([
    [true, false],
    1,
    false,
  ]);
  expect(JSON.stringify(big.round).length).toBeLessThan(600_000);
});

test("[CACHE-8] [S15] an answer made with a private tool is kept for its user, and for nobody where others would find it", async () => {
  const run = runWith("fresh");
  const input = { content: "", decisions: [], fromCache: false, usedBytes: 0, settled: undefined };
  const made = async (tool: Partial<ToolDefinition>, more: object) => {
    const request = { ...run.request, tools: { version: "1", tools: [{ ...TOOL, ...tool }] }, ...more };
    const calls = [{ id: "a", name: "big", arguments: {} }];
    const { isReusable, entries } = await runToolRound({ ...run, request }, { ...input, calls });
    return [isReusable, entries[0]?.slot.scope];
  };
  const own = { cache: { ...run.request.cache, userScope: true } };
  expect(await made({ private: true }, {})).toEqual([false, { userId: "u" }]);
  expect(await made({ private: true }, own)).toEqual([true, { userId: "u" }]);
  expect(await made({ private: true }, { firstTurn: false })).toEqual([true, { userId: "u" }]);
  expect(await made({ private: true, idempotent: false }, own)).toEqual([false, undefined]);
});

test("[F26] a turn that found Redis away does not ask it for tools' results, and runs them", async () => {
  const run = runWith("fresh");
  const deps = { ...run.deps, cache: { ...run.deps.cache, read: never } };
  const request = { ...run.request, tools: { version: "1", tools: [{ ...TOOL, cost: "metered" as const }] } };
  const calls = [{ id: "a", name: "big", arguments: {} }];
  const input = { content: "", calls, decisions: [], fromCache: false, usedBytes: 0, settled: undefined };
  const { round } = await runToolRound({ ...run, request, deps, since: undefined }, input);
  expect(round.results).toEqual([{ ok: true, content: "fresh" }]);
  expect(run.looked).toEqual([{ layer: "mcp", read: { verdict: "bypass", why: "away" } }]);
});

test("[MCP-8] calls that the cache answers are noted, and no tool is asked", async () => {
  const metered = { ...TOOL, name: "metered", cost: "metered" as const };
  const run = runWith("fresh");
  const noted: string[][] = [];
  const saves = { calls: 1, ms: 5, tokens: null };
  const kept = { verdict: "hit" as const, value: { ok: true as const, content: "kept" }, saves, ageSeconds: 1 };
  const cache = {
    ...run.deps.cache,
    read: async (slots: readonly unknown[]) => ({ reads: slots.map(() => kept), since: 1 }),
  };
  const deps = {
    ...run.deps,
    cache: cache as unknown as typeof run.deps.cache, // of the one layer that is asked
    tools: { list: never, call: never, noteHits: (names: string[]) => void noted.push(names) },
  };
  const request = { ...run.request, tools: { version: "1", tools: [metered] } };
  const calls = ["a", "b"].map((id) => ({ id, name: "metered", arguments: { id } }));
  const input = { content: "", calls, decisions: [], fromCache: false, usedBytes: 0, settled: undefined };
  const { round } = await runToolRound({ ...run, request, deps }, input);
  expect(round.results.map(({ content }) => content)).toEqual(["kept", "kept"]);
  expect(noted).toEqual([["metered", "metered"]]);
});
