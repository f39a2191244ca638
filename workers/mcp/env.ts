/**
 * The Worker's settings. Pure. Names a malformed setting, never its value.
 */
import * as z from "zod";
import { OriginList } from "../../contracts/origins.ts";

const Env = z.object({
  /** Origins that a browser may call from, separated by commas. */
  MCP_ALLOWED_ORIGINS: z.string().default("").pipe(OriginList),
});

interface Config {
  allowedOrigins: readonly string[];
}

export type ConfigResult = { ok: true; config: Config } | { ok: false; badKeys: string[] };

export function readConfig(env: unknown): ConfigResult {
  const parsed = Env.safeParse(env);
  if (parsed.success) return { ok: true, config: { allowedOrigins: parsed.data.MCP_ALLOWED_ORIGINS } };
  return { ok: false, badKeys: [...new Set(parsed.error.issues.map((issue) => String(issue.path[0])))] };
}
