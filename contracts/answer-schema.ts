/**
 * Whether a JSON Schema that a client sends for an answer can be held to an answer here in bounded time. Pure. Refuses large and deep
 * ones, what is no schema, and references that lead back to themselves, away from the schema, or to more than can be looked at.
 */
import { findMisshape } from "./schema-shape.ts";

/** In characters of JSON, levels, objects, and objects with those that references stand for. */
const LIMITS = { chars: 64 * 1024, levels: 32, objects: 2_000, expanded: 10_000 };
/** They change what a reference means; the last is what our validator notes for itself. */
const FOREIGN = [
  ...["$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor"],
  "__absolute_ref__",
];

type Schema = Record<string, unknown>;

/** Undefined: it can. */
export function findSchemaProblem(schema: Schema): string | undefined {
  const tooLarge = findExcess(schema);
  if (tooLarge !== undefined) return tooLarge;
  if (JSON.stringify(schema).length > LIMITS.chars) return `must have ${LIMITS.chars} characters at most`;
  const misshape = findMisshape(schema);
  if (misshape !== undefined) return misshape;
  const walk = new Walk(schema);
  const expanded = walk.measure(schema);
  return walk.problem ?? (expanded > LIMITS.expanded ? "refers to too much" : undefined);
}

/** Level by level, so that no depth can exhaust the stack. */
function findExcess(schema: Schema): string | undefined {
  let level: object[] = [schema];
  let objects = 0;
  for (let depth = 1; level.length > 0; depth += 1) {
    objects += level.length;
    if (depth > LIMITS.levels) return `must have ${LIMITS.levels} levels at most`;
    if (objects > LIMITS.objects) return `must have ${LIMITS.objects} parts at most`;
    level = level.flatMap((one) => Object.values(one).filter(isObject));
  }
  return undefined;
}

/** Counts what each part stands for, references followed, once. */
class Walk {
  problem: string | undefined;
  readonly #root: Schema;
  readonly #sizes = new Map<object, number>();
  readonly #open = new Set<object>();

  constructor(root: Schema) {
    this.#root = root;
  }

  measure(part: object): number {
    const known = this.#sizes.get(part);
    if (known !== undefined) return known;
    if (this.#open.has(part)) {
      this.problem ??= "must not refer back to itself";
      return 0;
    }
    this.#open.add(part);
    const parts = Object.values(part).filter(isObject);
    const { $ref: reference } = part as { $ref?: unknown }; // whatever it is
    if (typeof reference === "string") parts.push(...this.#resolve(reference));
    const [foreign] = Object.entries(part).filter(
      ([name, value]) => FOREIGN.includes(name) && typeof value === "string",
    );
    if (foreign) this.problem ??= `must not have ${foreign[0]}`;
    const size = parts.reduce((sum, one) => Math.min(sum + this.measure(one), Number.MAX_SAFE_INTEGER), 1);
    this.#open.delete(part);
    this.#sizes.set(part, size);
    return size;
  }

  #resolve(reference: string): object[] {
    const [start, ...names] = reference.split("/");
    let found: unknown = this.#root;
    for (const name of names) {
      const key = decode(name);
      found = isObject(found) && Object.hasOwn(found, key) ? (found as Schema)[key] : undefined;
    }
    if (start === "#" && isObject(found)) return [found];
    this.problem ??= "must refer to its own parts only";
    return [];
  }
}

/** Of a JSON pointer in a URL. */
function decode(name: string): string {
  try {
    return decodeURIComponent(name).replaceAll("~1", "/").replaceAll("~0", "~");
  } catch {
    return name;
  }
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
