/**
 * Values for a JSON Schema as fast-check makes them: good ones, and, as often as is asked, ones that are not. Pure. An id is written as a
 * mark, `{{session_id own 3}}`, for which the sender puts one in that the house really has.
 */
import fc from "fast-check";
import * as z from "zod";
import { NAMES, NUMBERS, STRINGS, VALUES } from "./hostile.ts";

export interface JsonSchema {
  $ref?: string;
  $defs?: Record<string, JsonSchema>;
  type?: string;
  enum?: unknown[];
  const?: unknown;
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  properties?: Record<string, JsonSchema>;
  required?: string[];
  additionalProperties?: JsonSchema | boolean;
  items?: JsonSchema;
  minItems?: number;
  maxItems?: number;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
  pattern?: string;
  format?: string;
}

/** Values that suit a field and that no schema tells: mostly cheap ones. */
const GOOD: Readonly<Record<string, readonly unknown[]>> = {
  model: ["demo", "demo", "gpt-4o-mini", "demo:length", "demo:nousage"],
  model_type: ["openai"],
  tools: ["none", "none", ["echo"]],
  on_busy: ["reject", "interrupt"],
  username: ["ada", "grace.h", "\u00c5ngstr\u00f6m"],
  email: ["ada@example.test", "{{email own 0}}"],
  password: ["another long phrase", "{{password own 0}}"],
  current_password: ["{{password own 0}}"],
  refresh_token: ["eyJhbGciOiJIUzI1NiJ9.e30.AA", "{{refresh_token own 0}}"],
  from: ["2026-01-01", "2026-01-01T00:00:00Z"],
  to: ["2030-01-01", "2030-01-01T00:00:00+02:00"],
  default_model: ["demo", null],
  sha256: ["{{sha256 own 0}}"],
  call_id: ["call_1"],
  tool_name: ["echo", "calculator", "current_time"],
  input_data: [{ text: "x" }, { expression: "1+1" }, {}],
  // Of a tool in a path, of a key in a body.
  name: ["echo", "current_time"],
  file: ["start.js", "swagger-ui.css", "none.js"],
};

/** Fields that cost much when they are there: left out nearly always. */
const COSTLY = new Set(["password", "current_password", "is_active", "role"]);

export interface Making {
  /** Of a hundred values, how many are not to be good ones. */
  badPercent: number;
  defs: Record<string, JsonSchema>;
}

export function toJsonSchema(schema: z.ZodType): JsonSchema {
  return z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as JsonSchema; // read for the keywords above alone
}

/** `other` in so many of a hundred cases. */
export function seldom<T>(percent: number, mostly: fc.Arbitrary<T>, other: fc.Arbitrary<T>): fc.Arbitrary<T> {
  const weight = Math.round(percent * 10);
  if (weight === 0) return mostly;
  return fc.oneof({ weight: 1_000 - weight, arbitrary: mostly }, { weight, arbitrary: other });
}

export function valueOf(schema: JsonSchema, making: Making, name = ""): fc.Arbitrary<unknown> {
  const good = goodValue(schema, making, name);
  const bad = fc.oneof(beside(schema), fc.constantFrom<unknown>(...STRINGS, ...NUMBERS), fc.constantFrom(...VALUES));
  return seldom(making.badPercent, good, bad);
}

/** A text for a query's name or a part of a path. */
export function textOf(schema: JsonSchema, making: Making, name: string): fc.Arbitrary<string> {
  const good = goodValue(schema, making, name).map(String);
  return seldom(making.badPercent, good, fc.constantFrom(...STRINGS.filter((text) => text.length < 3_000)));
}

function integerOf({ minimum = 0, maximum = 100 }: JsonSchema): fc.Arbitrary<number> {
  const min = Math.max(minimum, -1e9);
  return fc.integer({ min, max: Math.max(min, Math.min(maximum, 300)) });
}

