/** What a model's tokens cost. Pure. A model without a price has no known cost, which is not the same as none. */
import * as z from "zod";
import type { BilledUsage, CacheVerdict, Usage } from "./chat.ts";
import { lookUp } from "./name-patterns.ts";

const UsdPerMillionTokens = z.number().min(0);

/** In US dollars for a million tokens. */
export const ModelPrice = z
  .strictObject({
    input: UsdPerMillionTokens,
    /** Of a prompt's tokens that the provider had read before; left out: as the others. */
    cached_input: UsdPerMillionTokens.optional(),
    output: UsdPerMillionTokens,
  })
  .meta({ id: "ModelPrice" });
export type ModelPrice = z.infer<typeof ModelPrice>;

/** By model name, or by a pattern that ends in `*`. */
export type ModelPrices = Readonly<Record<string, ModelPrice>>;

export function costUsd(prices: ModelPrices, model: string | undefined, usage: Usage | undefined): number | null {
  const price = model === undefined ? undefined : lookUp(prices, model);
  if (price === undefined || usage === undefined) return null;
  const { prompt_tokens, cached_tokens = 0, completion_tokens } = usage;
  const { input, cached_input = input, output } = price;
  return ((prompt_tokens - cached_tokens) * input + cached_tokens * cached_input + completion_tokens * output) / 1e6;
}

interface Used {
  model: string;
  usage: Usage;
  cache?: CacheVerdict;
}

/** An answer from the cache costs nothing, whatever it had cost. */
export function billOf(prices: ModelPrices, { model, usage, cache }: Used): BilledUsage {
  return { ...usage, cost_usd: cache === "hit" ? 0 : costUsd(prices, model, usage) };
}
