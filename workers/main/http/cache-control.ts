/**
 * The Cache-Control header of a request, joined with the `cache` field of its body: what either forbids is forbidden. Pure.
 * Follows RFC 9111, section 5.2.1; directives that say nothing of reading or writing are passed over.
 */
import type { ChatRequest } from "../../../contracts/chat.ts";

type CacheField = NonNullable<ChatRequest["cache"]>;

/** Undefined when neither says anything. */
export function withCacheControl(field: CacheField | undefined, header: string | null): CacheField | undefined {
  const directives = parseDirectives(header ?? "");
  const said = new Set([...directives.keys(), field?.mode ?? "default"]);
  const [noStore, noCache, onlyIfCached] = [said.has("no-store"), said.has("no-cache"), said.has("only-if-cached")];
  const maxAge = directives.has("max-age") ? readSeconds(directives.get("max-age")) : Infinity;
  if (!noStore && !noCache && !onlyIfCached && maxAge === Infinity) return field;
  // Nothing to read and nothing to make: no entry is young enough.
  const never = onlyIfCached && (noStore || noCache);
  const maxAgeSeconds = Math.min(maxAge, field?.max_age_seconds ?? Infinity, never ? 0 : Infinity);
  return {
    ...field,
    mode: onlyIfCached ? "only-if-cached" : noStore ? "no-store" : noCache ? "no-cache" : "default",
    ...(maxAgeSeconds !== Infinity && { max_age_seconds: maxAgeSeconds }),
  };
}

function parseDirectives(header: string): Map<string, string> {
  const directives = header.split(",").map((directive): [string, string] => {
    const [name = "", value = ""] = directive.split("=");
    return [name.trim().toLowerCase(), value.trim().replaceAll('"', "")];
  });
  return new Map(directives);
}

/** A number that cannot be read asks for the youngest there is. */
function readSeconds(text: string | undefined): number {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : 0;
}
