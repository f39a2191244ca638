/** Titles from words and from a model's answer: one line, whole characters, at most 80 code units. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { cleanTitle, titleOf } from "./title.ts";

test("[TITLE-1] a short text is its own title, on one line and without control characters", () => {
  expect(titleOf("What is the sea?")).toBe("What is the sea?");
  expect(titleOf("  One\r\n\ttwo\u0000\u0007  three ")).toBe("One two three");
  expect(titleOf("a".repeat(80))).toBe("a".repeat(80));
  expect(titleOf("")).toBe("");
});

test("[TITLE-1] a long text is cut at a word's end, and where there is none between two characters", () => {
  const words = "Please tell me everything that you know about the history of the great lighthouse of Alexandria";
  expect(titleOf(words)).toBe("Please tell me everything that you know about the history of the great…");
  expect(titleOf("a".repeat(100))).toBe(`${"a".repeat(79)}…`);
  expect(titleOf(`${"海".repeat(60)} ${"山".repeat(60)}`)).toBe(`${"海".repeat(60)}…`);
  expect(titleOf(`Hi ${"b".repeat(200)}`)).toBe(`Hi ${"b".repeat(76)}…`);
  expect(titleOf(`${"a".repeat(79)} b`)).toBe(`${"a".repeat(79)}…`);
});

test("[TITLE-1] neither a surrogate pair nor what is seen as one character is cut", () => {
  const astronaut = "🧑‍🚀";
  expect(titleOf(astronaut.repeat(30))).toBe(`${astronaut.repeat(15)}…`);
  expect(titleOf("🇩🇪".repeat(40))).toBe(`${"🇩🇪".repeat(19)}…`);
  const accented = `e${"\u0301".repeat(3)}`;
  expect(titleOf(accented.repeat(40))).toBe(`${accented.repeat(19)}…`);
  expect(titleOf(`e${"\u0301".repeat(10_000)}`)).toBe("…");
  expect(titleOf(`a\ud800${"b".repeat(100)}`)).toBe(`a\ufffd${"b".repeat(77)}…`);
});

test("[TITLE-1] whatever is said, its title is well-formed, one line, and 80 code units at most", () => {
  const anything = fc.string({ unit: "binary", maxLength: 200 });
  fc.assert(
    fc.property(anything, (text) => {
      const title = titleOf(text);
      expect(title.isWellFormed()).toBe(true);
      expect(title.length).toBeLessThanOrEqual(80);
      expect(title).not.toMatch(/\p{Cc}/u);
      expect(title).toBe(title.trim());
    }),
  );
});

test("[TITLE-2] of a model's answer the title alone is taken", () => {
  expect(cleanTitle("The Sea")).toBe("The Sea");
  expect(cleanTitle('\n\n  "The Sea."\nIt is wide.')).toBe("The Sea");
  expect(cleanTitle("Title: **The Sea**")).toBe("The Sea");
  expect(cleanTitle("# Titles of books")).toBe("Titles of books");
  expect(cleanTitle("„Das Meer“")).toBe("Das Meer");
  expect(cleanTitle("海について")).toBe("海について");
  expect(cleanTitle(`A ${"very ".repeat(40)}long one`)?.length).toBeLessThanOrEqual(80);
  for (const none of ["", " \n ", '""', "***", "\u0000", "…"]) expect(cleanTitle(none)).toBeUndefined();
});
