import * as fc from "fast-check";
import { expect, test } from "vitest";
import { createEventDecoder, encodeEvent } from "./events.ts";

test("[S28] whatever the text, decoding gives back what was encoded, however it was cut", () => {
  const text = fc
    .string({ unit: "binary" })
    .map((value) => `${value}\u2028\u2029\r\n\n: x\nid: 9\nevent: done\ndata: {}\n\n`);
  fc.assert(
    fc.property(fc.array(text, { maxLength: 5 }), fc.nat(), (contents, cut) => {
      const events = contents.map((content) => ({ event: "delta" as const, data: { content } }));
      const frames = events.map((event, at) => encodeEvent(at + 1, event)).join("");
      const decoder = createEventDecoder();
      const at = frames.length === 0 ? 0 : cut % frames.length;
      const decoded = [...decoder.push(frames.slice(0, at)), ...decoder.push(frames.slice(at))];
      expect(decoded).toEqual(events.map((event, index) => ({ id: index + 1, ...event })));
    }),
    { numRuns: 10_000 },
  );
});
