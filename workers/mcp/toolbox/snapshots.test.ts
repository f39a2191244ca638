import { expect, test } from "vitest";
import { createSnapshots } from "./snapshots.ts";

function setUp() {
  const clock = { ms: 1_000_000 };
  const state = { revision: 1, isAway: false, isHanging: false, asked: 0 };
  const ask = async () => {
    state.asked += 1;
    if (state.isAway) throw new Error("away");
    if (state.isHanging) return new Promise<never>(() => undefined);
    return { revision: state.revision, disabled: [], servers: [] };
  };
  return { clock, state, snapshots: createSnapshots({ ask, now: () => clock.ms, kept: { atMs: 0 }, timeLimitMs: 5 }) };
}

test("[MCP-7] what is known is believed for two seconds, and then asked for anew", async () => {
  const { clock, state, snapshots } = setUp();
  expect(snapshots.fresh()).toBeUndefined();
  await snapshots.fetch();
  clock.ms += 1_999;
  expect(snapshots.fresh()).toMatchObject({ revision: 1 });
  clock.ms += 1;
  expect(snapshots.fresh()).toBeUndefined();
  state.revision = 2;
  expect(await snapshots.fetch()).toMatchObject({ revision: 2 });
  expect(state.asked).toBe(2);
});

test("[MCP-7] what was known last counts for a minute while the toolbox is away, and then nothing does", async () => {
  const { clock, state, snapshots } = setUp();
  await snapshots.fetch();
  state.isAway = true;
  clock.ms += 59_999;
  expect(await snapshots.fetch()).toMatchObject({ revision: 1 });
  clock.ms += 1;
  expect(await snapshots.fetch()).toBeUndefined();
});

test("[MCP-7] an answer that was overtaken does not undo a newer one", async () => {
  const { snapshots } = setUp();
  snapshots.put({ revision: 5, disabled: ["echo"], servers: [] });
  expect(await snapshots.fetch()).toMatchObject({ revision: 5, disabled: ["echo"], servers: [] });
});

test("[MCP-7] a toolbox that hangs is as one that is away", async () => {
  const { clock, state, snapshots } = setUp();
  state.isHanging = true;
  expect(await snapshots.fetch()).toBeUndefined();
  state.isHanging = false;
  await snapshots.fetch();
  state.isHanging = true;
  clock.ms += 59_999;
  expect(await snapshots.fetch()).toMatchObject({ revision: 1 });
});
