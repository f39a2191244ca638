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
  ];
  for (const [schema, problem] of bad) expect(findSchemaProblem(schema)).toContain(problem);
});
