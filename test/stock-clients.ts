/**
 * Clients of others, unchanged, on a house: the package of OpenAI and the AI SDK. Every reply they get is held against the API's document.
 */
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { OpenAI } from "openai";
import { findMismatch } from "./documented.ts";
import type { House, Tenant } from "./house.ts";

export function openAiOf(house: House, { apiKey }: Tenant): OpenAI {
  return new OpenAI({ apiKey, baseURL: `${house.url.origin}/v1`, maxRetries: 0, fetch: checkedFetch });
}

export function compatibleOf(house: House, { apiKey }: Tenant) {
  const baseURL = `${house.url.origin}/v1`;
  return createOpenAICompatible({ name: "basechat", apiKey, baseURL, includeUsage: true, fetch: checkedFetch });
}

/** A response's id as that of its turn. */
export function turnOf(responseId: string): string {
  return responseId.slice(5).replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** One red pixel, as PNG. */
export const RED_PIXEL =
  "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg==";

export const checkedFetch: typeof fetch = async (input, init) => {
  const request = new Request(input, init);
  const { pathname, search } = new URL(request.url);
  const response = await fetch(request);
  const mismatch = await findMismatch({ method: request.method, path: pathname + search, response });
  if (mismatch !== undefined) throw new Error(mismatch);
  return response;
};
