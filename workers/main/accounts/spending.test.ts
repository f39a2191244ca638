/** What becomes of the limits when the store that keeps them fails, and of a call whose end is never told. */
import { expect, test } from "vitest";
import { ok } from "../../../contracts/errors.ts";
import { LOST_AFTER_MS } from "./limits.ts";
import { Spending } from "./spending.ts";

const deps = {
  limits: { requestsPerMinute: 2, tokensPerMinute: 1_000, streams: 5 },
  prices: {},
  ledger: { save: () => Promise.resolve(ok(undefined)) },
  now: () => 1_000,
};
const asked = { id: "a", model: "m", promptTokens: 1, answerTokens: 1 };

test("[F42] a store that cannot be read lets no call begin, and is asked again for the next one", async () => {
  let isLost = true;
  const storage = {
    get: () => (isLost ? Promise.reject(new Error("lost")) : Promise.resolve(undefined)),
    put: () => Promise.resolve(),
  } as unknown as DurableObjectStorage; // what is used of it
  const spending = new Spending(storage, deps);
  const refused = { ok: false, error: { code: "overloaded", retryAfterSeconds: 2 } };
  expect(await spending.reserve("user", asked)).toMatchObject(refused);
  expect(await spending.reserve("user", asked)).toMatchObject(refused);
  isLost = false;
  expect(await spending.reserve("user", asked)).toMatchObject({ ok: true, value: { requests: { remaining: 1 } } });
});

test.each(["direct", "embedding"] as const)("[LEDGER-2] one of kind %s is written down as that", async (kind) => {
  const owed: unknown[] = [];
  let nowMs = 1_000;
  const storage = {
    ...{ get: () => Promise.resolve(undefined), put: () => Promise.resolve() },
    ...{ getAlarm: () => Promise.resolve(null), setAlarm: () => Promise.resolve() },
    sql: {
      exec: (query: string, _: string, record: string) =>
        void (query.startsWith("INSERT") && owed.push(JSON.parse(record))),
    },
  } as unknown as DurableObjectStorage; // what is used of it
  const spending = new Spending(storage, { ...deps, now: () => nowMs });
  await spending.reserve("user", { ...asked, aloneAs: kind });
  nowMs += LOST_AFTER_MS;
  await spending.reserve("user", { ...asked, id: "b" });
  expect(owed).toMatchObject([{ id: "a", kind, promptTokens: 1, completionTokens: 1, isEstimated: true }]);
});
