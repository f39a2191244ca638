import { expect, test } from "vitest";
import { fail, ok } from "../../../contracts/errors.ts";
import { type BreakerState, withBreaker } from "./breaker.ts";
import type { RedisStore } from "./redis.ts";

/** A store that counts what reaches it. */
function fakeStore() {
  const seen = { reads: 0, scripts: 0, pings: 0, up: true, scriptsUp: true };
  const answer = <T>(up: boolean, value: T) => Promise.resolve(up ? ok(value) : fail("upstream_error", "away"));
  const store: RedisStore = {
    getMany: (keys) =>
      answer(
        ((seen.reads += 1), seen.up),
        keys.map(() => null),
      ),
    run: () => answer(((seen.scripts += 1), seen.up && seen.scriptsUp), 0),
    ping: () => answer(((seen.pings += 1), seen.up), undefined),
  };
  return { seen, store };
}

function setUp() {
  const { seen, store } = fakeStore();
  const clock = { ms: 0 };
  const state: BreakerState = { failures: 0, nextProbeMs: 0 };
  const open = () => withBreaker(store, { now: () => clock.ms, state });
  return { seen, clock, open };
}

test("[F26] two failed reads open the breaker: until Redis answers again, nothing but a ping a second reaches it", async () => {
  const { seen, clock, open } = setUp();
  seen.up = false;
  // Each turn has a store of its own; they share the isolate's state.
  for (let turn = 0; turn < 20; turn += 1) expect((await open().getMany(["k"])).ok).toBe(false);
  expect(seen).toMatchObject({ reads: 2, pings: 0 });
  for (clock.ms = 0; clock.ms < 5_000; clock.ms += 100) {
    await open().getMany(["k"]);
    await open().run("", []);
  }
  expect(seen).toMatchObject({ reads: 2, scripts: 0, pings: 4 });
});

test("[F26] the turn that finds Redis back is not the one that waits for it; the next one reads", async () => {
  const { seen, clock, open } = setUp();
  seen.up = false;
  for (let turn = 0; turn < 2; turn += 1) await open().getMany(["k"]);
  seen.up = true;
  clock.ms = 1_000;
  expect((await open().getMany(["k"])).ok).toBe(false);
  expect((await open().getMany(["k"])).ok).toBe(true);
  expect(seen).toMatchObject({ reads: 3, pings: 1 });
});

test("[F26] one failure between good reads opens nothing", async () => {
  const { seen, open } = setUp();
  for (let turn = 0; turn < 10; turn += 1) {
    seen.up = turn % 2 === 0;
    await open().getMany(["k"]);
  }
  expect(seen.reads).toBe(10);
});

test("[F28] scripts that a full Redis refuses do not stop reads", async () => {
  const { seen, open } = setUp();
  seen.scriptsUp = false;
  for (let turn = 0; turn < 5; turn += 1) await open().run("", []);
  expect((await open().getMany(["k"])).ok).toBe(true);
  expect(seen).toMatchObject({ scripts: 5, reads: 1 });
});
