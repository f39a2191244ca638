import { expect, test } from "vitest";
import { readRetryAfter, refuseResponse } from "./refusal.ts";

const nowMs = Date.UTC(2026, 10, 23, 12);
const refusal = (status: number, more: object = {}) =>
  refuseResponse({ status, json: true, code: undefined, retryAfter: null, ...more }, nowMs);

test.each([
  ["2", 2],
  ["0.5", 1],
  ["120", 120],
  ["999999", 3_600],
  ["Infinity", 3_600],
  [new Date(nowMs + 1_500).toUTCString(), 1],
  [new Date(nowMs - 60_000).toUTCString(), 0],
  ["-1", undefined],
  ["soon", undefined],
  ["", undefined],
  [null, undefined],
])("[F6] retry-after %s is %s seconds", (header, seconds) => {
  expect(readRetryAfter(header, nowMs)).toBe(seconds);
});

test.each([
  [429, { retryAfter: "2" }, "rate_limited", "rate"],
  [429, { retryAfter: "120" }, "rate_limited", undefined],
  [429, { retryAfter: "-1" }, "rate_limited", undefined],
  [500, {}, "upstream_error", "fault"],
  [530, { json: false }, "upstream_error", "fault"],
  [408, {}, "upstream_error", "fault"],
  [401, {}, "upstream_auth", undefined],
  [403, { json: false }, "upstream_auth", undefined],
  [302, { json: false }, "upstream_auth", undefined],
  [404, {}, "model_not_found", undefined],
  [404, { json: false }, "upstream_error", undefined],
  [400, { code: "context_length_exceeded" }, "context_length_exceeded", undefined],
  [400, {}, "invalid_request", undefined],
  [422, {}, "invalid_request", undefined],
  [413, { json: false }, "payload_too_large", undefined],
  [418, {}, "upstream_error", undefined],
])("status %i %j is %s, retried as %s", (status, more, code, kind) => {
  const { error, retry } = refusal(status, more);
  expect([error.code, retry?.kind]).toEqual([code, kind]);
});
