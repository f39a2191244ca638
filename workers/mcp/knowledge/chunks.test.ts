import fc from "fast-check";
import { expect, test } from "vitest";
import { toChunks } from "./chunks.ts";

const withoutSpace = (text: string) => text.replaceAll(/\s+/g, "");

test("[MCP-15] a document is cut between paragraphs where it can be", () => {
  const [one, two] = ["a".repeat(700), "b".repeat(700)];
  expect(toChunks(`${one}\n\n${two}\n`)).toEqual([one, two]);
  expect(toChunks("short")).toEqual(["short"]);
  expect(toChunks(" \n ")).toEqual([]);
});

test("[MCP-15] nothing of any text is lost, no piece is empty, and none is long", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 8_000, size: "max" }), (text) => {
      const chunks = toChunks(text.toWellFormed());
      expect(withoutSpace(chunks.join(""))).toBe(withoutSpace(text.toWellFormed()));
      for (const chunk of chunks) {
        expect(chunk.trim()).not.toBe("");
        expect(chunk.length).toBeLessThanOrEqual(1_200);
        expect(chunk.isWellFormed()).toBe(true);
      }
    }),
    { numRuns: 50 },
  );
});
