/**
 * Cache keys. A key names layer, scope and the SHA-256 of the canonical request. Pure: no clock, no Redis.
 * Two requests that mean the same give the same key; what goes in is everything that the result depends on.
 */
import { createHash } from "node:crypto";
import type { Layer } from "../../../contracts/cache.ts";
import { canonicalJson } from "../../../contracts/canonical.ts";

/** Who may read an entry: everyone of the deployment, or one user. */
export type Scope = { shared: true } | { userId: string };

/** Of a tag: its entries' keys by the millisecond in which they end. */
export const INDEX = "basechat:tag:";
/** How many purges there were. */
export const PURGE_COUNT = "basechat:purges";
/** Tags by the number of their last purge. */
export const PURGED = "basechat:purged";

/** Counts since the beginning; behind a colon those of a day. */
export const STATS = "basechat:stats";

/** `parts` is JSON data; undefined members do not count. */
export function cacheKey(layer: Layer, scope: Scope, parts: Record<string, unknown>): string {
  const owner = ownerOf(scope);
  return `basechat:${layer}:${owner}:${digestOf({ layer, owner, parts })}`;
}

/** All that an answer depends on but the question itself, and the model that says what that means. */
export function meaningScope(model: string, parts: Record<string, unknown>): string {
  return digestOf({ meaning: model, parts: { ...parts, question: undefined } });
}

const DIGEST_CHARS = 16;

/** What a key is made of, part by part, so that two keys can be compared: nobody learns from it what the parts say. */
export function describeParts(scope: Scope, parts: Record<string, unknown>): Record<string, string> {
  const described: Record<string, string> = { scope: ownerOf(scope) };
  for (const [name, part] of Object.entries(parts)) {
    if (part !== undefined) described[name] = digestOf(part).slice(0, DIGEST_CHARS);
  }
  return described;
}

function ownerOf(scope: Scope): string {
  return "shared" in scope ? "shared" : `user:${scope.userId}`;
}

function digestOf(data: unknown): string {
  return createHash("sha256").update(canonicalJson(data)).digest("hex");
}
