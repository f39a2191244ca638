import { expect, test } from "vitest";
import { addBuckets, addTime, NO_TIMES, percentile } from "./histogram.ts";

const timesOf = (...times: number[]) => times.reduce(addTime, NO_TIMES);

test("[MCP-8] percentiles are exact to the width of their bucket", () => {
  const times = timesOf(...Array.from({ length: 95 }, () => 40), ...Array.from({ length: 5 }, () => 4_000));
  expect(percentile(times, 0.5)).toBeGreaterThan(20);
  expect(percentile(times, 0.5)).toBeLessThanOrEqual(50);
  expect(percentile(times, 0.95)).toBe(50);
  expect(percentile(times, 0.99)).toBeGreaterThan(2_000);
});

test("[MCP-8] no call has no percentile, and one beyond all bounds has the last", () => {
  expect(percentile(NO_TIMES, 0.5)).toBeNull();
  expect(percentile(timesOf(1e9), 0.5)).toBe(60_000);
  expect(percentile(timesOf(0), 0.95)).toBeLessThanOrEqual(1);
});

test("[MCP-8] rows can be added up in any order", () => {
  const [a, b] = [timesOf(1, 30, 700), timesOf(3, 3, 20_000)];
  expect(addBuckets(a, b)).toEqual(timesOf(3, 700, 1, 20_000, 3, 30));
});
