/**
 * The Worker's settings. Pure. Names a malformed setting, never its value.
 */
import * as z from "zod";
import { OriginList } from "../../contracts/origins.ts";

const Env = z.object({
  /** Origins that a browser may call from, separated by commas. */
  MCP_ALLOWED_ORIGINS: z.string().default("").pipe(OriginList),
  /** Seconds without a request after which a session ends. */
  MCP_SESSION_SECONDS: z.coerce.number().int().min(1).max(604_800).default(86_400),
  /** "1" adds the tools, resources and prompts that the conformance suite asks for. */
  MCP_CONFORMANCE: z.enum(["0", "1"]).default("0"),
});

export interface Config {
  allowedOrigins: readonly string[];
  sessionIdleMs: number;
  hasFixtures: boolean;
}

export type ConfigResult = { ok: true; config: Config } | { ok: false; badKeys: string[] };

export function readConfig(env: unknown): ConfigResult {
  const parsed = Env.safeParse(env);
  if (!parsed.success) {
    return { ok: false, badKeys: [...new Set(parsed.error.issues.map((issue) => String(issue.path[0])))] };
  }
  const { MCP_ALLOWED_ORIGINS: allowedOrigins, MCP_SESSION_SECONDS, MCP_CONFORMANCE } = parsed.data;
  return {
    ok: true,
    config: { allowedOrigins, sessionIdleMs: MCP_SESSION_SECONDS * 1_000, hasFixtures: MCP_CONFORMANCE === "1" },
  };
}
