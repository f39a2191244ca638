/**
 * The JSON Schemas of the API document, made from the zod schemas that check requests and replies.
 * State: the named ones that it has met, for `components`. Refuses a recursive schema without a name: there is nothing to refer to.
 */
import * as z from "zod";

export type JsonSchema = Record<string, unknown>;

/** What goes into a request, or what comes out in a reply: a default makes a field optional in one of them only. */
export type Direction = "input" | "output";

const REF = "#/components/schemas/";
/** What a value of a query or a path is written for, where it is not text. */
const WRITTEN_AS_TEXT = ["integer", "number", "boolean", "array"];

export class JsonSchemas {
  /** By name: `.meta({ id })` of a zod schema. */
  readonly components: Record<string, JsonSchema> = {};

  of(schema: z.ZodType, direction: Direction): JsonSchema {
    const { $schema: _, $defs = {}, ...root } = convert(schema, direction);
    const names = this.#namesFor($defs, direction);
    for (const [name, definition] of Object.entries($defs)) {
      this.components[names.get(name) ?? name] = renameRefs(definition, names);
    }
    return renameRefs(root, names);
  }

  /** Values that arrive as text, by name: each as what it is read as, with whether it must be there. */
  ofText(schema: z.ZodType): { name: string; required: boolean; schema: JsonSchema }[] {
    const written = this.of(schema, "input");
    const read = propertiesOf(this.of(schema, "output"));
    const required = Array.isArray(written["required"]) ? written["required"] : [];
    return Object.entries(propertiesOf(written)).map(([name, asText]) => {
      const asRead = read[name] ?? {};
      const isBetter = WRITTEN_AS_TEXT.includes(String(asRead["type"]));
      return { name, required: required.includes(name), schema: isBetter ? asRead : asText };
    });
  }

  /** A schema can look different on its way in and out: the second form that is met, and whatever refers to it, is named for its way. */
  #namesFor(definitions: Record<string, JsonSchema>, direction: Direction): ReadonlyMap<string, string> {
    const names = new Map(Object.keys(definitions).map((name) => [name, name]));
    const isTaken = (name: string, definition: JsonSchema): boolean => {
      const known = this.components[names.get(name) ?? name];
      return known !== undefined && JSON.stringify(known) !== JSON.stringify(renameRefs(definition, names));
    };
    for (let at = 0; at < names.size; at += 1) {
      for (const [name, definition] of Object.entries(definitions)) {
        if (name.startsWith("__")) throw new Error("a recursive schema needs a name: .meta({ id })");
        if (names.get(name) !== name || !isTaken(name, definition)) continue;
        names.set(name, `${name}${direction === "input" ? "Input" : "Output"}`);
      }
    }
    const clash = Object.entries(definitions).find(([name, definition]) => isTaken(name, definition));
    if (clash) throw new Error(`two schemas have the name ${clash[0]}`);
    return names;
  }
}

interface Converted extends JsonSchema {
  $defs?: Record<string, JsonSchema>;
}

function convert(schema: z.ZodType, direction: Direction): Converted {
  const converted: unknown = z.toJSONSchema(schema, {
    io: direction,
    unrepresentable: "any",
    override: ({ jsonSchema }) => tidy(jsonSchema),
  });
  return converted as Converted; // plain JSON; zod adds a marker of its own to the type
}

/** Leaves out what says nothing more: a time's pattern beside its format, the limits of every whole number, names being text. */
function tidy(schema: JsonSchema): void {
  if (schema["format"] === "date-time") delete schema["pattern"];
  if (schema["maximum"] === Number.MAX_SAFE_INTEGER) delete schema["maximum"];
  if (schema["minimum"] === Number.MIN_SAFE_INTEGER) delete schema["minimum"];
  if (JSON.stringify(schema["propertyNames"]) === '{"type":"string"}') delete schema["propertyNames"];
}

function renameRefs(schema: JsonSchema, names: ReadonlyMap<string, string>): JsonSchema {
  const renamed = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(renamed);
    return typeof value === "object" && value !== null ? renameRefs({ ...value }, names) : value;
  };
  const entries = Object.entries(schema).map(([key, value]) => [
    key,
    key === "$ref" ? rename(value, names) : renamed(value),
  ]);
  return Object.fromEntries(entries) as JsonSchema; // the same keys
}

function rename(ref: unknown, names: ReadonlyMap<string, string>): string {
  if (ref === "#") throw new Error("a recursive schema needs a name: .meta({ id })");
  const name = String(ref).replace("#/$defs/", "");
  return REF + (names.get(name) ?? name);
}

function propertiesOf(schema: JsonSchema): Record<string, JsonSchema> {
  return (schema["properties"] ?? {}) as Record<string, JsonSchema>; // by JSON Schema
}
