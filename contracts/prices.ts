/** What a model's tokens cost. Pure. A model without a price has no known cost, which is not the same as none. */
import * as z from "zod";
import type { Usage } from "./chat.ts";

const UsdPerMillionTokens = z.number().min(0);

/** By model name, in US dollars for a million tokens. */
export const ModelPrices = z.record(
  z.string(),
  z.strictObject({ input: UsdPerMillionTokens, output: UsdPerMillionTokens }),
);
export type ModelPrices = z.infer<typeof ModelPrices>;

export function costUsd(prices: ModelPrices, model: string | undefined, usage: Usage | undefined): number | null {
  const price = model !== undefined && Object.hasOwn(prices, model) ? prices[model] : undefined;
  if (price === undefined || usage === undefined) return null;
  return (usage.prompt_tokens * price.input + usage.completion_tokens * price.output) / 1e6;
}
