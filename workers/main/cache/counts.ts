/**
 * What the cache counts: from look-ups to the fields of a hash in Redis, and from these to the figures that are shown. Pure.
 * Tokens are counted by model, so that their cost is known at any later price.
 */
import type { CacheCounts, Layer, Saves } from "../../../contracts/cache.ts";
import { costUsd, type ModelPrices } from "../../../contracts/prices.ts";
import type { CacheRead } from "./cache.ts";

/** One look-up of a turn; `joined`: there was no entry, but another turn was making the answer, and this one shared it. */
export type Looked = { layer: Layer } & ({ read: CacheRead<Layer> } | { joined: Saves });

/** By field of the hash. */
export type Counts = Map<string, number>;

export function countLooked(looked: Looked[]): Counts {
  const counts: Counts = new Map();
  const add = (layer: Layer, what: string, by = 1): void => {
    if (by > 0) counts.set(`${layer}:${what}`, (counts.get(`${layer}:${what}`) ?? 0) + by);
  };
  for (const { layer, ...look } of looked) {
    const read = "read" in look ? look.read : ({ verdict: "hit", saves: look.joined } as const);
    add(layer, { hit: "hits", miss: "misses", bypass: "bypasses" }[read.verdict]);
    if ("joined" in look) add(layer, "joined");
    if (read.verdict === "bypass" && read.why === "away") add(layer, "outages");
    if (read.verdict !== "hit") continue;
    if ("isSimilar" in read) add(layer, "similar");
    const { calls, ms, tokens } = read.saves;
    add(layer, "calls", calls);
    add(layer, "ms", ms);
    add(layer, `prompt:${tokens?.model}`, tokens?.prompt ?? 0);
    add(layer, `completion:${tokens?.model}`, tokens?.completion ?? 0);
  }
  return counts;
}

/** The figures of one layer, out of a hash as Redis gives it: names and values in turn. */
export function readCounts(hash: unknown, layer: Layer, prices: ModelPrices): CacheCounts {
  const fields = toFields(hash);
  const get = (what: string): number => fields.get(`${layer}:${what}`) ?? 0;
  const [hits, misses] = [get("hits"), get("misses")];
  return {
    ...{
      hits,
      joined: get("joined"),
      similar: get("similar"),
      misses,
      bypasses: get("bypasses"),
      outages: get("outages"),
      kept: get("kept"),
    },
    hit_rate: hits + misses === 0 ? null : hits / (hits + misses),
    saved: { calls: get("calls"), ms: get("ms"), ...tokensSaved(fields, layer, prices) },
  };
}

function tokensSaved(fields: Counts, layer: Layer, prices: ModelPrices) {
  let cost: number | null = null;
  const sums = { prompt_tokens: 0, completion_tokens: 0 };
  for (const kind of ["prompt", "completion"] as const) {
    const prefix = `${layer}:${kind}:`;
    for (const [field, by] of fields) {
      if (!field.startsWith(prefix)) continue;
      sums[`${kind}_tokens`] += by;
      const usage = { prompt_tokens: 0, completion_tokens: 0, total_tokens: by, [`${kind}_tokens`]: by };
      const price = costUsd(prices, field.slice(prefix.length), usage);
      if (price !== null) cost = (cost ?? 0) + price;
    }
  }
  return { ...sums, cost_usd: cost };
}

function toFields(hash: unknown): Counts {
  const fields: Counts = new Map();
  if (!Array.isArray(hash)) return fields;
  for (let at = 0; at < hash.length; at += 2) {
    const by = Number(hash[at + 1]);
    if (Number.isSafeInteger(by) && by >= 0) fields.set(String(hash[at]), by);
  }
  return fields;
}
