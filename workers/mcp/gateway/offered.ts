/**
 * What a remote server says of its tools, made into definitions of ours. Pure. A server's word on what its tools do is not believed unless an
 * admin trusts it. Leaves out names that no model could say or that come twice, schemas that are too large, and definitions that could mislead their reader.
 */
import { canonicalJson } from "../../../contracts/canonical.ts";
import * as z from "zod";
import type { ToolDefinition } from "../../../contracts/tools.ts";
import { isHonest, sha256 } from "../definitions.ts";
import { type OfferedList, ourName } from "./server.ts";

const MAX_TOOLS = 64;
const MAX_SCHEMA_CHARS = 16 * 1024;

const Offered = z.object({
  name: z.string().regex(/^[\w-]{1,40}$/),
  description: z.string().default(""),
  inputSchema: z.looseObject({ type: z.literal("object") }),
  annotations: z.object({ readOnlyHint: z.boolean().optional(), idempotentHint: z.boolean().optional() }).prefault({}),
});

export interface Terms {
  server: string;
  allowed: readonly string[];
  trusted: boolean;
}

export async function toOfferedList(said: unknown[], { server, allowed, trusted }: Terms): Promise<OfferedList> {
  const tools: ToolDefinition[] = [];
  const refused: string[] = [];
  const wanted = inOrder(said.filter((one) => allowed.length === 0 || allowed.includes(nameOf(one))));
  for (const one of wanted) {
    const tool = toDefinition(one, server, trusted);
    const isNew = !tools.some(({ name }) => name === tool?.name);
    if (tool !== undefined && isNew && tools.length < MAX_TOOLS) tools.push(tool);
    else
      refused.push(
        nameOf(one)
          .replaceAll(/[^\w-]/g, "?")
          .slice(0, 40),
      );
  }
  // Of everything that was said, so that a change of any part of it is seen.
  return { hash: await sha256(canonicalJson(wanted)), tools, refused };
}

/** By name, so that a server may list its tools in any order. */
function inOrder(said: unknown[]): unknown[] {
  const keyed = said.map((one) => ({ one, key: `${nameOf(one)} ${canonicalJson(one)}` }));
  return keyed.sort((a, b) => (a.key < b.key ? -1 : 1)).map(({ one }) => one);
}

function toDefinition(said: unknown, server: string, trusted: boolean): ToolDefinition | undefined {
  const parsed = Offered.safeParse(said);
  if (!parsed.success) return undefined;
  const { name, description, inputSchema, annotations } = parsed.data;
  const definition: ToolDefinition = {
    ...{ name: ourName(server, name), description, inputSchema },
    readOnly: trusted && annotations.readOnlyHint === true,
    idempotent: trusted && annotations.idempotentHint === true,
    ...{ private: true, cost: "metered" },
  };
  const fits = definition.name.length <= 64 && JSON.stringify(inputSchema).length <= MAX_SCHEMA_CHARS;
  return fits && isHonest(definition) ? definition : undefined;
}

function nameOf(said: unknown): string {
  const parsed = z.object({ name: z.string() }).safeParse(said);
  return parsed.success ? parsed.data.name : "";
}
