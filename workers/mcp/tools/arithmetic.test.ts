import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { evaluateArithmetic } from "./arithmetic.ts";

const valueOf = (expression: string) => {
  const outcome = evaluateArithmetic(expression);
  return outcome.ok ? outcome.value : outcome.reason;
};

interface Sample {
  text: string;
  value: number;
}

/** Expressions in full brackets, beside the values that JavaScript gives them. */
const sample: fc.Arbitrary<Sample> = fc.letrec<{ any: Sample }>((tie) => ({
  any: fc.oneof(
    { maxDepth: 6 },
    fc.nat(1_000).map((value) => ({ text: String(value), value })),
    fc
      .tuple(tie("any"), fc.constantFrom("+", "-", "*", "/", "^"), tie("any"))
      .map(([a, sign, b]) => ({ text: `(${a.text}) ${sign} (${b.text})`, value: compute(a.value, sign, b.value) })),
    tie("any").map((a) => ({ text: `-(${a.text})`, value: -a.value })),
  ),
})).any;

function compute(a: number, sign: string, b: number): number {
  if (sign === "+") return a + b;
  if (sign === "-") return a - b;
  if (sign === "*") return a * b;
  return sign === "/" ? a / b : a ** b;
}

describe("arithmetic", () => {
  it.each([
    ["17*23", 391],
    ["2+3*4", 14],
    ["-2^2", -4],
    ["2^-1", 0.5],
    ["2^3^2", 512],
    ["2^-1^2", 0.5],
    ["-3!^2", -36],
    ["2*-3", -6],
    ["2 - -+3", 5],
    ["2**10", 1024],
    ["3×4÷2−1", 5],
    ["-5!", -120],
    ["-7 % 3", 2],
    ["7 mod 4", 3],
    ["1.5e3 + .5", 1500.5],
    ["sqrt(16) + MAX(1, 2, 3)", 7],
    ["round(1.005, 2)", 1.01],
    ["round(-2.5)", -3],
    ["log(8, 2)", 3],
    ["root(-27, 3)", -3],
    ["lcm(4, 6) + gcd(12, 18)", 18],
    ["2 * pi == tau", true],
    ["1 < 2 and not 3 <= 2", true],
    ["5 != 5 or false", false],
    ["not -1 < 0 or 2^3 > 3!", true],
    ["1+".repeat(249) + "1", 250],
  ])("computes %s", (expression, value) => expect(valueOf(expression)).toBe(value));

  it("agrees with JavaScript on any expression, or has no finite value", () => {
    fc.assert(
      fc.property(sample, ({ text, value }) => {
        const outcome = evaluateArithmetic(text);
        expect(outcome).toEqual(
          Number.isFinite(value) ? { ok: true, value } : { ok: false, reason: "The result is not a finite number." },
        );
      }),
      { numRuns: 2_000 },
    );
  });

  it("answers any text with a finite number, a truth value or a reason", () => {
    const alphabet = fc.constantFrom(
      ...Array.from("0123456789.+-*/%^!<>=(), eE"),
      "sqrt(",
      "max(",
      "__proto__",
      "constructor",
      '"',
      "[",
      ";",
    );
    fc.assert(
      fc.property(fc.string({ unit: alphabet, maxLength: 500 }), (text) => {
        const outcome = evaluateArithmetic(text);
        expect(
          outcome.ok ? typeof outcome.value === "boolean" || Number.isFinite(outcome.value) : outcome.reason,
        ).toBeTruthy();
      }),
      { numRuns: 5_000 },
    );
  });

  it.each([
    "a = 1",
    "f(x) = x",
    "[1, 2]",
    '"text"',
    "{a: 1}",
    "cos.constructor",
    "import(1)",
    "1; 2",
    "`1`",
    "this",
    "null",
    "1 ? 2 : 3",
    "_",
    "_ + 3",
    "(1)(2)",
  ])("refuses %s", (expression) => expect(evaluateArithmetic(expression).ok).toBe(false));

  it.each(["constructor", "toString", "__proto__", "hasOwnProperty"])("knows no %s", (name) => {
    const reason = `"${name.toLowerCase()}" is not known here.`;
    expect([valueOf(name), valueOf(`${name}(1)`)]).toEqual([reason, reason]);
  });

  it.each(["max(1 000)", "1(2)", ",5", "1,", "(1,)", "max(1,,2)", "1,+"])(
    "says why it does not guess at %j",
    (expression) => expect(valueOf(expression)).toMatch(/^(?:Cannot read on at|A comma stands).*\.$/),
  );

  it.each(["", "1 +", "(1", "1)", "2 pi", "1,2", "max()", "pow(1)", "sqrt 4", "1 < 2 < 3", "1 + true", "not 1"])(
    "says why it cannot read %j",
    (expression) => expect(valueOf(expression)).toMatch(/^[A-Z"].*\.$/),
  );

  it.each(["9^9^9^9", "1/0", "sqrt(-1)", "171!", "factorial(1e9)", "(1/0) - (1/0)", "1e999"])(
    "%s is not a finite number",
    (expression) => expect(valueOf(expression)).toBe("The result is not a finite number."),
  );

  it.each(["(".repeat(250), "-".repeat(499) + "1", "2^".repeat(249) + "1", "sin(".repeat(125), "not ".repeat(124)])(
    "refuses deep nesting without exhausting the stack: %#",
    (expression) => expect(evaluateArithmetic(expression).ok).toBe(false),
  );
});
