/** A small part of the cache's workload (bench/cache-workload.ts), with every answer checked: no wrong hit, and what the hits save. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { holdAll, tryPairs } from "../dev/house/cache-load.ts";
import { agentTrace, faqTrace, nearPairs, openChatTrace } from "../dev/house/cache-traces.ts";
import { seededRandom } from "../dev/house/random.ts";
import { type House, openHouse } from "./house.ts";

const SEED = 7;

let house: House;
beforeAll(async () => {
  house = await openHouse();
});
afterAll(() => house.close());

test("[P14] [S15] traces of questions, chats and tools: no false hit, and most calls of frequent questions are saved", async () => {
  const random = seededRandom(SEED);
  const saved: number[] = [];
  for (const { users, conversations } of [faqTrace(random, 100), openChatTrace(random, 12), agentTrace(random, 40)]) {
    const before = house.llm.stats().calls;
    const answers = await holdAll(house, users, conversations);
    expect(answers.filter(({ right }) => !right)).toEqual([]);
    saved.push(1 - (house.llm.stats().calls - before) / (2 * answers.length));
  }
  // Against two calls a turn.
  expect(saved[0]).toBeGreaterThanOrEqual(0.6);
}, 120_000);

test("[P14] [S15] pairs that look alike and mean different things: each first one is a hit, no second one is", async () => {
  const size = 2;
  const kinds = await tryPairs(house, nearPairs(seededRandom(SEED), size));
  expect(kinds.size).toBe(16);
  for (const [kind, figures] of kinds) expect([kind, figures]).toEqual([kind, { pairs: size, hits: size, wrong: 0 }]);
}, 60_000);
