/** The limits' arithmetic: what is let in, when, and what is counted in the end. */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Failure } from "../../../contracts/errors.ts";
import { add, type LimitSettings, LOST_AFTER_MS, nothingSpent, reserve, settle, takeLost, wait } from "./limits.ts";

const LIMITS: LimitSettings = { requestsPerMinute: 10, tokensPerMinute: 1_000, streams: 5 };
const T0 = Date.UTC(2026, 4, 10, 12);
const DAY_MS = 86_400_000;
const call = (id: string, tokens = 1, costUsd = 0) => ({ id, tokens, costUsd });

/** Lets in and settles at once. */
function spend(spent: ReturnType<typeof nothingSpent>, limits: LimitSettings, atMs: number, tokens = 1): boolean {
  const id = `${atMs} ${Math.random()}`;
  const verdict = reserve(spent, limits, call(id, tokens), atMs);
  if (verdict.ok) settle(spent, id, { tokens, costUsd: 0 });
  return verdict.ok;
}

test("[LIMIT-1] whenever requests come, no minute has more than are allowed, and one that is refused is no request", () => {
  const gaps = fc.array(fc.integer({ min: 0, max: 9_000 }), { minLength: 50, maxLength: 200 });
  fc.assert(
    fc.property(gaps, (gapsMs) => {
      const spent = nothingSpent();
      const letIn: number[] = [];
      let nowMs = T0;
      for (const gapMs of gapsMs) {
        nowMs += gapMs;
        const isLetIn = spend(spent, LIMITS, nowMs);
        if (isLetIn) letIn.push(nowMs);
        expect(letIn.filter((atMs) => nowMs - atMs < 60_000).length).toBeLessThanOrEqual(10);
        // Nobody waits longer than a minute and the second in which it began.
        expect(isLetIn || letIn.filter((atMs) => nowMs - atMs < 61_000).length >= 10).toBe(true);
      }
    }),
  );
});

test("[LIMIT-1] who is refused and waits as long as it is told is let in", () => {
  const spent = nothingSpent();
  for (let n = 0; n < 10; n += 1) expect(spend(spent, LIMITS, T0 + n * 500)).toBe(true);
  const refused = reserve(spent, LIMITS, call("one too many"), T0 + 5_000);
  expect(refused).toMatchObject({ ok: false, error: { code: "rate_limited", details: { limit: "requests" } } });
  if (refused.ok) return;
  expect(refused.error.limits?.requests).toEqual({ limit: 10, remaining: 0, resetMs: 60_000 });
  const waitedMs = T0 + 5_000 + (refused.error.retryAfterSeconds ?? 0) * 1_000;
  expect(spend(spent, LIMITS, waitedMs - 1_001)).toBe(false);
  expect(spend(spent, LIMITS, waitedMs)).toBe(true);
});

test("[LIMIT-2] tokens are counted as estimated while a call is open, and as they were once it is settled", () => {
  const spent = nothingSpent();
  expect(reserve(spent, LIMITS, call("a", 600), T0)).toMatchObject({ ok: true, value: { tokens: { remaining: 400 } } });
  expect(reserve(spent, LIMITS, call("b", 600), T0)).toMatchObject({
    ok: false,
    error: { details: { limit: "tokens" } },
  });
  settle(spent, "a", { tokens: 100, costUsd: 0 });
  expect(reserve(spent, LIMITS, call("b", 600), T0)).toMatchObject({ ok: true, value: { tokens: { remaining: 300 } } });
  settle(spent, "b", { tokens: 2_000, costUsd: 0 });
  expect(reserve(spent, LIMITS, call("c"), T0)).toMatchObject({
    ok: false,
    error: { limits: { tokens: { remaining: 0 } } },
  });
  // What is larger than the limit may begin when nothing else was asked.
  expect(reserve(nothingSpent(), LIMITS, call("d", 9_999), T0)).toMatchObject({ ok: true });
});

test("[LIMIT-3] so many are open at once; one that waits for a person is not among them", () => {
  const spent = nothingSpent();
  for (const id of "abcde") expect(reserve(spent, LIMITS, call(id), T0).ok).toBe(true);
  const refused = { ok: false, error: { code: "rate_limited", details: { limit: "streams" }, retryAfterSeconds: 1 } };
  expect(reserve(spent, LIMITS, call("f"), T0)).toMatchObject(refused);
  // The same request again is the same call.
  expect(reserve(spent, LIMITS, call("e"), T0).ok).toBe(true);
  wait(spent, "a", true, T0);
  expect(reserve(spent, LIMITS, call("f"), T0).ok).toBe(true);
  wait(spent, "a", false, T0);
  settle(spent, "b", { tokens: 1, costUsd: 0 });
  expect(reserve(spent, LIMITS, call("g"), T0)).toMatchObject(refused);
  settle(spent, "c", { tokens: 1, costUsd: 0 });
  expect(reserve(spent, LIMITS, call("g"), T0).ok).toBe(true);
});

