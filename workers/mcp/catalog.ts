/**
 * Which tools there are: each by its name, with how its module is loaded. Pure. A tool whose settings are missing is not there, rather than
 * one that fails.
 */
import type { Config } from "./env.ts";
import type { ToolLoaders } from "./registry.ts";
import type { Fetch } from "./web/read.ts";

/** Without settings. */
export const TOOL_LOADERS: ToolLoaders = {
  calculator: async () => (await import("./tools/calculator.ts")).calculator,
  current_time: async () => (await import("./tools/current-time.ts")).currentTime,
  echo: async () => (await import("./tools/echo.ts")).echo,
};

/** With what they need. */
export function configuredTools({ fetchHosts, searchProvider: provider }: Config, fetch: Fetch): ToolLoaders {
  return {
    ...(fetchHosts.length > 0 && {
      fetch_page: async () => (await import("./tools/fetch-page.ts")).createFetchPage({ fetch, allowed: fetchHosts }),
    }),
    ...(provider && {
      web_search: async () => (await import("./tools/web-search.ts")).createWebSearch({ fetch, provider }),
    }),
  };
}
