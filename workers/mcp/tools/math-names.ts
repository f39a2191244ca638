/**
 * The constants, functions and operators of an expression. Pure; NaN where there is no answer.
 * Every one takes constant time, or time linear in its arguments.
 */
interface Kinds {
  number: number;
  boolean: boolean;
  any: number | boolean;
}

interface Operation {
  /** What every argument is: to be checked before the call, as is their number. */
  of: keyof Kinds;
  min: number;
  max: number;
  compute: (...args: never[]) => number | boolean;
}

export const CONSTANTS = new Map<string, number | boolean>(
  Object.entries({ pi: Math.PI, e: Math.E, tau: 2 * Math.PI, true: true, false: false }),
);

const { abs, sign, floor, ceil, trunc, sqrt, cbrt, exp, log2, log10 } = Math;
const { sin, cos, tan, asin, acos, atan, sinh, cosh, tanh } = Math;
const ROUNDING = { abs, sign, floor, ceil, trunc };
const POWERS = { sqrt, cbrt, exp, ln: Math.log, log2, log10, factorial };
const ANGLES = { sin, cos, tan, asin, acos, atan, sinh, cosh, tanh };

/** By name, or by sign; "~" is the sign before a number. */
export const OPERATIONS = new Map<string, Operation>([
  ...table("number", [1, 1], { ...ROUNDING, ...POWERS, ...ANGLES, "~": (x) => -x, "!": factorial }),
  ...table("number", [1, 2], { round, log }),
  ...table("number", [2, 2], { pow: Math.pow, root, mod, atan2: Math.atan2, "^": Math.pow, "%": mod }),
  ...table("number", [2, 2], {
    "+": (x, y) => x + y,
    "-": (x, y) => x - y,
    "*": (x, y) => x * y,
    "/": (x, y) => x / y,
  }),
  ...table("number", [2, 2], {
    "<": (x, y) => x < y,
    ">": (x, y) => x > y,
    "<=": (x, y) => x <= y,
    ">=": (x, y) => x >= y,
  }),
  ...table("number", [1, 100], { min: Math.min, max: Math.max, hypot: Math.hypot }),
  ...table("number", [2, 100], { gcd: (...args) => args.reduce(gcd), lcm: (...args) => args.reduce(lcm) }),
  ...table("any", [2, 2], { "==": (x, y) => x === y, "!=": (x, y) => x !== y }),
  ...table("boolean", [2, 2], { and: (x, y) => x && y, or: (x, y) => x || y }),
  ...table("boolean", [1, 1], { not: (x) => !x }),
]);

function table<Kind extends keyof Kinds>(
  of: Kind,
  [min, max]: [number, number],
  computations: Record<string, (...args: Kinds[Kind][]) => number | boolean>,
): [string, Operation][] {
  return Object.entries(computations).map(([name, compute]) => [name, { of, min, max, compute }]);
}

/** The remainder with the sign of the divisor, as in mathematics. */
function mod(x: number, y: number): number {
  const rest = x % y;
  return rest !== 0 && rest < 0 !== y < 0 ? rest + y : rest;
}

/** Of whole numbers up to 170, beyond which a double has no room. */
function factorial(x: number): number {
  if (!Number.isInteger(x) || x < 0 || x > 170) return NaN;
  let product = 1;
  for (let factor = 2; factor <= x; factor++) product *= factor;
  return product;
}

/** To `digits` decimals, halves away from zero; 15 digits first, since 1.005 is stored a little below its half. */
function round(x: number, digits = 0): number {
  if (!Number.isInteger(digits) || digits < 0 || digits > 15) return NaN;
  const factor = 10 ** digits;
  const shifted = Math.abs(x) * factor;
  if (shifted >= 2 ** 52) return x;
  return (Math.sign(x) * Math.round(Number(shifted.toPrecision(15)))) / factor;
}

/** Natural, or of the given base; exact where the base is 2 or 10. */
function log(x: number, base?: number): number {
  if (base === undefined) return Math.log(x);
  if (base === 2) return Math.log2(x);
  return base === 10 ? Math.log10(x) : Math.log(x) / Math.log(base);
}

function root(x: number, n: number): number {
  return x < 0 && Math.abs(n % 2) === 1 ? -((-x) ** (1 / n)) : x ** (1 / n);
}

/** Euclid: the numbers shrink by the golden ratio, so there are at most some 80 steps. */
function gcd(x: number, y: number): number {
  let [a, b] = [Math.abs(x), Math.abs(y)];
  if (!Number.isSafeInteger(a) || !Number.isSafeInteger(b)) return NaN;
  while (b !== 0) [a, b] = [b, a % b];
  return a;
}

function lcm(x: number, y: number): number {
  return x === 0 || y === 0 ? 0 : Math.abs((x / gcd(x, y)) * y);
}
