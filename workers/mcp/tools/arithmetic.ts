/**
 * Arithmetic on numbers and truth values: one pass that reads and computes at once (precedence climbing). Pure.
 * Knows only the operators and names listed here, so there is nothing to escape to: no assignments, functions of its
 * own, strings, lists or properties. Each token costs constant time. Refuses results that are no finite number.
 */
import { CONSTANTS, factorial, FUNCTIONS, mod } from "./math-names.ts";

type Value = number | boolean;
type Arithmetic = { ok: true; value: Value } | { ok: false; reason: string };

/** The value of an expression, or why there is none in words fit for the caller. */
export function evaluateArithmetic(expression: string): Arithmetic {
  try {
    const state: State = { tokens: tokenize(expression), at: 0, depth: 0 };
    const value = readExpression(state, 0);
    if (state.at < state.tokens.length) throw new Refusal(`Cannot read on at "${state.tokens[state.at]}".`);
    if (typeof value === "number" && !Number.isFinite(value)) throw new Refusal("The result is not a finite number.");
    return { ok: true, value };
  } catch (error) {
    if (error instanceof Refusal) return { ok: false, reason: error.message };
    throw error;
  }
}

/** Unwinds the recursion; its message is for the caller. */
class Refusal extends Error {}

interface State {
  tokens: string[];
  at: number;
  depth: number;
}

const MAX_DEPTH = 64;
const TOKEN = /\s*(\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?|[a-z][a-z0-9]*|\*\*|[<>=!]=|[-+*/%^!<>(),])/y;
/** Signs that people and models write for the same operators. */
const ALIASES = new Map(Object.entries({ "**": "^", "×": "*", "·": "*", "÷": "/", "−": "-" }));

function tokenize(expression: string): string[] {
  const text = expression
    .toLowerCase()
    .replace(/[×·÷−]/g, (sign) => ALIASES.get(sign) ?? sign)
    .trimEnd();
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const token = TOKEN.exec(text)?.[1];
    if (token === undefined) throw new Refusal("The expression holds something that is not arithmetic.");
    tokens.push(ALIASES.get(token) ?? token);
  }
  return tokens;
}

interface Infix {
  power: number;
  rightAssociative?: true;
  apply: (left: Value, right: Value) => Value;
}

const onNumbers = (compute: (left: number, right: number) => Value) => (left: Value, right: Value) =>
  compute(asNumber(left), asNumber(right));

const onTruths = (compute: (left: boolean, right: boolean) => Value) => (left: Value, right: Value) =>
  compute(asTruth(left), asTruth(right));

const NEGATION = 3;
const COMPARISON = 4;
const SIGN = 7;
const INFIX = new Map<string, Infix>([
  ["or", { power: 1, apply: onTruths((a, b) => a || b) }],
  ["and", { power: 2, apply: onTruths((a, b) => a && b) }],
  ["==", { power: COMPARISON, apply: (a, b) => a === b }],
  ["!=", { power: COMPARISON, apply: (a, b) => a !== b }],
  ["<", { power: COMPARISON, apply: onNumbers((a, b) => a < b) }],
  [">", { power: COMPARISON, apply: onNumbers((a, b) => a > b) }],
  ["<=", { power: COMPARISON, apply: onNumbers((a, b) => a <= b) }],
  [">=", { power: COMPARISON, apply: onNumbers((a, b) => a >= b) }],
  ["+", { power: 5, apply: onNumbers((a, b) => a + b) }],
  ["-", { power: 5, apply: onNumbers((a, b) => a - b) }],
  ["*", { power: 6, apply: onNumbers((a, b) => a * b) }],
  ["/", { power: 6, apply: onNumbers((a, b) => a / b) }],
  ["%", { power: 6, apply: onNumbers(mod) }],
  ["mod", { power: 6, apply: onNumbers(mod) }],
  ["^", { power: 8, rightAssociative: true, apply: onNumbers((a, b) => a ** b) }],
]);

/** Reads operands and the operators between them, as long as these bind at least as tightly as `minPower`. */
function readExpression(state: State, minPower: number): Value {
  if (++state.depth > MAX_DEPTH) throw new Refusal("The expression is nested too deeply.");
  let left = readOperand(state);
  for (;;) {
    const operator = state.tokens[state.at] ?? "";
    if (operator === "!") {
      state.at++;
      left = factorial(asNumber(left));
      continue;
    }
    const infix = INFIX.get(operator);
    if (infix === undefined || infix.power < minPower) break;
    state.at++;
    left = infix.apply(left, readExpression(state, infix.rightAssociative ? infix.power : infix.power + 1));
  }
  state.depth--;
  return left;
}

function readOperand(state: State): Value {
  const token = state.tokens[state.at++];
  if (token === undefined) throw new Refusal("The expression ends too early.");
  if (/^[\d.]/.test(token)) return Number(token);
  if (token === "-") return -asNumber(readExpression(state, SIGN));
  if (token === "+") return asNumber(readExpression(state, SIGN));
  if (token === "not") return !asTruth(readExpression(state, NEGATION));
  if (token === "(") {
    const value = readExpression(state, 0);
    expect(state, ")");
    return value;
  }
  return CONSTANTS.get(token) ?? callFunction(token, state);
}

function callFunction(name: string, state: State): Value {
  const known = FUNCTIONS.get(name);
  if (known === undefined) throw new Refusal(`"${name}" is not known here.`);
  const args: number[] = [];
  for (expect(state, "("); args.length === 0 || state.tokens[state.at] === ",";) {
    if (args.length > 0) state.at++;
    args.push(asNumber(readExpression(state, 0)));
  }
  expect(state, ")");
  if (args.length < known.min || args.length > known.max)
    throw new Refusal(`"${name}" takes another number of arguments.`);
  return known.apply(...args);
}

function expect(state: State, token: string): void {
  if (state.tokens[state.at] !== token) throw new Refusal(`A "${token}" is missing.`);
  state.at++;
}

function asNumber(value: Value): number {
  if (typeof value !== "number") throw new Refusal("A number is needed where there is true or false.");
  return value;
}

function asTruth(value: Value): boolean {
  if (typeof value !== "boolean") throw new Refusal("True or false is needed where there is a number.");
  return value;
}
