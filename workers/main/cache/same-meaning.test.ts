/** What passes for another wording of the same question, and what never does. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { meansTheSame, wordsOf } from "./same-meaning.ts";

describe("[SEM-2] another wording", () => {
  test.each([
    ["How do I reset my password?", "how can i reset my password"],
    ["How do I reset my password?", "What is the way to reset my password?"],
    ["How do I reset my password?", "I want to reset my password. What must I do?"],
    ["How do I reset my password?", "i'd like to reset my password, how?"],
    ["How to reset my password", "Please tell me how to reset my password, thanks!"],
    ["How do I reset my password?", "Hello, can you tell me how I can reset my password please?"],
    ["What’s the way to export an invoice", "what is the way to export the invoice?"],
    ["Who made the Eiffel tower?", "who made Eiffel tower"],
    ["Can't I pay with 1,000 euros?", "cannot I pay with 1000 euros"],
    ["Is two enough?", "is 2 enough"],
  ])("%s — %s", (one, other) => {
    expect(meansTheSame(one, other)).toBe(true);
    expect(meansTheSame(other, one)).toBe(true);
  });
});

describe("[SEM-2] not the same", () => {
  test.each([
    // numbers, units, versions
    ["Is 2001 a good year?", "Is 2002 a good year?"],
    ["Is 2001 a good year?", "Is 20010 a good year?"],
    ["Is 1.5 enough?", "Is 15 enough?"],
    ["Is -5 enough?", "Is 5 enough?"],
    ["How many km to Rome?", "How many m to Rome?"],
    ["what is 108*7?", "what is 108*8?"],
    ["what is 108*7?", "what is 108+7?"],
    ["Is one enough?", "Is two enough?"],
    ["How much is 5 $?", "How much is 5 €?"],
    // negations, with and without a word of their own
    ["Should I sell?", "Should I not sell?"],
    ["Can I pay with a card?", "Can't I pay with a card?"],
    ["How do I pay with a card?", "How do I pay without a card?"],
    ["How do I stop?", "How do I never stop?"],
    ["How do I enable it?", "How do I disable it?"],
    ["What is !x?", "What is x?"],
    // names, in any letter case
    ["Who made Mona of bread?", "Who made Mob of bread?"],
    ["what is the capital of austria", "what is the capital of australia"],
    ["Is US trade known?", "Is us trade known?"],
    ["Who is in The Who?", "Who is in the who?"],
    ["Is C++ good?", "Is C good?"],
    ["Is vitamin A good?", "Is vitamin good?"],
    // direction and order
    ["How do I convert euros to dollars?", "How do I convert dollars to euros?"],
    ["Does Ann love Bob?", "Does Bob love Ann?"],
    // what is asked for, and of whom
    ["How do I reset my password?", "Reset my password"],
    ["How do I reset my password?", "How do I reset your password?"],
    ["How do I delete a photo?", "What do I delete a photo?"],
    ["When was it made?", "Where was it made?"],
    ["Should I sell?", "Must I sell?"],
    ["I want to sell. What must I do?", "I want to sell. What may happen?"],
    ["How do I print?", "How do I print slowly?"],
    ["", ""],
    ["?", "!"],
    ["please", "the"],
  ])("%s — %s", (one, other) => {
    expect(meansTheSame(one, other)).toBe(false);
    expect(meansTheSame(other, one)).toBe(false);
  });
});

describe("[SEM-2] of any text", () => {
  const word = fc.string({ unit: "grapheme", minLength: 1, maxLength: 8 });
  const lowerWord = fc.stringMatching(/^[b-z][a-z]{3,7}$/).filter((one) => wordsOf(`q ${one} q`).length === 3);

  test("a question means what it means, whatever the white space around it", () => {
    fc.assert(
      fc.property(fc.array(lowerWord, { minLength: 1, maxLength: 8 }), (words) => {
        expect(meansTheSame(words.join(" "), ` ${words.join("  ")}\n`)).toBe(true);
        expect(meansTheSame(`How do I ${words.join(" ")}?`, `how can i ${words.join(" ")}`)).toBe(true);
      }),
    );
  });

  test("one word more, less, or another is another question", () => {
    fc.assert(
      fc.property(fc.array(lowerWord, { minLength: 2, maxLength: 8 }), fc.nat(), lowerWord, (words, at, other) => {
        const place = at % words.length;
        fc.pre(words[place] !== other);
        const ask = (asked: string[]) => `How do I ${asked.join(" ")}?`;
        expect(meansTheSame(ask(words), ask(words.with(place, other)))).toBe(false);
        expect(meansTheSame(ask(words), ask(words.toSpliced(place, 1)))).toBe(false);
        expect(meansTheSame(ask(words), ask(words.toSpliced(place, 0, other)))).toBe(false);
      }),
    );
  });

  test("two numbers are two numbers, wherever they stand", () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), word, (one, other, around) => {
        fc.pre(one !== other);
        expect(meansTheSame(`${around} x${one} ${one}`, `${around} x${one} ${other}`)).toBe(false);
      }),
    );
  });

  test("it takes no text long", () => {
    for (const text of [
      " ".repeat(1_000),
      "a ".repeat(500),
      "please ".repeat(140),
      "I want to ".repeat(100),
      "?".repeat(1_000),
    ]) {
      expect(meansTheSame(text, `${text}x`)).toBe(false);
    }
  });
});
