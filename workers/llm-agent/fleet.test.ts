import { beforeEach, expect, test } from "vitest";
import { Fleet, type NodeState } from "./fleet.ts";
import type { Endpoint } from "./provider.ts";

const endpoint = (n: number, more: Partial<Endpoint> = {}): Endpoint => ({
  ...{ id: `gpus/${n}`, provider: "gpus", baseUrl: `http://gpu-${n}/v1`, apiKey: undefined, headers: {} },
  ...{
    dialect: "openai-chat",
    isDraining: false,
    maxInFlight: Number.POSITIVE_INFINITY,
    maxCalls: Number.POSITIVE_INFINITY,
    weight: 1,
  },
  quirks: {
    max_tokens_field: "max_tokens",
    stream_usage: true,
    continuous_usage: false,
    cache_hint: "none",
    file_parts: false,
  },
  ...more,
});
const NODES = [1, 2, 3].map((n) => endpoint(n));
const [ONE = endpoint(1), TWO = endpoint(2)] = NODES;

let fleet: Fleet;
beforeEach(() => {
  fleet = new Fleet();
});

const pick = (state: NodeState, key?: string, nowMs = 0, nodes = NODES) =>
  fleet.pick(nodes, state, { key, nowMs, random: () => 0 });
const fail = (times: number, nowMs = 0) => {
  for (let at = 0; at < times; at += 1) fleet.failed(ONE, nowMs, 0.5);
};

test("[FLEET-1] a session stays on its node, and sessions are on all of them", () => {
  const nodes = new Set<Endpoint | undefined>();
  for (let session = 0; session < 50; session += 1) {
    const own = pick("ready", `session ${session}`);
    expect(pick("ready", `session ${session}`)).toBe(own);
    nodes.add(own);
  }
  expect(nodes.size).toBe(3);
});

test("[FLEET-2] a session leaves a node that has more than its share, and comes back to it", () => {
  const own = pick("ready", "session") ?? ONE;
  const releases = Array.from({ length: 4 }, () => fleet.take(own, 0));
  const second = pick("ready", "session");
  expect(second).not.toBe(own);
  releases[0]?.();
  expect(pick("ready", "session")).toBe(own);
  // When all have much to do, a node's share is more.
  for (const node of NODES) for (let at = 0; at < 8; at += 1) fleet.take(node, 0);
  expect(pick("ready", "session")).toBe(own);
});

test("[FLEET-2] a node at its limit, or that has said that it is busy, is taken only where no other is", () => {
  const full = endpoint(1, { maxInFlight: 1 });
  fleet.take(full, 0);
  expect(pick("ready", undefined, 0, [full])).toBeUndefined();
  expect(pick("busy", undefined, 0, [full])).toBe(full);
  fleet.busyUntil(TWO, 1_000);
  expect(pick("ready", undefined, 999, [TWO])).toBeUndefined();
  expect(pick("ready", undefined, 1_000, [TWO])).toBe(TWO);
});

test("[FLEET-2] a call without a session goes where the least is in flight for its weight", () => {
  const heavy = endpoint(2, { weight: 4 });
  fleet.take(ONE, 0);
  fleet.take(heavy, 0);
  fleet.take(heavy, 0);
  expect(pick("ready", undefined, 0, [ONE, heavy])).toBe(heavy);
});

test("[FLEET-3] three faults open a node's breaker, one trial decides, and a failed trial opens it for longer", () => {
  fail(2);
  expect(pick("ready", undefined, 0, [ONE])).toBe(ONE);
  fail(1);
  expect(fleet.view(ONE, 4_999).breaker).toBe("open");
  expect(pick("ill", undefined, 4_999, [ONE])).toBe(ONE);
  expect(fleet.view(ONE, 5_000).breaker).toBe("half_open");
  expect(pick("ready", undefined, 5_000, [ONE])).toBe(ONE);
  fleet.take(ONE, 5_000);
  expect(pick("ready", undefined, 5_001, [ONE])).toBeUndefined();
  fail(1, 6_000);
  expect(fleet.view(ONE, 15_999).breaker).toBe("open");
  fleet.take(ONE, 16_000);
  fleet.began(ONE);
  expect(fleet.view(ONE, 16_000).breaker).toBe("closed");
  expect(pick("ready", undefined, 16_000, [ONE])).toBe(ONE);
});

test("[FLEET-3] a node that begins well each time and breaks off each time is found out", () => {
  for (let at = 0; at < 3; at += 1) {
    fleet.began(ONE);
    fleet.brokeOff(ONE, 0, 0.5);
  }
  expect(fleet.view(ONE, 0).breaker).toBe("open");
});

test("[FLEET-3] a breaker is open for a minute and a quarter at most", () => {
  fail(30);
  expect(fleet.view(ONE, 74_999).breaker).toBe("half_open");
  fleet.failed(ONE, 0, 0.999);
  expect(fleet.view(ONE, 74_999).breaker).toBe("half_open");
});

test("[FLEET-4] a call counts until it is released, once, or for fifteen minutes", () => {
  const release = fleet.take(ONE, 0);
  fleet.take(ONE, 1_000);
  expect(fleet.view(ONE, 1_000).inFlight).toBe(2);
  release();
  release();
  expect(fleet.view(ONE, 1_000).inFlight).toBe(1);
  expect(fleet.view(ONE, 15 * 60_000 + 1_000).inFlight).toBe(0);
});

test("[FLEET-5] a provider's retries at one node are rationed, one for ten calls", () => {
  const left = () => Array.from({ length: 20 }, () => fleet.mayRetry(ONE)).filter(Boolean).length;
  expect(left()).toBe(10);
  for (let at = 0; at < 25; at += 1) fleet.take(ONE, 0)();
  expect(left()).toBe(2);
});
