/**
 * One call of one node for vectors, sent once, and its reply, checked. No state. Refuses a node that is silent for too long, and a reply
 * that has not one vector a text, vectors of several lengths, or what is no number.
 */
import * as z from "zod";
import {
  type Embeddings,
  type EmbedRequest,
  fromBase64,
  MAX_DIMENSIONS,
  MAX_TEXTS,
} from "../../contracts/embeddings.ts";
import { estimateTexts } from "../../contracts/rounds.ts";
import type { Attempt, AttemptDeps } from "./attempt.ts";
import { createLimit } from "./limit.ts";
import { callProvider } from "./openai-compatible.ts";
import { readText } from "./read-text.ts";
import { faulty, type Outcome, paidFor, type Refused, refused } from "./refusal.ts";

/** The longest vectors of the most texts, where a server writes its numbers as text. */
const MAX_REPLY_BYTES = 32 * 1024 * 1024;

const Tokens = z.int().min(0).max(1_000_000_000);
const Reply = z.object({
  data: z
    .array(z.object({ index: z.int().optional(), embedding: z.union([z.string(), z.array(z.number())]) }))
    .max(MAX_TEXTS),
  usage: z.object({ prompt_tokens: Tokens, total_tokens: Tokens.nullish() }).nullish().catch(undefined),
});

export async function embedOnce(attempt: Attempt<EmbedRequest>, deps: AttemptDeps): Promise<Outcome<Embeddings>> {
  const { endpoint, request, model, left } = attempt;
  const given = (refusal: Refused): Refused => paidFor(refusal, estimateTexts(request.texts));
  const limit = createLimit(left);
  try {
    limit.arm(deps.config.LLM_HEADERS_TIMEOUT_MS);
    const { texts: input, dimensions } = request;
    // Half the bytes of numbers as text; a server that does not know the form sends those.
    const body = { model, input, encoding_format: "base64", ...(dimensions !== undefined && { dimensions }) };
    const call = { path: "/embeddings", body, mediaType: "application/json", signal: limit.signal } as const;
    const sent = await callProvider(endpoint, call, deps);
    const over = limit.verdict();
    if (!sent.ok) return over ? given(over) : sent;
    const text = await readText(sent.value, MAX_REPLY_BYTES).catch(() => undefined);
    const embedded = limit.verdict() ?? readEmbeddings(text, request, endpoint.provider);
    return embedded.ok ? embedded : given(embedded);
  } finally {
    limit.disarm();
  }
}

export function readEmbeddings(
  text: string | undefined,
  { model, texts }: EmbedRequest,
  provider: string,
): Outcome<Embeddings> {
  if (text === undefined) return faulty("the model provider's answer was cut off", "upstream_truncated");
  const reply = Reply.safeParse(parseJson(text));
  if (!reply.success) return refused("upstream_error", "the model provider sent an unreadable answer");
  const { data, usage } = reply.data;
  const ordered = data.every(({ index }) => index !== undefined)
    ? data.toSorted((a, b) => Number(a.index) - Number(b.index))
    : data;
  const vectors = ordered.flatMap(({ embedding }) => toVector(embedding) ?? []);
  const [length = 0] = vectors.map((vector) => vector.length);
  const isOfText = ordered.every(({ index }, at) => index === undefined || index === at);
  if (vectors.length !== texts.length || !isOfText || vectors.some((vector) => vector.length !== length))
    return refused("upstream_error", "the model provider sent other vectors than were asked for");
  const prompt_tokens = usage?.prompt_tokens ?? 0;
  const counted = { prompt_tokens, completion_tokens: 0, total_tokens: prompt_tokens };
  return { ok: true, value: { model, provider, vectors, usage: usage ? counted : estimateTexts(texts) } };
}

function toVector(embedding: string | number[]): Float32Array | undefined {
  const vector = typeof embedding === "string" ? fromBase64(embedding) : Float32Array.from(embedding);
  if (vector === undefined || vector.length === 0 || vector.length > MAX_DIMENSIONS) return undefined;
  return vector.every(Number.isFinite) ? vector : undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
