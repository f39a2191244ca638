/**
 * Searches the web through the provider that the deployment configures. No state. Without a provider there is no such tool; a provider that
 * does not answer is a failure. Refuses queries above 400 characters.
 */
import * as z from "zod";
import type { Fetch } from "../web/read.ts";
import { type Found, type SearchProvider, searchWeb } from "../web/search.ts";
import type { Tool } from "./tool.ts";

const TIME_LIMIT_MS = 10_000;

const Input = z.strictObject({
  query: z
    .string()
    .max(400)
    .transform((query) => query.replaceAll(/\p{C}+/gu, " ").trim())
    .pipe(z.string().min(1))
    .describe("What to search for."),
  count: z.int().min(1).max(10).default(5).describe("How many results."),
});

export function createWebSearch(options: { fetch: Fetch; provider: SearchProvider }): Tool<typeof Input> {
  const { fetch, provider } = options;
  return {
    name: "web_search",
    description: "Searches the web and returns titles, addresses and snippets of pages.",
    input: Input,
    annotations: { readOnly: true, idempotent: true, private: false, cost: "metered" },
    timeLimitMs: TIME_LIMIT_MS,
    isOutside: true,
    async run({ query, count }, { signal }) {
      const found = await searchWeb({ text: query, count }, provider, { fetch, signal });
      if (found === undefined) return { ok: false, content: "The search did not answer.", failure: "upstream_error" };
      return { ok: true, content: found.length === 0 ? "Nothing was found." : found.map(show).join("\n\n") };
    },
  };
}

function show({ title, url, snippet }: Found, at: number): string {
  return [`${at + 1}. ${title}`, url, snippet].filter((line) => line !== "").join("\n");
}
