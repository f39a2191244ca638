/**
 * /llm: models, their health, and a model asked directly, without a session. Stateless: a call runs in this Worker and ends with its
 * client. Refuses a model that is not known, and one that cannot do what is asked, before anything is called.
 */
import { type ChatRequest, requestMessages } from "../../../contracts/chat.ts";
import { DirectReply, DirectRequest, LlmHealth, ModelList, viewHealth, viewModel } from "../../../contracts/direct.ts";
import { type ErrorCode, orThrow, type Result } from "../../../contracts/errors.ts";
import type { ModelRequest, SeenCall } from "../../../contracts/llm.ts";
import type { Meter } from "../../../contracts/metrics.ts";
import type { Log } from "../../../contracts/log.ts";
import type { ResolvedChat } from "../../../contracts/session.ts";
import { traceIdOf } from "../../../contracts/trace.ts";
import type { Preferences } from "../../../contracts/users.ts";
import { completeDirect, type DirectCall, type DirectDeps, type DirectEnd, streamDirect } from "../chat/direct.ts";
import { type Call, type Route, route } from "../http/route.ts";
import type { WhileStanding } from "../http/standing-signal.ts";
import { measureCall } from "../metrics/measure.ts";
import { eventStream } from "../session/responses.ts";
import { asker } from "./chat.ts";

export interface LlmRoutesDeps extends DirectDeps {
  whileStanding: WhileStanding;
  /** Fills in what a request leaves out, or refuses it. */
  resolve(request: ChatRequest, preferences: Preferences): Result<ResolvedChat>;
  cacheSalt(userId: string): string | undefined;
  defaultModel: string;
  log: Log;
  meter: Meter;
}

const CALL_FAILS: ErrorCode[] = [
  ...(["model_not_found", "unsupported_modality", "context_length_exceeded", "cancelled", "rate_limited"] as const),
  ...(["upstream_error", "upstream_auth", "upstream_truncated", "upstream_timeout"] as const),
];

export function llmRoutes(deps: LlmRoutesDeps): Route[] {
  return [...tellingRoutes(deps), ...callingRoutes(deps)];
}

function tellingRoutes({ llm, defaultModel }: LlmRoutesDeps): Route[] {
  const shared = { method: "GET", access: "user" } as const;
  return [
    route(
      {
        ...{ ...shared, path: "/llm/models", summary: "The models that can be asked for", answers: { 200: ModelList } },
        fails: ["upstream_error", "upstream_auth", "rate_limited"],
      },
      async (call) => {
        const models = orThrow(await llm.models(asker(call)));
        return Response.json({ models: models.map(viewModel), default_model: defaultModel });
      },
    ),
    route(
      {
        ...{ ...shared, path: "/llm/health", summary: "Every model provider and each of its nodes; never a paid call" },
        answers: { 200: LlmHealth, 503: LlmHealth },
      },
      async (call) => {
        const health = viewHealth(await llm.health(asker(call)));
        return Response.json(health, { status: health.status === "unhealthy" ? 503 : 200 });
      },
    ),
  ];
}

function callingRoutes(deps: LlmRoutesDeps): Route[] {
  const shared = { method: "POST", access: "user", body: DirectRequest, fails: CALL_FAILS } as const;
  return [
    route(
      {
        ...{ ...shared, path: "/llm/generate", answers: { 200: DirectReply } },
        summary: "A model asked directly, without a session, tools or cache",
      },
      async (call) => {
        const { content, model, provider, usage, finishReason } = orThrow(
          await completeDirect(toDirect(deps, call, "generate"), deps),
        );
        const timestamp = new Date(deps.now()).toISOString();
        const reply = { response: content, success: true, timestamp, model, provider, usage };
        return Response.json({ ...reply, finish_reason: finishReason });
      },
    ),
    route(
      {
        ...{ ...shared, path: "/llm/generate/stream", answers: { 200: "text/event-stream" } },
        summary: "The same as server-sent events; it ends with its client",
      },
      async (call) => {
        return eventStream(orThrow(await streamDirect(toDirect(deps, call, "generate-stream"), deps)), {});
      },
    ),
  ];
}

function toDirect(deps: LlmRoutesDeps, call: Call<unknown, unknown, DirectRequest>, name: string): DirectCall {
  const { body, user, requestId, traceparent, raw } = call;
  const chat = orThrow(deps.resolve({ ...body, tools: "none" }, user.preferences));
  const cacheSalt = deps.cacheSalt(user.id);
  const startedAtMs = deps.now();
  const standing = deps.whileStanding(user.credential, raw.signal);
  return {
    request: toModelRequest(body, chat),
    context: { ...asker(call), ...(cacheSalt !== undefined && { cacheSalt }) },
    signal: standing.signal,
    onEnd(end) {
      standing.end();
      deps.log({ ...lineOf(end, requestId, name), user_id: user.id, trace_id: traceIdOf(traceparent) });
      if (name === "generate-stream") measureCall(deps.meter, seenCall(end, deps.now() - startedAtMs));
    },
  };
}

function toModelRequest(body: DirectRequest, { model, onlyType, temperature, maxTokens }: ResolvedChat): ModelRequest {
  return {
    model,
    ...(onlyType && { modelType: onlyType }),
    messages: requestMessages(body),
    ...(temperature !== undefined && { temperature }),
    ...(maxTokens !== undefined && { maxTokens }),
    ...(body.response_format && { responseFormat: body.response_format }),
  };
}

/** A reply in one piece is measured where it is asked for. */
function seenCall({ model, provider = "none", usage, failure }: DirectEnd, ms: number): SeenCall {
  return { provider, model, ms, usage, error: failure?.code };
}

function lineOf({ model, provider, usage, failure }: DirectEnd, requestId: string, name: string) {
  const { total_tokens: tokens, estimated = false } = usage;
  return {
    service: "main",
    request_id: requestId,
    llm: name,
    model,
    provider,
    tokens,
    estimated,
    error: failure?.code,
  };
}
