/**
 * Whether the keywords of a JSON Schema have values that they can have: a validator that meets others fails. Pure. Refuses the first that has not;
 * keywords that are not known say nothing. The schema has been bounded in depth.
 */

/** Undefined: all have. Says which has not. */
export function findMisshape(schema: unknown): string | undefined {
  if (typeof schema === "boolean") return undefined;
  if (!isRecord(schema)) return "must have objects or booleans where schemas belong";
  for (const [keyword, value] of Object.entries(schema)) {
    const problem = SHAPES.get(keyword)?.(value, keyword);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

type Shape = (value: unknown, keyword: string) => string | undefined;

const text: Shape = (value, keyword) => (typeof value === "string" ? undefined : `must have text as ${keyword}`);
const list: Shape = (value, keyword) => (Array.isArray(value) ? undefined : `must have a list as ${keyword}`);
const texts: Shape = (value, keyword) => list(value, keyword) ?? first(Object.values(value ?? {}), text, keyword);
const schemas: Shape = (value, keyword) => list(value, keyword) ?? first(Object.values(value ?? {}), findMisshape, "");
const either =
  (one: Shape, other: Shape): Shape =>
  (value, keyword) =>
    Array.isArray(value) ? other(value, keyword) : one(value, keyword);
/** Names of its own, and what each stands for. */
const named =
  (shape: Shape): Shape =>
  (value, keyword) =>
    isRecord(value) ? first(Object.values(value), shape, keyword) : `must have an object as ${keyword}`;

const of = (shape: Shape, keywords: string[]) => keywords.map((keyword) => [keyword, shape] as const);
const SHAPES = new Map<string, Shape>([
  ...of(text, ["$ref", "$id"]),
  ...of(either(text, texts), ["type"]),
  ...of(texts, ["required"]),
  ...of(list, ["enum"]),
  ...of(schemas, ["allOf", "anyOf", "oneOf", "prefixItems"]),
  ...of(either(findMisshape, schemas), ["items"]),
  ...of(findMisshape, ["not", "if", "then", "else", "contains", "propertyNames", "additionalItems"]),
  ...of(findMisshape, ["additionalProperties", "unevaluatedProperties", "unevaluatedItems"]),
  ...of(named(findMisshape), ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"]),
  ...of(named(texts), ["dependentRequired"]),
  ...of(named(either(findMisshape, texts)), ["dependencies"]),
]);

function first(values: unknown[], shape: Shape, keyword: string): string | undefined {
  for (const value of values) {
    const problem = shape(value, keyword);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
