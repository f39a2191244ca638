/**
 * The tools by name. A tool's module loads when it is first wanted; the list with its version (SHA-256 of the canonical
 * definitions) is kept as plain data once made. Refuses to list a definition that could mislead its reader.
 */
import * as z from "zod";
import type { ToolDefinition, ToolList } from "../../contracts/tools.ts";
import type { Tool } from "./tools/tool.ts";

export type ToolLoaders = Record<string, () => Promise<Tool>>;

export const TOOL_LOADERS: ToolLoaders = {
  calculator: async () => (await import("./tools/calculator.ts")).calculator,
  current_time: async () => (await import("./tools/current-time.ts")).currentTime,
  echo: async () => (await import("./tools/echo.ts")).echo,
};

export interface Registry {
  /** Sorted by name, so that the same tools always give the same text. */
  list(): Promise<ToolList>;
  /** Undefined when there is no such tool. */
  find(name: string): Promise<Tool | undefined>;
}

export function createRegistry(loaders: ToolLoaders): Registry {
  let known: ToolList | undefined;
  return {
    async list() {
      known ??= await makeList(loaders);
      return known;
    },
    // own properties only: a name such as "constructor" is nobody's tool
    find: async (name) => (Object.hasOwn(loaders, name) ? await loaders[name]?.() : undefined),
  };
}

async function makeList(loaders: ToolLoaders): Promise<ToolList> {
  const names = Object.keys(loaders).sort();
  const tools = await Promise.all(names.map(async (name) => define(name, await loaders[name]?.())));
  return { version: await sha256(canonicalJson(tools)), tools };
}

function define(name: string, tool: Tool | undefined): ToolDefinition {
  if (tool?.name !== name || !/^[\w.-]{1,64}$/.test(name)) throw new Error("a tool's name differs from its key");
  const { description, annotations } = tool;
  const definition = { name, description, inputSchema: { ...z.toJSONSchema(tool.input) }, ...annotations };
  if (description.length > 1_024 || /[\p{C}\p{Zl}\p{Zp}]/u.test(JSON.stringify(definition))) {
    throw new Error("a tool's definition is too long or holds invisible characters");
  }
  return definition;
}

/** JSON with the keys of every object in order. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === "object" && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}

async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
