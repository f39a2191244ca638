/**
 * WWW-Authenticate: what a credential must be, for whoever has none that will do. A client of /mcp is also told where it can read about it
 * (RFC 9728), and which scope it lacks (RFC 6750). Pure.
 */
import type { Failure } from "../../../contracts/errors.ts";

export const METADATA_PATH = "/.well-known/oauth-protected-resource";

/** Undefined where another credential would not help. */
export function challengeFor({ code, details }: Failure, url: string): string | undefined {
  const lacked = code === "forbidden" ? details?.["scope"] : undefined;
  if (code !== "unauthorized" && typeof lacked !== "string") return undefined;
  const { pathname, origin } = new URL(url);
  if (pathname !== "/mcp") return "Bearer";
  const about = `scope="mcp", resource_metadata="${origin}${METADATA_PATH}/mcp"`;
  return code === "unauthorized" ? `Bearer ${about}` : `Bearer error="insufficient_scope", ${about}`;
}
