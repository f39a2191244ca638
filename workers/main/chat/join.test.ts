/** When a turn asks what, against fakes of the contracts: the order that cannot be seen from outside. */
import { expect, test } from "vitest";
import type { LlmAgent } from "../../../contracts/llm.ts";
import type { ToolServer } from "../../../contracts/tools.ts";
import { createCache } from "../cache/cache.ts";
import type { RedisStore } from "../cache/redis.ts";
import type { Flights } from "../flights/client.ts";
import type { Place } from "../flights/flight.ts";
import { createTurnRunner } from "./turn.ts";
import type { TurnRequest } from "./turn-request.ts";

const never = () => Promise.reject(new Error("not asked for"));
const TOOLS: ToolServer = { list: () => Promise.resolve(undefined), call: never };
const ID = "01a208da-e978-7048-8025-8d0d150d1078";
const REQUEST: Omit<TurnRequest, "askFirst"> = {
  ...{ turnId: ID, sessionId: ID, messageId: ID, userId: ID, requestId: "r", route: "chat", model: "demo" },
  ...{ modelType: "openai", temperature: undefined, maxTokens: undefined, responseFormat: undefined, tools: undefined },
  context: [{ role: "user", content: "Hello" }],
  firstTurn: true,
  cache: {
    ...{ read: true, write: true, onlyIfCached: false, userScope: false },
    ...{ ttlSeconds: undefined, maxAgeSeconds: undefined },
  },
};

/** What was asked, in order; the two questions are answered when the test says so. */
function setUp(sharesAnswers = true) {
  const asked: string[] = [];
  const keys: string[] = [];
  const values = Promise.withResolvers<(string | null)[]>();
  const place = Promise.withResolvers<Place>();
  const note = <T>(what: string, answer: T): T => (asked.push(what), answer);
  const redis: RedisStore = {
    getMany: () =>
      note(
        "cache",
        values.promise.then((value) => ({ ok: true, value }) as const),
      ),
    run: () => Promise.resolve({ ok: true, value: 0 }),
    ping: () => Promise.resolve({ ok: true, value: undefined }),
  };
  const flights: Flights = {
    announce: (key) => (keys.push(key), note("flight", place.promise)),
    confirm: () => Promise.resolve(),
    leave: () => Promise.resolve(),
    follow: () => note("leader", Promise.resolve(undefined)),
  };
  const llm: LlmAgent = {
    stream: () =>
      note("model", Promise.resolve({ ok: false, error: { code: "upstream_error", message: "enough" } } as const)),
    ...{ generate: never, embed: never, models: never, health: never, brokeOff: never },
  };
  const cache = createCache({ redis, ttlSeconds: { llm: 1, intent: 1, mcp: 1 }, now: () => 0, random: () => 0 });
  const runner = createTurnRunner({
    ...{
      llm,
      tools: TOOLS,
      cache,
      flights,
      policy: [],
      sharesAnswers,
      routesOf: () => undefined,
      placeTimeoutMs: 20,
      joinTimeoutMs: 20,
    },
    ...{
      cacheSalt: () => undefined,
      showAttachments: async (messages) => messages,
      streamTimeoutMs: 1_000,
      stallTimeoutMs: 1_000,
      log: () => {},
      now: () => 0,
      newCallId: () => "call",
    },
    saver: () => {
      throw new Error("nothing asks first");
    },
  });
  const emit = { last: 0, spent: () => undefined, append: () => {}, text: () => {}, save: () => {} };
  const begin = () => runner.begin(REQUEST).run(emit, { ask: never }, new AbortController().signal);
  return { asked, keys, begin, values, place, runner };
}

test("[F30] [P1] a turn asks who leads in the same moment as the cache, and waits for the two side by side", async () => {
  const { asked, begin, values, place } = setUp();
  const ended = begin();
  expect(asked).toEqual(["cache", "flight"]);
  place.resolve({ leads: true, recheck: false });
  values.resolve([null, null, null]);
  await ended;
  expect(asked).toEqual(["cache", "flight", "model"]);
});

test("[F30] a turn that is not told who leads makes its answer when the time is over", async () => {
  const { asked, begin, values } = setUp();
  values.resolve([null, null, null]);
  await begin();
  expect(asked).toEqual(["cache", "flight", "model"]);
});

test("[F30] a leader that does not lead is replaced, three at most; then each turn relies on itself", async () => {
  const { asked, begin, values, place } = setUp();
  values.resolve([null, null, null]);
  place.resolve({ leads: false, leader: { sessionId: "s", turnId: "t" } });
  await begin();
  expect(asked).toEqual(["cache", "flight", ...Array.from({ length: 3 }, () => ["leader", "flight"]).flat(), "model"]);
});

test("[F30] after a landing the cache is asked once more before the model", async () => {
  const { asked, begin, values, place } = setUp();
  values.resolve([null, null, null]);
  place.resolve({ leads: true, recheck: true });
  await begin();
  expect(asked).toEqual(["cache", "flight", "cache", "model"]);
});

test("[CACHE-5] [S15] a deployment that keeps answers to their users shares entries and answers that are made with nobody else", async () => {
  const { asked, keys, begin, values, place, runner } = setUp(false);
  expect(runner.slots(REQUEST).answer.scope).toEqual({ userId: ID });
  expect(setUp().runner.slots(REQUEST).answer.scope).toEqual({ shared: true });
  values.resolve([null, null, null]);
  place.resolve({ leads: true, recheck: false });
  await begin();
  expect(asked).toEqual(["cache", "flight", "model"]);
  expect(keys).toEqual([expect.stringContaining(`user:${ID}`)]);
});

test("[CACHE-5] [S15] what has a history, or is to be the user's, is the user's", () => {
  const { runner } = setUp();
  const scopeOf = (more: Partial<TurnRequest>) => runner.slots({ ...REQUEST, ...more }).answer.scope;
  expect(scopeOf({ firstTurn: false })).toEqual({ userId: ID });
  expect(scopeOf({ cache: { ...REQUEST.cache, userScope: true } })).toEqual({ userId: ID });
});
