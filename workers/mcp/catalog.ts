/**
 * Which tools there are: each by its name, with how its module is loaded. Pure. A tool whose settings are missing is not there, rather than
 * one that fails.
 */
import type { Config } from "./env.ts";
import type { Embedder } from "./knowledge/embedder.ts";
import type { KnowledgeStore } from "./knowledge/store.ts";
import type { ToolLoaders } from "./registry.ts";
import type { Fetch } from "./web/read.ts";

/** Without settings. */
export const TOOL_LOADERS: ToolLoaders = {
  calculator: async () => (await import("./tools/calculator.ts")).calculator,
  current_time: async () => (await import("./tools/current-time.ts")).currentTime,
  echo: async () => (await import("./tools/echo.ts")).echo,
};

export interface ToolParts {
  /** To the public network. */
  fetch: Fetch;
  /** Undefined without a database. */
  store: KnowledgeStore | undefined;
  /** Undefined: documents are found by their words alone. */
  embedder: Embedder | undefined;
  newId: () => string;
}

/** With what they need. */
export function configuredTools(config: Config, { fetch, store, embedder, newId }: ToolParts): ToolLoaders {
  const { fetchHosts, searchProvider: provider } = config;
  const knowledge = () => import("./tools/knowledge.ts");
  return {
    ...(fetchHosts.length > 0 && {
      fetch_page: async () => (await import("./tools/fetch-page.ts")).createFetchPage({ fetch, allowed: fetchHosts }),
    }),
    ...(provider && {
      web_search: async () => (await import("./tools/web-search.ts")).createWebSearch({ fetch, provider }),
    }),
    ...(store && {
      add_document: async () => (await knowledge()).createAddDocument({ store, embedder, newId }),
      delete_document: async () => (await knowledge()).createDeleteDocument({ store }),
      search_documents: async () => (await knowledge()).createSearchDocuments({ store, embedder }),
      search_history: async () => (await import("./tools/search-history.ts")).createSearchHistory({ store }),
    }),
  };
}
