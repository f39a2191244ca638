/**
 * Web search by one of three providers. No state. What a provider sends is checked by its schema and cut to size; its own words about a
 * failure go nowhere. There are no results but a provider's.
 */
import * as z from "zod";
import type { Fetch } from "./read.ts";

export type SearchProvider =
  | { kind: "brave"; apiKey: string }
  | { kind: "tavily"; apiKey: string }
  | { kind: "searxng"; url: string };

export interface Found {
  title: string;
  url: string;
  snippet: string;
}

interface Query {
  text: string;
  count: number;
}

const MAX_REPLY_CHARS = 1024 * 1024;

const text = z.string().nullish();
const Result = z.object({ title: text, url: z.string(), description: text, content: text });
const Results = z.array(z.unknown()).transform((rows) => rows.flatMap((row) => Result.safeParse(row).data ?? []));
const REPLY = {
  brave: z.object({ web: z.object({ results: Results }).optional() }).transform(({ web }) => web?.results ?? []),
  tavily: z.object({ results: Results }).transform(({ results }) => results),
  searxng: z.object({ results: Results }).transform(({ results }) => results),
};

/** Undefined: the provider did not answer as it should. */
export async function searchWeb(
  query: Query,
  provider: SearchProvider,
  { fetch, signal }: { fetch: Fetch; signal: AbortSignal },
): Promise<Found[] | undefined> {
  const { url, init } = requestOf(provider, query);
  try {
    const response = await fetch(url, { ...init, redirect: "manual", signal });
    const body = response.ok ? await readCapped(response) : await response.body?.cancel();
    const reply = REPLY[provider.kind].safeParse(body === undefined ? undefined : JSON.parse(body));
    return reply.success ? reply.data.slice(0, query.count).flatMap(toFound) : undefined;
  } catch {
    return undefined;
  }
}

function requestOf(provider: SearchProvider, query: Query): { url: string; init: RequestInit } {
  if (provider.kind === "tavily") {
    const headers = { authorization: `Bearer ${provider.apiKey}`, "content-type": "application/json" };
    const body = JSON.stringify({ query: query.text, max_results: query.count });
    return { url: "https://api.tavily.com/search", init: { method: "POST", headers, body } };
  }
  if (provider.kind === "brave") {
    const asked = new URLSearchParams({ q: query.text, count: String(query.count) });
    const headers = { accept: "application/json", "x-subscription-token": provider.apiKey };
    return { url: `https://api.search.brave.com/res/v1/web/search?${asked.toString()}`, init: { headers } };
  }
  const asked = new URLSearchParams({ q: query.text, format: "json" });
  return {
    url: `${provider.url.replace(/\/$/, "")}/search?${asked.toString()}`,
    init: { headers: { accept: "application/json" } },
  };
}

async function readCapped({ body }: Response): Promise<string> {
  let whole = "";
  for await (const piece of body?.pipeThrough(new TextDecoderStream()) ?? []) {
    whole += piece;
    if (whole.length > MAX_REPLY_CHARS) throw new Error("the provider's answer is too large");
  }
  return whole;
}

function toFound({ title, url, description, content }: z.infer<typeof Result>): Found[] {
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) return [];
  const plain = (words: string | null | undefined, maxChars: number): string =>
    (words ?? "")
      .replaceAll(/<\/?(strong|b|em)>/gi, "")
      .replaceAll(/\s+/g, " ")
      .trim()
      .slice(0, maxChars)
      .toWellFormed();
  return [{ title: plain(title, 200), url: url.slice(0, 2_048), snippet: plain(description ?? content, 500) }];
}
