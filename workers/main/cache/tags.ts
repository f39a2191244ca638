/**
 * Tags: what an entry is found by to be purged. Pure. A tag is a kind and a value that its schema has checked, and is only ever
 * compared as a whole: no pattern and no part of it counts.
 */
import type { CacheFilter, CachedRoute, Layer } from "../../../contracts/cache.ts";

/** Who and what an entry comes from. */
export interface Origin {
  userId: string;
  /** Left out: of a tool that was called outside a session. */
  sessionId?: string;
  route: CachedRoute;
  /** As it was asked for, and as it answered. */
  models: string[];
  /** Whose results or calls are in it. */
  tools: string[];
}

const EVERY_ENTRY = "all";

export function tagsOf(layer: Layer, { userId, sessionId, route, models, tools }: Origin): string[] {
  const each = (kind: string, values: string[]): string[] => [...new Set(values)].map((value) => `${kind}:${value}`);
  return [
    ...[EVERY_ENTRY, `layer:${layer}`, `route:${route}`, `user:${userId}`],
    ...(sessionId === undefined ? [] : [`session:${sessionId}`]),
    ...each("model", models),
    ...each("tool", tools),
  ];
}

/** Kinds by how few entries carry one of their tags. */
const BY_SELECTIVITY = ["session", "user", "tool", "model", "route", "layer"] as const satisfies (keyof CacheFilter)[];

/** The tags that an entry must carry, all of them, the most selective first. Without any, every entry. */
export function tagsOfFilter(filter: CacheFilter): [string, ...string[]] {
  const [first = EVERY_ENTRY, ...rest] = BY_SELECTIVITY.flatMap((kind) =>
    filter[kind] === undefined ? [] : [`${kind}:${filter[kind]}`],
  );
  return [first, ...rest];
}
