/**
 * What the commands around a deployment share: its Workers, its environments, and how wrangler is run. No state. Reads no .dev.vars.
 */
import { execFile, spawn } from "node:child_process";
import { promisify } from "node:util";
import { ROOT, WRANGLER, WRANGLER_ENV } from "./build.ts";

/** By their configuration files, in the order of deployment: a binding needs its target. */
export const WORKERS = [
  { name: "mcp", config: "wrangler.mcp.toml" },
  { name: "llm-agent", config: "wrangler.llm-agent.toml" },
  { name: "main", config: "wrangler.toml" },
] as const;

/** Of the wrangler files; the empty one is their top level. */
export const ENVIRONMENTS = ["", "staging", "production"];

export function isEnvironment(name: string): boolean {
  return ENVIRONMENTS.includes(name);
}

/** A deployed version's message: the schema that its code knows, for whoever goes back to it. */
export function schemaMessage(version: number): string {
  return `schema ${version}`;
}

export function readSchemaMessage(message: string | undefined): number | undefined {
  const [, version] = /\bschema (\d+)\b/.exec(message ?? "") ?? [];
  return version === undefined ? undefined : Number(version);
}

/** Its JS file, as in dev/build.ts. Ctrl-C is left to it, so that what was done until then is told. */
export async function runWrangler(args: string[]): Promise<number> {
  const leaveToWrangler = () => {};
  process.on("SIGINT", leaveToWrangler);
  try {
    const env = { ...process.env, ...WRANGLER_ENV };
    const child = spawn(process.execPath, [WRANGLER, ...args], { cwd: ROOT, env, stdio: "inherit" });
    return await new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code) => resolve(code ?? 1));
    });
  } finally {
    process.off("SIGINT", leaveToWrangler);
  }
}

/** What wrangler writes as JSON; throws when it fails. */
export async function askWrangler(args: string[]): Promise<unknown> {
  const env = { ...process.env, ...WRANGLER_ENV };
  const { stdout } = await promisify(execFile)(process.execPath, [WRANGLER, ...args], { cwd: ROOT, env });
  return JSON.parse(stdout);
}
