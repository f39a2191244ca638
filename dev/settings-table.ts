/**
 * What the Workers' schemas say of their settings: names, defaults, meanings. Pure. For the documents, the doctor and the set-up;
 * refuses a setting that does not say what it means.
 */
import type * as z from "zod";
import { Settings as AgentSettings } from "../workers/llm-agent/env.ts";
import { Settings as MainSettings } from "../workers/main/env.ts";
import { Settings as McpSettings } from "../workers/mcp/env.ts";

export type WorkerName = "main" | "llm-agent" | "mcp";

export interface SettingFacts {
  name: string;
  meaning: string;
  /** As the documents show it; empty: there is none. */
  default: string;
  isSecret: boolean;
  /** Without it a feature that every deployment wants stays closed. */
  isRequired: boolean;
}

export const SCHEMAS: Record<WorkerName, z.ZodObject> = {
  main: MainSettings,
  "llm-agent": AgentSettings,
  mcp: McpSettings,
};
export const WORKER_NAMES = ["main", "llm-agent", "mcp"] as const satisfies WorkerName[];

export function listSettings(worker: WorkerName): SettingFacts[] {
  return Object.entries(SCHEMAS[worker].shape).map(([name, schema]) => describe(name, schema as z.ZodType)); // of z.object
}

/** The Workers that read a setting; none: nobody knows the name. */
export function readersOf(name: string): WorkerName[] {
  return WORKER_NAMES.filter((worker) => name in SCHEMAS[worker].shape);
}

function describe(name: string, schema: z.ZodType): SettingFacts {
  const { description, default: shown, secret, required } = schema.meta() ?? {};
  if (description === undefined) throw new Error(`${name} does not say what it means: .meta({ description })`);
  const fallback = typeof shown === "string" ? shown : show(schema.parse(undefined));
  return { name, meaning: description, default: fallback, isSecret: secret === true, isRequired: required === true };
}

function show(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? `\`${value}\`` : "";
}
