/**
 * What is told of a tool, and its hash. Pure. Refuses a definition that could mislead its reader: another name than its key, too long a
 * description of it or of an argument, invisible characters anywhere.
 */
import * as z from "zod";
import type { ToolDefinition } from "../../contracts/tools.ts";
import type { Tool } from "./tools/tool.ts";

const MAX_DESCRIPTION_CHARS = 1_024;

export function define(name: string, tool: Tool | undefined): ToolDefinition {
  if (tool?.name !== name || !/^[\w.-]{1,64}$/.test(name)) throw new Error("a tool's name differs from its key");
  const { description, annotations } = tool;
  // As its caller writes it: what has a default may be left out.
  const inputSchema = { ...z.toJSONSchema(tool.input, { io: "input" }) };
  const definition = { name, description, inputSchema, ...annotations };
  if (!isHonest(definition)) throw new Error("a tool's definition is too long or holds invisible characters");
  return definition;
}

/** Its reader sees all that it says. */
export function isHonest(definition: ToolDefinition): boolean {
  let isShort = true;
  const text = JSON.stringify(definition, (key, part: unknown) => {
    // Of its arguments as well, at any depth.
    const isLong = key === "description" && typeof part === "string" && part.length > MAX_DESCRIPTION_CHARS;
    if (isLong) isShort = false;
    return part;
  });
  return isShort && !/[\p{C}\p{Zl}\p{Zp}]/u.test(text);
}

export async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
