/**
 * Fetches a public web page and gives its readable text. No state. Hosts that the deployment does not list are refused, also as the end of
 * a redirect; the page's words are data, and are marked as such by the door.
 */
import * as z from "zod";
import { type Fetch, type PageRead, readPage } from "../web/read.ts";
import { toReadable } from "../web/readable.ts";
import type { Tool, ToolReply } from "./tool.ts";

const TIME_LIMIT_MS = 10_000;

const Input = z.strictObject({
  url: z.string().min(1).max(2_048).describe('The page\'s address, for example "https://example.com/".'),
});

export function createFetchPage({ fetch, allowed }: { fetch: Fetch; allowed: readonly string[] }): Tool<typeof Input> {
  return {
    name: "fetch_page",
    description: `Fetches a web page and returns its readable text. Hosts: ${shown(allowed)}.`,
    input: Input,
    annotations: { readOnly: true, idempotent: true, private: false, cost: "metered" },
    timeLimitMs: TIME_LIMIT_MS,
    isOutside: true,
    async run({ url }, { signal }) {
      return toReply(await readPage(url, { fetch, allowed, signal }));
    },
  };
}

/** A description has an end. */
function shown(allowed: readonly string[]): string {
  const first = allowed.slice(0, 20).join(", ");
  return allowed.length > 20 ? `${first} and ${allowed.length - 20} more` : first;
}

const REASONS = {
  blocked_url: "This address may not be fetched.",
  too_many_redirects: "The page leads on too often.",
  not_text: "There is no text at this address.",
  status: "The page cannot be shown: its server refused.",
  unreachable: "The page could not be reached.",
} as const;

function toReply(read: PageRead): ToolReply {
  if (!read.ok) {
    const failure = read.why === "blocked_url" || read.why === "too_many_redirects" ? "blocked_url" : "upstream_error";
    return { ok: false, content: REASONS[read.why], failure };
  }
  const isHtml = read.type.includes("html");
  const { title, text } = isHtml ? toReadable(read.text) : { title: "", text: read.text };
  const lines = [`Address: ${read.url.href}`, ...(title === "" ? [] : [`Title: ${title}`]), "", text];
  return { ok: true, content: [...lines, ...(read.isCut ? ["[the page goes on]"] : [])].join("\n") };
}
