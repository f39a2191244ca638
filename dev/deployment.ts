/**
 * What the commands around a deployment share: its Workers, its environments, and how wrangler is run. No state. Reads no .dev.vars.
 */
import { execFile, spawn } from "node:child_process";
import { promisify } from "node:util";
import { ROOT, WRANGLER, WRANGLER_ENV } from "./build.ts";

/** By their configuration files, in the order of deployment: a binding needs its target. */
export const WORKERS = [
  { name: "llm-agent", config: "wrangler.llm-agent.toml" },
  { name: "mcp", config: "wrangler.mcp.toml" },
  { name: "main", config: "wrangler.toml" },
] as const;

/** Of the wrangler files; the empty one is their top level. */
export const ENVIRONMENTS = ["", "staging", "production"];

export function isEnvironment(name: string): boolean {
  return ENVIRONMENTS.includes(name);
}

/** What the Workers of one `npm run deploy` have in common. */
export interface Release {
  /** Newer ones sort after older ones. */
  id: string;
  /** The schema that the code knows. */
  schema: number;
}

/** Said of each version that is deployed, for whoever goes back to it. */
export function writeRelease({ id, schema }: Release): string {
  return `release ${id}, schema ${schema}`;
}

/** Undefined: the version was deployed by another command. */
export function readRelease(message: string | undefined): Release | undefined {
  const [, id, schema] = /^release (\S+), schema (\d+)$/.exec(message ?? "") ?? [];
  return id === undefined ? undefined : { id, schema: Number(schema) };
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
