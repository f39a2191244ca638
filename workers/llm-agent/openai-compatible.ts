/**
 * STORE: a provider that speaks OpenAI's API. The only file that knows the `openai` package: it sends the request, once, and
 * turns every refusal into ours. Redirects are not followed; no vendor text leaves this file; at most 16 KiB of an error is read.
 */
import OpenAI, { APIError } from "openai";
import type { Endpoint } from "./provider.ts";
import { readText } from "./read-text.ts";
import { faulty, refuseMediaType, type Outcome, type RefusedResponse, refuseResponse } from "./refusal.ts";

const MAX_ERROR_BYTES = 16 * 1024;

/** How vLLM says what OpenAI has a code for: "maximum context length", or "maximum model length". */
const TOO_LONG = /maximum (?:context|model) length/i;

/** The whole of what a provider is asked for, below its base URL: what stands before a node need not let more through. */
export const PROVIDER_PATHS = ["/chat/completions", "/embeddings", "/models"] as const;

export interface ProviderCall {
  path: (typeof PROVIDER_PATHS)[number];
  /** Left out: a GET. */
  body?: Record<string, unknown>;
  mediaType: "text/event-stream" | "application/json";
  /** Aborts the request until its headers are here, and its body after that. */
  signal: AbortSignal;
}

export interface Net {
  fetch: typeof fetch;
  now: () => number;
}

/** The provider's response, unread. An aborted call gives any refusal: the caller knows why it aborted. */
export async function callProvider(endpoint: Endpoint, call: ProviderCall, net: Net): Promise<Outcome<Response>> {
  const options = { signal: call.signal, headers: { Accept: call.mediaType } };
  try {
    const client = createClient(endpoint, net.fetch);
    const sent =
      call.body === undefined
        ? client.get(call.path, options)
        : client.post(call.path, { ...options, body: call.body });
    const response = await sent.asResponse();
    const mediaType = mediaTypeOf(response.headers);
    if (mediaType === call.mediaType) return { ok: true, value: response };
    await response.body?.cancel();
    return refuseMediaType(mediaType);
  } catch (error) {
    const answered = readApiError(error);
    return answered === undefined
      ? faulty("the model provider cannot be reached")
      : refuseResponse(answered, net.now());
  }
}

/** Undefined where no response came at all. */
function readApiError(error: unknown): RefusedResponse | undefined {
  if (!(error instanceof APIError)) return undefined;
  // `instanceof` widens the package's generics to any; these are its documented shapes.
  const { status, headers, code } = error as APIError<number | undefined, Headers | undefined, object | undefined>;
  if (status === undefined || headers === undefined) return undefined;
  const json = mediaTypeOf(headers) === "application/json";
  const known = TOO_LONG.test(error.message) ? "context_length_exceeded" : (code ?? undefined);
  return { status, json, code: known, retryAfter: headers.get("retry-after") };
}

/** One a request: nothing of a request outlives it. What is left out here the package would read from process.env. */
function createClient({ baseUrl, apiKey, headers }: Endpoint, send: typeof fetch): OpenAI {
  return new OpenAI({
    baseURL: baseUrl,
    apiKey: apiKey ?? "none",
    adminAPIKey: null,
    organization: null,
    project: null,
    webhookSecret: null,
    defaultHeaders: apiKey === undefined ? { ...headers, Authorization: null } : headers,
    maxRetries: 0,
    logLevel: "off",
    fetch: async (url, init) => boundError(await send(url, { ...init, redirect: "manual" })),
  });
}

/** The package reads an error's body whole, whatever its size: it gets a short JSON one or none, in OpenAI's form. */
async function boundError(response: Response): Promise<Response> {
  if (response.ok) return response;
  const { status, headers } = response;
  if (mediaTypeOf(headers) === "application/json") {
    const text = await readText(response, MAX_ERROR_BYTES);
    return new Response(text === undefined ? null : nestError(text), { status, headers });
  }
  await response.body?.cancel();
  return new Response(null, { status, headers });
}

/** Older servers of vLLM send the error itself, where others have it under `error`. */
function nestError(text: string): string {
  return text.startsWith("{") && !/"error"\s*:/.test(text) ? `{"error":${text}}` : text;
}

function mediaTypeOf(headers: Headers): string {
  return (headers.get("content-type") ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
}
