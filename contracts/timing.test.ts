import { expect, test } from "vitest";
import { readServerTiming, StageClock, toServerTiming } from "./timing.ts";

test("[TIME-1] the stages add up to the whole, whatever runs within what", async () => {
  const clock = { ms: 100 };
  const pass = (ms: number) => void (clock.ms += ms);
  const stages = new StageClock(() => clock.ms, "cache");
  pass(3);
  stages.to("turn");
  pass(1);
  await stages.during("model", async () => pass(40));
  await stages.during("tools", async () => pass(7)).catch(() => undefined);
  await expect(stages.during("model", () => Promise.reject(new Error("broken")))).rejects.toThrow();
  pass(2);
  expect(stages.read()).toEqual({ cache: 3, turn: 3, model: 40, tools: 7 });
  expect(Object.values(stages.read()).reduce((sum, ms) => sum + ms, 0)).toBe(clock.ms - stages.startedAtMs);
});

test("[TIME-1] what the header says is read back; what is not of the form is passed by", () => {
  const header = toServerTiming({ cache: 3, model: 40 }, "absent");
  expect(header).toBe('cache;dur=3;desc="absent", model;dur=40');
  expect(readServerTiming(header)).toEqual({ cache: 3, model: 40 });
  expect(readServerTiming('x"y;dur=1, a;dur=2,;, b')).toEqual({ a: 2, b: 0 });
  expect(readServerTiming(null)).toEqual({});
});
