/**
 * Holds an answer to the JSON that was asked for, and says how a model is asked to mend it. Pure. The schema comes from a client and has been
 * bounded where it came in; its patterns and formats are the provider's to keep: a pattern can be made to take hours.
 */
import { type OutputUnit, type Schema, Validator } from "@cfworker/json-schema";
import { AppError } from "../../../contracts/errors.ts";
import type { ModelMessage, ResponseFormat } from "../../../contracts/llm.ts";

export function wantsJson(format: ResponseFormat | undefined): boolean {
  return format !== undefined && format.type !== "text";
}

/** Undefined: it is what was asked for. For the model's eyes: it may hold the model's words. */
export function findProblem(format: ResponseFormat | undefined, answer: string): string | undefined {
  if (format === undefined || format.type === "text") return undefined;
  let value: unknown;
  try {
    value = JSON.parse(answer);
  } catch {
    return "it is not valid JSON";
  }
  if (format.type !== "json_schema") {
    return typeof value === "object" && value !== null && !Array.isArray(value) ? undefined : "it is not a JSON object";
  }
  const errors = errorsOf(withoutPatterns(format.json_schema["schema"]) as Schema, value); // the client's word, bounded
  if (errors.length === 0) return undefined;
  const [deepest] = errors.toSorted((a, b) => b.instanceLocation.length - a.instanceLocation.length);
  return `${deepest?.instanceLocation ?? "#"}: ${deepest?.error ?? "it does not fit the schema"}`.slice(0, 500);
}

/**
 * A schema that cannot be worked with is refused where it comes in. One that gets as far as this takes any answer: the model cannot mend the
 * schema, and the answer has been paid for.
 */
function errorsOf(schema: Schema, value: unknown): OutputUnit[] {
  try {
    const { valid, errors } = new Validator(schema, "2020-12").validate(value);
    return valid ? [] : errors;
  } catch {
    return [];
  }
}

/** What follows the prompt when the model is asked once more. */
export function askToMend(answer: string, problem: string): ModelMessage[] {
  const asked = "Give the whole answer again, as JSON in the form that was asked for and nothing else.";
  return [
    ...(answer === "" ? [] : [{ role: "assistant" as const, content: answer }]),
    { role: "user", content: `Your answer cannot be used: ${problem}. ${asked}` },
  ];
}

export function unusable(): AppError {
  return new AppError("invalid_model_output", "the model's answer is not the JSON that was asked for");
}

/** Of these the values are schemas by name. */
const MAPS = ["properties", "$defs", "definitions", "dependentSchemas"];
/** What is weaker without its patterns would refuse more here. */
const CONTRARY = ["not", "if", "then", "else", "oneOf", "contains", "unevaluatedProperties", "unevaluatedItems"];
const LITERAL = ["enum", "const", "default", "examples", "required"];

/** What is left refuses nothing that the whole takes. */
function withoutPatterns(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(withoutPatterns);
  if (typeof schema !== "object" || schema === null) return schema;
  const hasPatterns = /"(?:pattern|patternProperties|format|propertyNames)"/.test(JSON.stringify(schema));
  if (!hasPatterns) return schema;
  const kept = Object.entries(schema).flatMap(([name, value]: [string, unknown]) => {
    if (["pattern", "patternProperties", "format", "propertyNames", ...CONTRARY].includes(name)) return [];
    if (name === "additionalProperties" && "patternProperties" in schema) return [];
    if (LITERAL.includes(name)) return [[name, value]];
    if (!MAPS.includes(name) || typeof value !== "object" || value === null) return [[name, withoutPatterns(value)]];
    return [[name, Object.fromEntries(Object.entries(value).map(([key, one]) => [key, withoutPatterns(one)]))]];
  });
  return Object.fromEntries(kept);
}
