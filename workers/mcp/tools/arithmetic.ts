/**
 * Arithmetic on numbers and truth values: jsep reads an expression into a tree, and a walk over the tree computes it.
 * Its one state is jsep's configuration, which is the program's: no other file imports jsep.
 * Refuses nodes and names that are not listed here, deep nesting, and results that are no finite number.
 */
import jsep from "jsep";
import { CONSTANTS, factorial, FUNCTIONS, mod } from "./math-names.ts";

type Value = number | boolean;
type Arithmetic = { ok: true; value: Value } | { ok: false; reason: string };

/** The value of an expression, or why there is none in words fit for the caller. */
export function evaluateArithmetic(expression: string): Arithmetic {
  try {
    const value = evaluate(parse(expression));
    if (typeof value === "number" && !Number.isFinite(value)) throw new Refusal("The result is not a finite number.");
    return { ok: true, value };
  } catch (error) {
    if (error instanceof Refusal) return { ok: false, reason: error.message };
    throw error;
  }
}

/** Unwinds the recursion; its message is for the caller. */
class Refusal extends Error {}

const onNumbers = (compute: (left: number, right: number) => Value) => (left: Value, right: Value) =>
  compute(asNumber(left), asNumber(right));
const onTruths = (compute: (left: boolean, right: boolean) => Value) => (left: Value, right: Value) =>
  compute(asTruth(left), asTruth(right));

const INFIX = new Map<string, (left: Value, right: Value) => Value>([
  ["or", onTruths((a, b) => a || b)],
  ["and", onTruths((a, b) => a && b)],
  ["==", (a, b) => a === b],
  ["!=", (a, b) => a !== b],
  ["<", onNumbers((a, b) => a < b)],
  [">", onNumbers((a, b) => a > b)],
  ["<=", onNumbers((a, b) => a <= b)],
  [">=", onNumbers((a, b) => a >= b)],
  ["+", onNumbers((a, b) => a + b)],
  ["-", onNumbers((a, b) => a - b)],
  ["*", onNumbers((a, b) => a * b)],
  ["/", onNumbers((a, b) => a / b)],
  ["%", onNumbers(mod)],
  ["mod", onNumbers(mod)],
  ["^", onNumbers((a, b) => a ** b)],
]);
const ONE_SIDED = new Map<string, (operand: Value) => Value>([
  ["not", (operand) => !asTruth(operand)],
  ["~", (operand) => -asNumber(operand)],
  ["!", (operand) => factorial(asNumber(operand))],
]);

/**
 * From the loosest to the tightest; powers, and they alone, from right to left. jsep has no postfix operator, and its
 * prefix ones bind tighter than any other: so all are infix, with BLANK on the side where nothing is. The sign is "~", on
 * the level of powers: -2^2 is _~2^2, which is -(2^2), and 2^-1 is 2^_~1.
 */
const LEVELS = ["or", "and", "not", "== != < > <= >=", "+ -", "* / % mod", "^ ~", "!"];
const BLANK = "_";
const SIGN = /(?<=(?:^|[-+*/%^<>=(,?:]|\b(?:and|or|not|mod)) *)[-+]/g;

jsep.removeAllUnaryOps();
jsep.removeAllBinaryOps();
jsep.removeAllLiterals();
for (const [level, operators] of LEVELS.entries())
  for (const operator of operators.split(" ")) jsep.addBinaryOp(operator, level + 1, operators === "^ ~");
// jsep takes what stands behind an expression for the next one, as in "2 pi".
jsep.hooks.add("after-expression", function () {
  if (!["", ")", ",", "?", ":"].includes(this.char)) this.throwError("No operator");
});

const NOT_ARITHMETIC = "The expression holds something that is not arithmetic.";
const ALPHABET = /^[\w .,()?:<>=!%^*/+-]*$/;
/** jsep passes over commas that divide nothing. */
const STRAY_COMMA = /(?:^|[(,]) *,|, *(?:\)|$)/;
/** Signs that people and models write for the same operators. */
const ALIASES = new Map(Object.entries({ "**": "^", "×": "*", "·": "*", "÷": "/", "−": "-" }));

function parse(expression: string): jsep.Expression {
  const text = expression
    .toLowerCase()
    .replace(/\s/g, " ")
    .replace(/\*\*|[×·÷−]/g, (sign) => ALIASES.get(sign) ?? sign);
  if (!ALPHABET.test(text) || STRAY_COMMA.test(text)) throw new Refusal(NOT_ARITHMETIC);
  if (isDeep(text)) throw new Refusal("The expression is nested too deeply.");
  const infix = text
    .replace(SIGN, (sign) => (sign === "-" ? `${BLANK}~` : ""))
    .replace(/\bnot\b/g, `${BLANK} not`)
    .replace(/!(?!=)/g, `!${BLANK} `);
  try {
    return jsep(infix);
  } catch (error) {
    // jsep tells the place as `index`.
    const [next] = /[^_~ ]\w*/.exec(infix.slice((error as { index: number }).index)) ?? [];
    throw new Refusal(next === undefined ? "The expression ends too early." : `Cannot read on at "${next}".`);
  }
}

/** Whether the text would make jsep recurse deeply. */
function isDeep(text: string): boolean {
  let depth = 0;
  return Array.from(text).some((sign) => (depth += Number("(?".includes(sign)) - Number(sign === ")")) > 64);
}

/** A sum of 250 numbers is a tree of that depth. */
function evaluate(expression: jsep.Expression, depth = 1): Value {
  if (depth > 256) throw new Refusal("The expression is nested too deeply.");
  const inner = (child: jsep.Expression) => evaluate(child, depth + 1);
  const node = expression as jsep.CoreExpression;
  switch (node.type) {
    case "Literal":
      return Number(node.raw);
    case "Identifier":
      return find(CONSTANTS, node.name);
    case "BinaryExpression":
      if (isBlank(node.left)) return find(ONE_SIDED, node.operator)(inner(node.right));
      if (isBlank(node.right)) return find(ONE_SIDED, node.operator)(inner(node.left));
      return find(INFIX, node.operator)(inner(node.left), inner(node.right));
    case "ConditionalExpression":
      return inner(asTruth(inner(node.test)) ? node.consequent : node.alternate);
    case "CallExpression":
      return callFunction(String(node.callee["name"]), node.arguments.map(inner));
    default:
      throw new Refusal(NOT_ARITHMETIC);
  }
}

function isBlank(node: jsep.Expression): boolean {
  return node["name"] === BLANK;
}

function callFunction(name: string, args: Value[]): number {
  const known = find(FUNCTIONS, name);
  if (args.length < known.min || args.length > known.max)
    throw new Refusal(`"${name}" takes another number of arguments.`);
  return known.apply(...args.map(asNumber));
}

function find<T>(table: ReadonlyMap<string, T>, name: string): T {
  const found = table.get(name);
  if (found === undefined) throw new Refusal(`"${name}" is not known here.`);
  return found;
}

function asNumber(value: Value): number {
  if (typeof value !== "number") throw new Refusal("A number is needed where there is true or false.");
  return value;
}

function asTruth(value: Value): boolean {
  if (typeof value !== "boolean") throw new Refusal("True or false is needed where there is a number.");
  return value;
}
