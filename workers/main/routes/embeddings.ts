/**
 * POST /v1/embeddings: texts as vectors, in OpenAI's form. Stateless. Refuses tokens in place of text, a model that is not known and one
 * that is known to make no vectors.
 */
import {
  type Embeddings,
  EmbeddingsReply,
  EmbeddingsRequest,
  type EmbedRequest,
  viewEmbeddings,
} from "../../../contracts/embeddings.ts";
import { AppError, type ErrorCode, ok, orThrow, type Result } from "../../../contracts/errors.ts";
import { limitHeaders } from "../../../contracts/limits.ts";
import type { LlmAgent } from "../../../contracts/llm.ts";
import { estimateTexts } from "../../../contracts/rounds.ts";
import type { CallContext } from "../../../contracts/tools.ts";
import { admitCall, type AdmitDeps, type AdmittedCall } from "../chat/admit.ts";
import { asker, type Route, route } from "../http/route.ts";

export interface EmbeddingsRoutesDeps extends AdmitDeps {
  llm: LlmAgent;
}

const FAILS: ErrorCode[] = [
  ...(["model_not_found", "context_length_exceeded", "rate_limited", "budget_exceeded"] as const),
  ...(["upstream_error", "upstream_auth", "upstream_truncated", "upstream_timeout", "overloaded"] as const),
];

export function embeddingsRoutes(deps: EmbeddingsRoutesDeps): Route[] {
  return [
    route(
      {
        ...{ method: "POST", path: "/v1/embeddings", access: "user", checkedBy: "call" },
        ...{ body: EmbeddingsRequest, fails: FAILS },
        ...{ summary: "Texts as vectors", answers: { 200: EmbeddingsReply } },
      },
      async (call) => {
        const { body } = call;
        const { model, input, dimensions, encoding_format: format } = body;
        const texts = typeof input === "string" ? [input] : input;
        const request = { model, texts, ...(dimensions !== undefined && { dimensions }) };
        const { credential, preferences } = call.user;
        const { requestId } = call;
        const asked = { credential, requestId, preferences, plan: () => ok(request) };
        const { prompt_tokens: promptTokens } = estimateTexts(texts);
        const weigh = () => ({ model, promptTokens, answerTokens: 0 });
        const admitted = orThrow(await admitCall(asked, { kind: "embedding", weigh }, deps));
        const { limits } = admitted;
        const work = embed(admitted, asker(call), deps);
        admitted.hold(work);
        const embedded = await work;
        if (!embedded.ok) {
          const { code, message, usage: _usage, ...more } = embedded.error;
          throw new AppError(code, message, { ...more, limits });
        }
        return Response.json(viewEmbeddings(embedded.value, format), { headers: limitHeaders(limits) });
      },
    ),
  ];
}

/** Settled, whatever comes of it. */
async function embed(
  { request, settle, release }: AdmittedCall<EmbedRequest>,
  context: CallContext,
  { llm }: Pick<EmbeddingsRoutesDeps, "llm">,
): Promise<Result<Embeddings>> {
  const { model } = request;
  const embedded = await llm.embed(request, context).catch((error: unknown) => {
    release();
    throw error;
  });
  const { provider, usage } = embedded.ok ? embedded.value : { provider: undefined, usage: embedded.error.usage };
  if (usage === undefined) release();
  else settle({ model, provider, usage });
  return embedded;
}
