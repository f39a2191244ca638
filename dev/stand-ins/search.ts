/**
 * Web search as Brave, Tavily and SearXNG answer it, with keys of this stand-in; handlers for serveInternet. No state.
 * Mode `broken` of the internet stand-in answers with what is no result; a wrong key with 401.
 */
import { type Handle, replyJson } from "./serve.ts";

export const SEARCH_KEY = "local-search-key";

const rows = (count: number) =>
  Array.from({ length: count }, (_, at) => ({ title: `Result ${at + 1}`, url: `https://pages.example.com/${at + 1}` }));
const HOSTILE = [{ title: "Script", url: "javascript:alert(1)" }, "no result", { title: "No address" }];

export const brave: Handle = ({ headers, query }, response, { mode }) => {
  if (mode === "broken") return replyJson(response, 500, { error: "canary-7788" });
  if (headers["x-subscription-token"] !== SEARCH_KEY) return replyJson(response, 401, { error: "canary-7788" });
  const found = rows(Number(query.get("count"))).map((row) => ({
    ...row,
    description: `About <strong>${query.get("q")}</strong>`,
  }));
  replyJson(response, 200, { web: { results: [...HOSTILE, ...found] } });
};

export const tavily: Handle = ({ headers, body }, response) => {
  if (headers.authorization !== `Bearer ${SEARCH_KEY}`) return replyJson(response, 401, { error: "canary-7788" });
  const { query, max_results } = JSON.parse(body.toString()) as { query: string; max_results: number }; // of our own client
  replyJson(response, 200, { results: rows(max_results).map((row) => ({ ...row, content: `About ${query}` })) });
};

export const searxng: Handle = ({ path, query }, response) => {
  if (path !== "/search" || query.get("format") !== "json") return replyJson(response, 403, { error: "canary-7788" });
  replyJson(response, 200, { results: rows(20).map((row) => ({ ...row, content: `About ${query.get("q")}` })) });
};
