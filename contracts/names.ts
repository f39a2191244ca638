/** The names of schemas in the API's document: one that several routes share is described once, under its name. */
import * as z from "zod";

export function nameSchemas(schemas: Record<string, z.ZodType>): void {
  for (const [id, schema] of Object.entries(schemas)) z.globalRegistry.add(schema, { id });
}
