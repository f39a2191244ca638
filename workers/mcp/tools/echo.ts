/**
 * Gives its text back unchanged: the tool to try a connection with.
 * Pure. Refuses text above 10,000 characters.
 */
import * as z from "zod";
import type { Tool } from "./tool.ts";

const Input = z.strictObject({ text: z.string().max(10_000).describe("The text to give back.") });

export const echo: Tool<typeof Input> = {
  name: "echo",
  description: "Returns the given text unchanged.",
  input: Input,
  annotations: { readOnly: true, idempotent: true, private: false, cost: "free" },
  run: ({ text }) => ({ ok: true, content: text }),
};