test("[LIMIT-4] a day's budget is never overdrawn by what is estimated well, and is there again the next day", () => {
  const limits = { ...LIMITS, requestsPerMinute: 1e6, tokensPerMinute: 1e9, streams: 1e6 };
  for (const budget of [{ tokensPerDay: 1_000 }, { costPerDayUsd: 1 }]) {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({ estimate: fc.integer({ min: 1, max: 300 }), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
        ),
        (calls) => {
          const spent = nothingSpent();
          let used = 0;
          const refusals: Failure[] = [];
          for (const [at, { estimate, share }] of calls.entries()) {
            const amount = { tokens: estimate, costUsd: estimate / 1_000 };
            const verdict = reserve(spent, { ...limits, ...budget }, { id: String(at), ...amount }, T0);
            if (!verdict.ok) refusals.push(verdict.error);
            if (!verdict.ok) continue;
            const tokens = Math.floor(estimate * share);
            settle(spent, String(at), { tokens, costUsd: tokens / 1_000 });
            used += tokens;
          }
          expect(used).toBeLessThanOrEqual(1_000);
          for (const refusal of refusals) {
            expect(refusal).toMatchObject({ code: "budget_exceeded", retryAfterSeconds: 43_200 });
          }
          expect(spent.tokens).toBe(used);
          const tomorrow = reserve(spent, { ...limits, ...budget }, call("tomorrow", 300, 0.3), T0 + DAY_MS / 2);
          expect(tomorrow.ok).toBe(true);
        },
      ),
    );
  }
});

test("[LIMIT-4] a call larger than a minute's limit is paid for by the day as a whole, and the minute has its truth in the end", () => {
  const spent = nothingSpent();
  const limits = { ...LIMITS, tokensPerDay: 5_000 };
  const tooLarge = reserve(spent, limits, call("too large", 9_000), T0);
  expect(tooLarge).toMatchObject({
    ok: false,
    error: { code: "budget_exceeded", details: { limit: "tokens_per_day" } },
  });
  expect(reserve(spent, limits, call("large", 4_000), T0)).toMatchObject({ value: { tokens: { remaining: 0 } } });
  expect(spent.tokens).toBe(4_000);
  expect(reserve(spent, limits, call("next", 1_000), T0 + 61_000).ok).toBe(true);
  expect(reserve(spent, limits, call("over", 1), T0 + 122_000)).toMatchObject({ error: { code: "budget_exceeded" } });
  settle(spent, "next", { tokens: 0, costUsd: 0 });
  const quick = nothingSpent();
  reserve(quick, limits, call("large", 4_000), T0);
  settle(quick, "large", { tokens: 300, costUsd: 0 });
  expect(quick.tokens).toBe(300);
  expect(reserve(quick, limits, call("next", 100), T0)).toMatchObject({ value: { tokens: { remaining: 600 } } });
});

test("[LIMIT-4] what a call of yesterday turns out to cost is not today's, and a title's cost is", () => {
  const limits = { ...LIMITS, tokensPerDay: 500 };
  const spent = nothingSpent();
  reserve(spent, limits, call("late", 400), T0);
  reserve(spent, limits, call("early", 100), T0 + DAY_MS);
  settle(spent, "late", { tokens: 499, costUsd: 0 });
  expect(spent.tokens).toBe(100);
  add(spent, "title", { tokens: 50, costUsd: 0 }, T0 + DAY_MS);
  expect(spent.tokens).toBe(150);
});

test("[LIMIT-6] a call whose end is never told gives up its place, and stays as it was estimated", () => {
  const spent = nothingSpent();
  const limits = { ...LIMITS, streams: 1, tokensPerDay: 1_000 };
  reserve(spent, limits, call("lost", 400), T0);
  expect(takeLost(spent, T0 + LOST_AFTER_MS - 1)).toEqual([]);
  expect(takeLost(spent, T0 + LOST_AFTER_MS)).toMatchObject([{ id: "lost", tokens: 400 }]);
  expect(reserve(spent, limits, call("next", 500), T0 + LOST_AFTER_MS).ok).toBe(true);
  expect(settle(spent, "lost", { tokens: 1, costUsd: 0 })).toBe(false);
  expect(spent.tokens).toBe(900);
});

test("[LEDGER-14] what nobody had asked leave for is counted once, however often it is told within a minute", () => {
  const spent = nothingSpent();
  const amount = { tokens: 50, costUsd: 0.5 };
  for (const [id, atMs] of [
    ["title", T0],
    ["title", T0 + 59_000],
    ["another", T0 + 59_000],
    ["another", T0 + 59_000],
  ] as const) {
    add(spent, id, amount, atMs);
  }
  expect(spent).toMatchObject({ tokens: 100, costUsd: 1 });
  // It is not kept for ever.
  add(spent, "later", amount, T0 + 200_000);
  expect(spent.added).toHaveLength(1);
});
