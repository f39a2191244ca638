import { expect, test } from "vitest";
import { withCacheControl } from "./cache-control.ts";

test.each([
  [null, undefined],
  ["", undefined],
  ["no-transform, min-fresh=5", undefined],
  ["no-cache", { mode: "no-cache" }],
  ["No-Store", { mode: "no-store" }],
  ["no-cache, no-store, must-revalidate", { mode: "no-store" }],
  ["only-if-cached", { mode: "only-if-cached" }],
  ["max-age=60", { mode: "default", max_age_seconds: 60 }],
  ['max-age="60"', { mode: "default", max_age_seconds: 60 }],
  ["no-cache, max-age=0", { mode: "no-cache", max_age_seconds: 0 }],
  ["max-age=soon", { mode: "default", max_age_seconds: 0 }],
  ["max-age", { mode: "default", max_age_seconds: 0 }],
  // Neither read nor made: never an answer.
  ["only-if-cached, no-cache", { mode: "only-if-cached", max_age_seconds: 0 }],
])("[CACHE-5] Cache-Control: %s", (header, expected) => {
  expect(withCacheControl(undefined, header)).toEqual(expected);
});

test("[CACHE-5] what either the header or the body forbids is forbidden, and the rest of the body stays", () => {
  const body = { mode: "default", scope: "user", ttl_seconds: 5, max_age_seconds: 30 } as const;
  expect(withCacheControl(body, null)).toEqual(body);
  expect(withCacheControl(body, "no-store")).toEqual({ ...body, mode: "no-store" });
  expect(withCacheControl(body, "max-age=60")).toEqual(body);
  expect(withCacheControl(body, "max-age=10")).toEqual({ ...body, max_age_seconds: 10 });
  expect(withCacheControl({ mode: "no-store" }, "no-cache")).toEqual({ mode: "no-store" });
  expect(withCacheControl({ mode: "no-store" }, "only-if-cached")).toMatchObject({ max_age_seconds: 0 });
});
