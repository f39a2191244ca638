/**
 * Arithmetic on numbers and truth values: jsep reads an expression into a tree, and a walk over the tree computes it.
 * Its one state is jsep's configuration, which is the program's: no other file imports jsep.
 * Refuses what math-names.ts does not list, deep nesting, and results that are no finite number.
 */
import jsep from "jsep";
import { CONSTANTS, OPERATIONS } from "./math-names.ts";

type Value = number | boolean;
type Arithmetic = { ok: true; value: Value } | { ok: false; reason: string };

/** The value of an expression, or why there is none in words fit for the caller. */
export function evaluateArithmetic(expression: string): Arithmetic {
  try {
    const value = evaluate(parse(expression), 1);
    if (typeof value === "number" && !Number.isFinite(value)) throw new Refusal("The result is not a finite number.");
    return { ok: true, value };
  } catch (error) {
    if (error instanceof Refusal) return { ok: false, reason: error.message };
    throw error;
  }
}

/** Unwinds the recursion; its message is for the caller. */
class Refusal extends Error {}
const NOT_ARITHMETIC = "The expression holds something that is not arithmetic.";
const TOO_DEEP = "The expression is nested too deeply.";

/**
 * The operators from the loosest to the tightest; those on the level of powers group from the right. jsep has no postfix
 * operators, and its prefix ones bind tightest: so here all are infix, with BLANK on the side where nothing stands. The
 * sign, "~", is on the level of powers: -2^2 is read as _~2^2, which is -(2^2), and 2^-1 as 2^_~1.
 */
const POWERS = "^ ~";
const LEVELS = ["or", "and", "not", "== != < > <= >=", "+ -", "* / % mod", POWERS, "!"];
const BLANK = "_";

jsep.removeAllUnaryOps();
jsep.removeAllBinaryOps();
jsep.removeAllLiterals();
for (const [level, operators] of LEVELS.entries())
  for (const operator of operators.split(" ")) jsep.addBinaryOp(operator, level + 1, operators === POWERS);
// jsep takes what stands behind an expression for one more, as in "2 pi".
jsep.hooks.add("after-expression", function () {
  if (!["", ")", ","].includes(this.char)) this.throwError("No operator");
});

const ALPHABET = /^[\w .,()<>=!%^*/+-]*$/;
/** jsep passes over commas that divide nothing. */
const STRAY_COMMA = /(?:^|[(,]) *,|, *(?:\)|$)/;
const SIGN = /(?<=(?:^|[-+*/%^<>=(,]|\b(?:and|or|not|mod)) *)[-+]/g;

function parse(expression: string): jsep.Expression {
  const text = expression.toLowerCase().replace(/\s/g, " ").replace(/[×·]/g, "*").replace(/÷/g, "/").replace(/−/g, "-");
  if (!ALPHABET.test(text)) throw new Refusal(NOT_ARITHMETIC);
  let depth = 0;
  for (const sign of text) if ((depth += Number(sign === "(") - Number(sign === ")")) > 64) throw new Refusal(TOO_DEEP);
  const infix = text
    .replace(/\*\*/g, "^")
    .replace(SIGN, (sign) => (sign === "-" ? `${BLANK}~` : ""))
    .replace(/\bnot\b/g, `${BLANK} not`)
    .replace(/!(?!=)/g, `!${BLANK} `);
  if (STRAY_COMMA.test(infix)) throw new Refusal("A comma stands where it divides nothing.");
  try {
    return jsep(infix);
  } catch (error) {
    // jsep tells the place as `index`.
    const [next] = /[a-z0-9]+|[^_~ ]/.exec(infix.slice((error as { index: number }).index)) ?? [];
    throw new Refusal(next === undefined ? "The expression ends too early." : `Cannot read on at "${next}".`);
  }
}

/** `depth` has room for a sum of 250 numbers, which is a tree of that depth. */
function evaluate(expression: jsep.Expression, depth: number): Value {
  if (depth > 256) throw new Refusal(TOO_DEEP);
  const node = expression as jsep.CoreExpression;
  if (node.type === "Literal") return Number(node.raw);
  if (node.type === "Identifier") return find(CONSTANTS, node.name);
  const values = (operands: jsep.Expression[]) => operands.map((operand) => evaluate(operand, depth + 1));
  if (node.type === "BinaryExpression")
    return apply(node.operator, values([node.left, node.right].filter((side) => side["name"] !== BLANK)));
  if (node.type === "CallExpression" && node.callee.type === "Identifier")
    return apply(String(node.callee["name"]), values(node.arguments));
  throw new Refusal(NOT_ARITHMETIC);
}

function apply(name: string, values: Value[]): Value {
  const { of, min, max, compute } = find(OPERATIONS, name);
  if (values.length < min || values.length > max) throw new Refusal(`"${name}" takes another number of arguments.`);
  if (of === "number" && values.some((value) => typeof value !== of))
    throw new Refusal("A number is needed where there is true or false.");
  if (of === "boolean" && values.some((value) => typeof value !== of))
    throw new Refusal("True or false is needed where there is a number.");
  return compute(...(values as never[]));
}

function find<T>(table: ReadonlyMap<string, T>, name: string): T {
  const found = table.get(name);
  if (found === undefined) throw new Refusal(`"${name}" is not known here.`);
  return found;
}
