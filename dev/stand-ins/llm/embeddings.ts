/**
 * The stand-in's embeddings: a hashed bag of words, of length 1, so that texts of the same words are near each other and the same text
 * always gives the same vector. It knows no meaning: another word for the same thing is another thing. Pure but for the reply.
 */
import type { ServerResponse } from "node:http";
import * as z from "zod";
import type { Faults } from "./faults.ts";
import { billEmbeddings } from "./bill.ts";
import { replyJson, type StandInCall } from "../serve.ts";

const DIMENSIONS = 256;
/** Several a word, so that two words seldom share them all. */
const PLACES = 4;
/** Words that most sentences have say little of what one is about. */
const COMMON =
  /^(a|an|and|are|at|by|can|could|do|does|for|how|i|in|is|it|me|must|my|of|on|or|please|tell|that|the|this|to|want|way|what|which|with|you|your)$/;
const COMMON_WEIGHT = 0.15;

const Text = z.string().min(1);
const Body = z.object({
  model: z.string().min(1),
  input: z.union([Text, z.array(Text).min(1).max(2_048)]),
  encoding_format: z.enum(["float", "base64"]).nullish(),
  dimensions: z.int().min(1).max(4_096).nullish(),
});
export type EmbeddingsBody = z.infer<typeof Body>;

/** The request, or what is wrong with it. */
export function parseEmbeddingsRequest(body: Buffer): EmbeddingsBody | { problem: string } {
  const parsed = Body.safeParse(parseJson(body));
  return parsed.success ? parsed.data : { problem: z.prettifyError(parsed.error) };
}

export function sendEmbeddings(
  { model, input, encoding_format: format, dimensions }: EmbeddingsBody,
  { response, faults, call }: { response: ServerResponse; faults: Faults; call: StandInCall },
): void {
  const texts = typeof input === "string" ? [input] : input;
  const tokens = texts.reduce((sum, text) => sum + Math.ceil(text.length / 4), 0);
  const data = texts.map((text, index) => {
    const vector = embedText(text, dimensions ?? DIMENSIONS);
    const embedding = format === "base64" ? Buffer.from(vector.buffer).toString("base64") : Array.from(vector);
    return { object: "embedding", index, embedding };
  });
  call.count("texts_embedded", texts.length);
  const usage = faults.usage === "none" ? {} : { usage: { prompt_tokens: tokens, total_tokens: tokens } };
  const reply = { object: "list", data, model, ...usage };
  const isWhole = faults.breaks === undefined && faults.stallFirst === undefined;
  billEmbeddings(call, tokens, isWhole && faults.usage !== "none");
  if (isWhole) return replyJson(response, 200, reply);
  response.writeHead(200, { "content-type": "application/json" });
  response.flushHeaders();
  if (faults.stallFirst !== undefined || faults.breaks?.kind === "stall") return;
  const text = JSON.stringify(reply);
  response.write(text.slice(0, text.length / 2), () => call.hangUp("close"));
}

function embedText(text: string, dimensions: number): Float32Array<ArrayBuffer> {
  const vector = new Float32Array(dimensions);
  for (const [word] of text
    .normalize("NFKC")
    .toLowerCase()
    .matchAll(/[\p{L}\p{N}]+/gu)) {
    const weight = COMMON.test(word) ? COMMON_WEIGHT : 1;
    for (let place = 0; place < PLACES; place += 1) {
      const hash = hashOf(`${place} ${word}`);
      const at = (hash >>> 1) % dimensions;
      vector[at] = (vector[at] ?? 0) + (hash % 2 === 0 ? weight : -weight);
    }
  }
  const length = Math.hypot(...vector);
  // A text without words has some direction, too.
  if (length === 0) vector[0] = 1;
  return length === 0 ? vector : vector.map((number) => number / length);
}

/** FNV-1a with a final mix: neighbouring words share no bits. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (const char of text) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    return undefined;
  }
}
