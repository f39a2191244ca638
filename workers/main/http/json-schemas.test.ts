import * as z from "zod";
import { expect, test } from "vitest";
import { count } from "../../../contracts/params.ts";
import { JsonSchemas } from "./json-schemas.ts";

const Times = z
  .strictObject({ at: z.iso.datetime(), mode: z.enum(["a", "b"]).default("a") })
  .meta({ id: "test-Times" });
const Holder = z.strictObject({ times: Times, next: Times.nullable() }).meta({ id: "test-Holder" });

test("[API-5] a value that arrives as text is described as what it is read as", () => {
  const query = z.strictObject({
    limit: count(1, 200).default(50),
    flag: z.enum(["true", "false"]).transform((text) => text === "true"),
    kinds: z
      .string()
      .transform((text) => text.split(","))
      .pipe(z.array(z.enum(["a", "b"])))
      .optional(),
    cursor: z
      .string()
      .max(9)
      .transform((text) => ({ text }))
      .optional(),
  });
  expect(new JsonSchemas().ofText(query)).toEqual([
    { name: "limit", required: false, schema: { type: "integer", minimum: 1, maximum: 200, default: 50 } },
    { name: "flag", required: true, schema: { type: "string", enum: ["true", "false"] } },
    { name: "kinds", required: false, schema: { type: "array", items: { type: "string", enum: ["a", "b"] } } },
    { name: "cursor", required: false, schema: { type: "string", maxLength: 9 } },
  ]);
});

test("[API-5] a named schema is described once, and twice where a default makes its ways in and out differ", () => {
  const schemas = new JsonSchemas();
  expect(schemas.of(Holder, "output")).toEqual({ $ref: "#/components/schemas/test-Holder" });
  expect(schemas.of(z.array(Times), "output")).toEqual({
    type: "array",
    items: { $ref: "#/components/schemas/test-Times" },
  });
  expect(schemas.of(Holder, "input")).toEqual({ $ref: "#/components/schemas/test-HolderInput" });
  expect(Object.keys(schemas.components)).toEqual([
    ...["test-Holder", "test-Times", "test-HolderInput", "test-TimesInput"],
  ]);
  expect(schemas.components["test-HolderInput"]).toMatchObject({
    properties: { times: { $ref: "#/components/schemas/test-TimesInput" } },
  });
  expect(schemas.components["test-Times"]).toEqual({
    type: "object",
    properties: {
      at: { type: "string", format: "date-time" },
      mode: { type: "string", enum: ["a", "b"], default: "a" },
    },
    required: ["at", "mode"],
    additionalProperties: false,
  });
});

test("[API-5] two schemas of one name, and a recursive one without a name, are refused", () => {
  const schemas = new JsonSchemas();
  const other = z.strictObject({ other: z.string() }).meta({ id: "test-Times" });
  schemas.of(Holder, "output");
  schemas.of(Holder, "input");
  expect(() => schemas.of(other, "input")).toThrow("two schemas have the name test-Times");
  const tree: z.ZodType = z.lazy(() => z.strictObject({ kids: z.array(tree) }));
  expect(() => schemas.of(tree, "output")).toThrow("needs a name");
});
