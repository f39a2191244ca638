/**
 * POST /v1/embeddings: texts as vectors, in OpenAI's form. Stateless. Refuses tokens in place of text, a model that is not known and one
 * that is known to make no vectors.
 */
import { EmbeddingsReply, EmbeddingsRequest, viewEmbeddings } from "../../../contracts/embeddings.ts";
import { type ErrorCode, orThrow } from "../../../contracts/errors.ts";
import type { LlmAgent } from "../../../contracts/llm.ts";
import { asker } from "./chat.ts";
import { type Route, route } from "../http/route.ts";

export interface EmbeddingsRoutesDeps {
  llm: LlmAgent;
}

const FAILS: ErrorCode[] = [
  ...(["model_not_found", "context_length_exceeded", "rate_limited"] as const),
  ...(["upstream_error", "upstream_auth", "upstream_truncated", "upstream_timeout"] as const),
];

export function embeddingsRoutes({ llm }: EmbeddingsRoutesDeps): Route[] {
  return [
    route(
      {
        ...{ method: "POST", path: "/v1/embeddings", access: "user", body: EmbeddingsRequest, fails: FAILS },
        ...{ summary: "Texts as vectors", answers: { 200: EmbeddingsReply } },
      },
      async (call) => {
        const { body } = call;
        const { model, input, dimensions, encoding_format: format } = body;
        const texts = typeof input === "string" ? [input] : input;
        const request = { model, texts, ...(dimensions !== undefined && { dimensions }) };
        const embedded = orThrow(await llm.embed(request, asker(call)));
        return Response.json(viewEmbeddings(embedded, format));
      },
    ),
  ];
}
