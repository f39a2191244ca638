import { expect, test } from "vitest";
import { findSchemaProblem } from "./answer-schema.ts";

function nested(levels: number): Record<string, unknown> {
  let schema: Record<string, unknown> = { type: "string" };
  for (let level = 1; level < levels; level += 1) schema = { not: schema };
  return schema;
}

test("[FORMAT-2] [B30] ordinary schemas are taken, with references to their own parts", () => {
  const shared = { $ref: "#/$defs/a~1b%20c" };
  const good = [
    {},
    nested(32),
    { type: "object", properties: { a: shared, b: shared }, $defs: { "a/b c": { type: "string" } } },
    { properties: { $ref: { type: "string" }, $id: { type: "number" } } },
    { enum: Array.from({ length: 5_000 }, (_, at) => at) },
  ];
  for (const schema of good) expect(findSchemaProblem(schema)).toBeUndefined();
});

test("[FORMAT-2] [B30] what is huge, deep, recursive, foreign or broken is not", () => {
  const doubling = Object.fromEntries(
    Array.from({ length: 20 }, (_, at) => {
      const next = { $ref: `#/$defs/d${at + 1}` };
      return [`d${at}`, at === 19 ? { type: "string" } : { allOf: [next, next] }];
    }),
  );
  const bad: [Record<string, unknown>, string][] = [
    [nested(33), "levels"],
    [nested(100_000), "levels"],
    [{ description: "x".repeat(70_000) }, "characters"],
    [{ allOf: Array.from({ length: 3_000 }, () => ({})) }, "parts"],
    [{ $ref: "#" }, "back"],
    [{ properties: { child: { items: { $ref: "#" } } } }, "back"],
    [{ $ref: "#/$defs/a", $defs: { a: { $ref: "#/$defs/b" }, b: { $ref: "#/$defs/a" } } }, "back"],
    [{ $ref: "#/$defs/d0", $defs: doubling }, "too much"],
    [{ $ref: "https://example.com/schema" }, "own parts"],
    [{ $ref: "#/$defs/none" }, "own parts"],
    [{ $ref: "#/__proto__" }, "own parts"],
    [{ properties: { a: { $id: "https://example.com/a" } } }, "$id"],
    [{ $dynamicRef: "#a" }, "$dynamicRef"],
    [{ $ref: "#/$defs/a", __absolute_ref__: "https://example.com", $defs: { a: {} } }, "__absolute_ref__"],
  ];
  for (const [schema, problem] of bad) expect(findSchemaProblem(schema)).toContain(problem);
});

test("[FORMAT-2] [B30] keywords with values that they cannot have are no schema, wherever one may stand; names are no keywords", () => {
  const bad: Record<string, unknown>[] = [
    ...["enum", "allOf", "anyOf", "oneOf", "prefixItems", "required"].flatMap((name) => [
      ...[{ [name]: 5 }, { [name]: null }, { [name]: "x" }, { [name]: {} }],
    ]),
    ...["not", "if", "then", "else", "items", "contains", "additionalProperties", "unevaluatedItems"].flatMap(
      (name) => [...[{ [name]: 5 }, { [name]: null }, { [name]: "x" }]],
    ),
    ...["properties", "$defs", "definitions", "patternProperties", "dependentSchemas"].flatMap((name) => [
      ...[{ [name]: 5 }, { [name]: null }, { [name]: [] }, { [name]: { a: null } }, { [name]: { a: [] } }],
    ]),
    ...[{ allOf: [null] }, { required: [5] }, { $ref: 5 }, { $id: {} }, { type: 5 }, { type: [null] }],
    ...[{ dependentRequired: { a: 5 } }, { dependencies: { a: 5 } }, { items: [{}, null] }],
  ];
  const places: ((schema: object) => Record<string, unknown>)[] = [
    (schema) => ({ ...schema }),
    (schema) => ({ properties: { a: schema } }),
    (schema) => ({ anyOf: [{ items: schema }] }),
  ];
  for (const schema of bad) for (const place of places) expect(findSchemaProblem(place(schema))).toContain("must have");
  const names = { enum: { type: "string" }, required: true, allOf: {}, $ref: {}, properties: { properties: {} } };
  for (const name of ["properties", "$defs", "definitions", "patternProperties", "dependentSchemas"]) {
    expect(findSchemaProblem({ [name]: names })).toBeUndefined();
  }
  const literal = { enum: [{ enum: 5 }, null], const: { required: 5 }, default: { allOf: 1 }, examples: [{ $ref: 5 }] };
  expect(findSchemaProblem({ ...literal, "x-of-our-own": { enum: 5 } })).toBeUndefined();
  expect(findSchemaProblem({ type: ["string", "null"], items: [{}, true], dependencies: { a: ["b"], c: {} } })).toBe(
    undefined,
  );
});
