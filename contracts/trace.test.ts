import fc from "fast-check";
import { expect, test } from "vitest";
import { continueTrace, isTraceparent, traceIdOf } from "./trace.ts";

const random = (length: number) => new Uint8Array(length).fill(0xab);
const TRACE = "0af7651916cd43dd8448eb211c80319c";
const GIVEN = `00-${TRACE}-b7ad6b7169203331-00`;

test("[LOG-5] a caller's trace goes on with a span of ours and its own flags", () => {
  expect(continueTrace(GIVEN, random)).toBe(`00-${TRACE}-${"ab".repeat(8)}-00`);
  expect(continueTrace(`cc-${TRACE}-b7ad6b7169203331-01-what-will-come`, random)).toBe(
    `00-${TRACE}-${"ab".repeat(8)}-01`,
  );
  expect(traceIdOf(GIVEN)).toBe(TRACE);
});

test.each([
  undefined,
  "",
  "nonsense",
  `ff-${TRACE}-b7ad6b7169203331-00`,
  `00-${"0".repeat(32)}-b7ad6b7169203331-00`,
  `00-${TRACE}-${"0".repeat(16)}-00`,
  `00-${TRACE.toUpperCase()}-b7ad6b7169203331-00`,
  `${GIVEN}-more`,
  ` ${GIVEN}`,
])("[LOG-5] whoever gives no trace gets one: %s", (given) => {
  expect(continueTrace(given, random)).toBe(`00-${"ab".repeat(16)}-${"ab".repeat(8)}-01`);
});

test("[LOG-5] whatever is given, what goes on is a traceparent", () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.stringMatching(/^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}/)),
      (given) => {
        expect(isTraceparent(continueTrace(given, random))).toBe(true);
      },
    ),
  );
});
