import fc from "fast-check";
import { expect, test } from "vitest";
import { rank } from "./rendezvous.ts";

const node = (n: number, weight = 1) => ({ baseUrl: `https://gpu-${n}.example.com/v1`, weight });
const SESSIONS = Array.from({ length: 6_000 }, (_, at) => `01a208da-${at.toString(16).padStart(4, "0")}-7048-8025`);
const first = (nodes: ReturnType<typeof node>[], key: string) => rank(nodes, key)[0]?.baseUrl;

test("[FLEET-1] the order of a session's nodes is the same whatever order they are listed in", () => {
  const nodes = [1, 2, 3, 4, 5].map((n) => node(n));
  fc.assert(
    fc.property(fc.uuid(), fc.shuffledSubarray(nodes, { minLength: 5 }), (key, shuffled) => {
      expect(rank(shuffled, key)).toEqual(rank(nodes, key));
    }),
  );
});

test("[FLEET-1] a node that goes moves its own sessions, each to the node that was its second, and no others", () => {
  const nodes = [1, 2, 3].map((n) => node(n));
  for (const key of SESSIONS.slice(0, 500)) {
    const [own, second] = rank(nodes, key);
    const left = nodes.slice(1);
    expect(first(left, key)).toBe(own === nodes[0] ? second?.baseUrl : own?.baseUrl);
  }
});

test("[FLEET-1] sessions are spread by weight", () => {
  const nodes = [node(1), node(2), node(3, 2)];
  const share = (n: number) => SESSIONS.filter((key) => first(nodes, key) === node(n).baseUrl).length / SESSIONS.length;
  expect(share(1)).toBeCloseTo(0.25, 1);
  expect(share(2)).toBeCloseTo(0.25, 1);
  expect(share(3)).toBeCloseTo(0.5, 1);
});
