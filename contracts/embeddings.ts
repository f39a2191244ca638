/**
 * Texts as vectors: what is asked of a model provider, and OpenAI's form of it for clients. Pure.
 * Refuses more texts or longer ones than one call carries, tokens in place of text, and unknown fields.
 */
import * as z from "zod";
import { ModelName, type Usage } from "./chat.ts";
import { fail, ok, type Result } from "./errors.ts";

export const MAX_TEXTS = 512;
/** Of all texts of a call together. */
export const MAX_TEXT_CHARS = 500_000;
/** A vector's numbers. */
export const MAX_DIMENSIONS = 4_096;

export interface EmbedRequest {
  model: string;
  texts: string[];
  /** Left out: as many as the model usually gives. */
  dimensions?: number;
}

export interface Embeddings {
  model: string;
  provider: string;
  /** One a text, in order, all of one length, which is not always 1. */
  vectors: Float32Array[];
  usage: Usage;
}

/** Whoever calls by RPC has parsed nothing: what one call carries is checked where it is made. */
export function checkTexts({ texts, dimensions = 1 }: EmbedRequest): Result<undefined> {
  const chars = texts.reduce((sum, text) => sum + text.length, 0);
  if (texts.length === 0 || texts.some((text) => text === ""))
    return fail("invalid_request", "there is no text, or an empty one");
  if (texts.length > MAX_TEXTS) return fail("invalid_request", `a call may have ${MAX_TEXTS} texts at most`);
  if (chars > MAX_TEXT_CHARS) return fail("invalid_request", `a call may have ${MAX_TEXT_CHARS} characters at most`);
  return Number.isInteger(dimensions) && dimensions >= 1 && dimensions <= MAX_DIMENSIONS
    ? ok(undefined)
    : fail("invalid_request", `a vector may have ${MAX_DIMENSIONS} dimensions at most`);
}

const Text = z.string().min(1).max(MAX_TEXT_CHARS);

/** The body of POST /v1/embeddings. Lists of tokens are not taken: a token means something to one model only. */
export const EmbeddingsRequest = z
  .strictObject({
    model: ModelName,
    input: z.union([Text, z.array(Text).min(1).max(MAX_TEXTS)]),
    encoding_format: z.enum(["float", "base64"]).default("float"),
    dimensions: z.int().min(1).max(MAX_DIMENSIONS).optional(),
    /** Taken since clients send it; who asks is known by the credential. */
    user: z.string().max(256).optional(),
  })
  .meta({ id: "EmbeddingsRequest" });
export type EmbeddingsRequest = z.infer<typeof EmbeddingsRequest>;

export const EmbeddingsReply = z
  .strictObject({
    object: z.literal("list"),
    data: z.array(
      z.strictObject({
        object: z.literal("embedding"),
        index: z.int().min(0),
        /** Base64: 32-bit floats, the lowest byte first. */
        embedding: z.union([z.array(z.number()), z.base64()]),
      }),
    ),
    model: z.string(),
    usage: z.strictObject({ prompt_tokens: z.int().min(0), total_tokens: z.int().min(0) }),
  })
  .meta({ id: "EmbeddingsReply" });
export type EmbeddingsReply = z.infer<typeof EmbeddingsReply>;

export function viewEmbeddings(
  { model, vectors, usage }: Embeddings,
  format: EmbeddingsRequest["encoding_format"],
): EmbeddingsReply {
  const encode = (vector: Float32Array) => (format === "base64" ? toBase64(vector) : Array.from(vector));
  const { prompt_tokens, total_tokens } = usage;
  return {
    ...{ object: "list", model, usage: { prompt_tokens, total_tokens } },
    data: vectors.map((vector, index) => ({ object: "embedding", index, embedding: encode(vector) })),
  };
}

/** Every machine that runs this keeps the lowest byte first. */
export function toBase64({ buffer, byteOffset, byteLength }: Float32Array): string {
  const bytes = new Uint8Array(buffer, byteOffset, byteLength);
  let binary = "";
  for (let at = 0; at < bytes.length; at += 8_192) binary += String.fromCharCode(...bytes.subarray(at, at + 8_192));
  return btoa(binary);
}

/** Undefined for what is no list of 32-bit floats. */
export function fromBase64(text: string): Float32Array | undefined {
  try {
    const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
    return bytes.length % 4 === 0 ? new Float32Array(bytes.buffer) : undefined;
  } catch {
    return undefined;
  }
}
