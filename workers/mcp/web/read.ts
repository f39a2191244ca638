/**
 * Fetches a public page, hop by hop. No state. Refuses, before anything is sent, an address that may not be fetched, also one that a redirect
 * leads to; more than three redirects; what is no text. Reads 256 KiB at most, whatever is sent and however it is packed.
 */
import { readAddress } from "./address.ts";

const MAX_REDIRECTS = 3;
const MAX_BYTES = 256 * 1024;
const REDIRECTS = [301, 302, 303, 307, 308];
const TEXT = /^(text\/[\w.+-]+|application\/(json|xml|xhtml\+xml|[\w.-]+\+(json|xml)))$/;

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export type PageRead =
  | { ok: true; url: URL; type: string; text: string; isCut: boolean }
  | { ok: false; why: "blocked_url" | "too_many_redirects" | "not_text" | "status" | "unreachable" };

interface Options {
  fetch: Fetch;
  allowed: readonly string[];
  signal: AbortSignal;
}

export async function readPage(address: string, options: Options): Promise<PageRead> {
  let url = readAddress(address, options.allowed);
  for (let hop = 0; hop <= MAX_REDIRECTS; hop += 1) {
    if (url === undefined) return { ok: false, why: "blocked_url" };
    const response = await get(url, options);
    if (response === undefined) return { ok: false, why: "unreachable" };
    if (!REDIRECTS.includes(response.status)) return readText(response, url);
    await response.body?.cancel();
    url = readAddress(response.headers.get("location") ?? "", options.allowed, url);
  }
  return { ok: false, why: "too_many_redirects" };
}

async function get(url: URL, { fetch, signal }: Options): Promise<Response | undefined> {
  const headers = { accept: "text/html, text/plain, application/json", "user-agent": "BaseChat" };
  try {
    return await fetch(url.href, { redirect: "manual", headers, signal });
  } catch {
    return undefined;
  }
}

async function readText(response: Response, url: URL): Promise<PageRead> {
  const type = (response.headers.get("content-type") ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
  if (!response.ok || !TEXT.test(type)) {
    await response.body?.cancel();
    return { ok: false, why: response.ok ? "not_text" : "status" };
  }
  try {
    return { ok: true, url, type, ...(await readCapped(response.body)) };
  } catch {
    return { ok: false, why: "unreachable" };
  }
}

/** As UTF-8; bytes that are none become U+FFFD. Leaving the loop ends the request. */
async function readCapped(body: ReadableStream<Uint8Array> | null): Promise<{ text: string; isCut: boolean }> {
  const decoder = new TextDecoder();
  let [text, bytes] = ["", 0];
  for await (const chunk of body ?? []) {
    const kept = chunk.subarray(0, MAX_BYTES - bytes);
    text += decoder.decode(kept, { stream: true });
    bytes += chunk.byteLength;
    if (bytes > MAX_BYTES) return { text, isCut: true };
  }
  return { text: text + decoder.decode(), isCut: false };
}
