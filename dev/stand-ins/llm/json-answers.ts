/** What the demo model says where JSON is asked for: the smallest value that a schema takes, or, as a fault, what is none. Pure. */

/** The words of the fault `badjson`. */
export const BAD_JSON = '{"demo": true,';

export function answerInJson(said: string, schema: Record<string, unknown> | undefined): string {
  return JSON.stringify(schema === undefined ? { demo: true, answer: said } : sampleOf(schema, said));
}

/** Knows what schemas in tests use: types, properties, items, enum and const. */
function sampleOf(schema: Record<string, unknown>, said: string): unknown {
  if ("const" in schema) return schema["const"];
  if (Array.isArray(schema["enum"])) return schema["enum"][0] ?? null;
  switch (schema["type"]) {
    case "object":
      return Object.fromEntries(
        entriesOf(schema["properties"]).map(([name, member]) => [name, sampleOf(member, said)]),
      );
    case "array":
      return isSchema(schema["items"]) ? [sampleOf(schema["items"], said)] : [];
    case "string":
      return said;
    case "integer":
    case "number":
      return Number(schema["minimum"] ?? 1);
    case "boolean":
      return true;
    default:
      return null;
  }
}

function entriesOf(properties: unknown): [string, Record<string, unknown>][] {
  if (!isSchema(properties)) return [];
  return Object.entries(properties).filter((entry): entry is [string, Record<string, unknown>] => isSchema(entry[1]));
}

function isSchema(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
