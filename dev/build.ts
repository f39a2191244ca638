/**
 * The three Workers' bundles, as a deployment would upload them, for tests and benchmarks on plain workerd.
 * State: a temporary folder for as long as it takes.
 */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

export const ROOT = join(import.meta.dirname, "..");
/** Started with process.execPath: package runners swallow signals, and take the system's Node. */
export const WRANGLER = join(ROOT, "node_modules/wrangler/bin/wrangler.js");
/** It tells and asks nobody about metrics, newer versions and where this machine is. */
export const WRANGLER_ENV = {
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
  WRANGLER_SEND_METRICS: "false",
  WRANGLER_HIDE_BANNER: "true",
};
/** Top-level: what runs here, or is deployed without a name for its environment. */
export const CONFIGS = ["wrangler.toml", "wrangler.llm-agent.toml", "wrangler.mcp.toml"] as const;

/** A Worker's script by its configuration file, relative to the root. */
export type Bundles = Record<string, string>;

const run = promisify(execFile);

/** Of this repository, or of a copy of it in another folder. */
export async function buildWorkers(configs: readonly string[] = CONFIGS, root = ROOT): Promise<Bundles> {
  const built = await Promise.all(configs.map(async (config) => [config, await buildWorker(config, root)] as const));
  return Object.fromEntries(built);
}

async function buildWorker(config: string, root: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "basechat-build-"));
  try {
    await run(process.execPath, [WRANGLER, "deploy", "--dry-run", "-c", config, "--env", "", "--outdir", folder], {
      cwd: root,
      env: { ...process.env, ...WRANGLER_ENV },
    });
    return await readFile(join(folder, "index.js"), "utf8");
  } finally {
    await rm(folder, { recursive: true });
  }
}
