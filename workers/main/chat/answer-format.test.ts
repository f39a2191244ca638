import { expect, test } from "vitest";
import type { ResponseFormat } from "../../../contracts/chat.ts";
import { findProblem } from "./answer-format.ts";

const held = (schema: Record<string, unknown>): ResponseFormat => ({
  type: "json_schema",
  json_schema: { name: "answer", schema },
});

test("[FORMAT-1] an answer is the JSON that was asked for, or it is said what is wrong", () => {
  const object: ResponseFormat = { type: "json_object" };
  expect(findProblem(undefined, "no JSON")).toBeUndefined();
  expect(findProblem({ type: "text" }, "no JSON")).toBeUndefined();
  expect(findProblem(object, ' {"a":1} ')).toBeUndefined();
  for (const answer of ["", "{", "[]", "null", "1", 'Here: {"a":1}', '```json\n{"a":1}\n```']) {
    expect(findProblem(object, answer)).toBeTypeOf("string");
  }
  const schema = {
    ...{ type: "object", required: ["name"], additionalProperties: false },
    properties: { name: { $ref: "#/$defs/name" }, age: { type: "integer", minimum: 0 } },
    $defs: { name: { type: "string", minLength: 1 } },
  };
  expect(findProblem(held(schema), '{"name":"Ada","age":36}')).toBeUndefined();
  for (const answer of ['{"name":""}', "{}", '{"name":"Ada","age":-1}', '{"name":"Ada","more":1}', "[]"]) {
    expect(findProblem(held(schema), answer)).toBeTypeOf("string");
  }
});

test("[FORMAT-1] patterns are the provider's to keep: none is run here, and what remains refuses nothing good", () => {
  const evil = { type: "string", pattern: "^(a+)+$" };
  const answer = JSON.stringify({ a: `${"a".repeat(60)}!` });
  expect(findProblem(held({ type: "object", properties: { a: evil } }), answer)).toBeUndefined();
  expect(findProblem(held({ properties: { a: { not: evil } } }), answer)).toBeUndefined();
  expect(findProblem(held({ properties: { a: { oneOf: [evil, { type: "string" }] } } }), answer)).toBeUndefined();
  expect(findProblem(held({ patternProperties: { "^a": {} }, additionalProperties: false }), answer)).toBeUndefined();
  expect(findProblem(held({ properties: { pattern: { type: "number" }, a: evil } }), '{"pattern":"x"}')).toBeTypeOf(
    "string",
  );
  expect(findProblem(held({ properties: { a: { ...evil, minLength: 100 } } }), answer)).toBeTypeOf("string");
});

test("[FORMAT-1] a schema that a validator fails on takes any answer in JSON: no model can mend it", () => {
  for (const schema of [{ enum: 5 }, { properties: { a: null } }, { $ref: "#/nowhere" }, { required: 7 }]) {
    expect(findProblem(held(schema), '{"a":1}')).toBeUndefined();
    expect(findProblem(held(schema), "no JSON")).toBeTypeOf("string");
  }
});