function goodValue(schema: JsonSchema, making: Making, name: string): fc.Arbitrary<unknown> {
  const known = GOOD[name];
  if (known !== undefined) return fc.constantFrom(...known);
  if (name === "message_id") return fc.oneof(idMark(name), idMark("question_id"));
  if (name.endsWith("_id") && !name.endsWith("call_id")) return idMark(name);
  if (schema.$ref !== undefined) return goodValue(making.defs[schema.$ref.split("/").at(-1) ?? ""] ?? {}, making, name);
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices !== undefined) return fc.oneof(...choices.map((choice) => valueOf(choice, making, name)));
  switch (schema.type) {
    case "object":
      return objectOf(schema, making);
    case "array":
      return listOf(schema, making, name);
    case "string":
      return stringOf(schema);
    case "integer":
      return integerOf(schema);
    case "number":
      return fc.double({ min: schema.minimum ?? 0, max: schema.maximum ?? 100, noNaN: true });
    case "boolean":
      return fc.boolean();
    case "null":
      return fc.constant(null);
    default:
      return fc.constantFrom<unknown>("x", 1, null, {}, []);
  }
}

/** One's own mostly, somebody else's, or nobody's. */
function idMark(name: string): fc.Arbitrary<string> {
  const whose = fc.constantFrom("own", "own", "own", "other", "nobodys");
  return fc.tuple(whose, fc.constantFrom(0, 0, 0, 1, 2)).map(([owner, at]) => `{{${name} ${owner} ${at}}}`);
}

function objectOf({ properties = {}, required = [], additionalProperties }: JsonSchema, making: Making) {
  const fields = Object.entries(properties).map(([name, schema]) => {
    const value = valueOf(schema, making, name).map((made): [string, unknown][] => [[name, made]]);
    const left = fc.constant<[string, unknown][]>([]);
    const absence = required.includes(name) ? making.badPercent / 4 : COSTLY.has(name) ? 98 : 70;
    return seldom(absence, value, left);
  });
  const isOpen = additionalProperties !== undefined && additionalProperties !== false;
  const more = fc
    .tuple(fc.constantFrom(...(isOpen ? ["expression", "text"] : NAMES)), fc.constantFrom<unknown>("x", 1, ...STRINGS))
    .map((entry): [string, unknown][] => [entry]);
  const extra = seldom(isOpen ? 50 : making.badPercent / 4, fc.constant<[string, unknown][]>([]), more);
  return fc.tuple(extra, ...fields).map((parts) => Object.fromEntries(parts.flat()) as Record<string, unknown>);
}

function listOf({ items = {}, minItems = 0, maxItems = 3 }: JsonSchema, making: Making, name: string) {
  const bounds = { minLength: minItems, maxLength: Math.min(maxItems, Math.max(minItems, 3)) };
  return fc.array(valueOf(items, making, name), bounds);
}

function stringOf({ pattern, format, minLength = 1, maxLength = 60 }: JsonSchema): fc.Arbitrary<string> {
  if (format === "date" || format === "date-time") return fc.constantFrom("2026-03-04", "2026-03-04T05:06:07Z");
  if (pattern !== undefined) return fc.stringMatching(new RegExp(pattern, "u"));
  return fc.string({ minLength, maxLength: Math.min(maxLength, 60), unit: "grapheme" });
}

/** Values just outside of what a schema allows. */
function beside({ type, minimum, maximum, maxLength, maxItems }: JsonSchema): fc.Arbitrary<unknown> {
  const outside: unknown[] = ["1", 1, null, [], {}];
  if (minimum !== undefined) outside.push(minimum - 1, minimum - 0.1);
  if (maximum !== undefined) outside.push(maximum + 1, maximum + 0.1, String(maximum));
  // The largest are tried on their own: here they would only make the run slow.
  if (maxLength !== undefined && maxLength <= 5_000) outside.push("a".repeat(maxLength + 1));
  if (maxItems !== undefined && maxItems <= 1_000) outside.push(Array.from({ length: maxItems + 1 }, () => "x"));
  if (type === "boolean") outside.push("true", "false", 0);
  return fc.constantFrom(...outside);
}
