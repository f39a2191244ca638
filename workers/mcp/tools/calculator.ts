/**
 * Evaluates one arithmetic expression to a number or a truth value.
 * Pure. Refuses more than 500 characters, and whatever arithmetic.ts refuses.
 */
import * as z from "zod";
import { evaluateArithmetic } from "./arithmetic.ts";
import type { Tool } from "./tool.ts";

const Input = z.strictObject({
  expression: z.string().min(1).max(500).describe('For example "17*23", "sqrt(2) * 3^4" or "5 > 3".'),
});

export const calculator: Tool<typeof Input> = {
  name: "calculator",
  description:
    "Evaluates an arithmetic expression: + - * / % (modulo) ^ !, comparisons, and, or, not, pi, e, sqrt, root, ln, log, round, " +
    "floor, ceil, abs, min, max, gcd, lcm, sin, cos, tan and their like.",
  input: Input,
  annotations: { readOnly: true, idempotent: true, private: false, cost: "free" },
  run({ expression }) {
    const outcome = evaluateArithmetic(expression);
    if (!outcome.ok) return { ok: false, content: outcome.reason };
    return {
      ok: true,
      content: typeof outcome.value === "number" ? formatNumber(outcome.value) : String(outcome.value),
    };
  },
};

/** Whole numbers that a double holds exactly in full; all others to 15 digits, which hides rounding such as 0.1 + 0.2. */
function formatNumber(value: number): string {
  if (Number.isSafeInteger(value)) return String(value === 0 ? 0 : value);
  return Math.abs(value) < 1e15 ? String(Number(value.toPrecision(15))) : value.toExponential(14);
}
