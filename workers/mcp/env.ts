/**
 * The Worker's settings. Pure. Names a malformed setting, never its value.
 */
import * as z from "zod";

const Origin = z.string().refine((text) => URL.canParse(text) && new URL(text).origin === text && text !== "null");

const Env = z.object({
  /** Origins that a browser may call from, separated by commas. */
  MCP_ALLOWED_ORIGINS: z
    .string()
    .default("")
    .transform((list) =>
      list
        .split(",")
        .map((origin) => origin.trim())
        .filter((origin) => origin !== ""),
    )
    .pipe(z.array(Origin).max(100)),
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
