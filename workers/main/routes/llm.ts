/**
 * /llm: models, their health, and a model asked directly, without a session. Stateless: a call runs in this Worker and ends with its
 * client. Refuses a model that is not known, and one that cannot do what is asked, before anything is called.
 */
import { type ChatRequest, requestMessages } from "../../../contracts/chat.ts";
import { DirectReply, DirectRequest, LlmHealth, ModelList, viewHealth, viewModel } from "../../../contracts/direct.ts";
import { type ErrorCode, ok, orThrow, type Result } from "../../../contracts/errors.ts";
import { limitHeaders } from "../../../contracts/limits.ts";
import type { ModelRequest } from "../../../contracts/llm.ts";
import type { Log } from "../../../contracts/log.ts";
import type { ResolvedChat } from "../../../contracts/session.ts";
import type { Preferences } from "../../../contracts/users.ts";
import { admitDirect, type AdmitDeps } from "../chat/admit.ts";
import { completeDirect, type DirectCall, type DirectDeps, type DirectEnd, streamDirect } from "../chat/direct.ts";
import { type Call, type Route, route } from "../http/route.ts";
import type { WhileStanding } from "../http/standing-signal.ts";
import { eventStream } from "../session/responses.ts";

export interface LlmRoutesDeps extends DirectDeps, AdmitDeps {
  whileStanding: WhileStanding;
  /** Fills in what a request leaves out, or refuses it. */
  resolve(request: ChatRequest, preferences: Preferences): Result<ResolvedChat>;
  cacheSalt(userId: string): string | undefined;
  defaultModel: string;
  log: Log;
}

const CALL_FAILS: ErrorCode[] = [
  ...(["model_not_found", "unsupported_modality", "context_length_exceeded", "cancelled", "rate_limited"] as const),
  ...(["budget_exceeded", "overloaded"] as const),
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
      async ({ requestId, user }) => {
        const models = orThrow(await llm.models({ requestId, userId: user.id }));
        return Response.json({ models: models.map(viewModel), default_model: defaultModel });
      },
    ),
    route(
      {
        ...{ ...shared, path: "/llm/health", summary: "Every model provider and each of its nodes; never a paid call" },
        answers: { 200: LlmHealth, 503: LlmHealth },
      },
      async ({ requestId, user }) => {
        const health = viewHealth(await llm.health({ requestId, userId: user.id }));
        return Response.json(health, { status: health.status === "unhealthy" ? 503 : 200 });
      },
    ),
  ];
}

function callingRoutes(deps: LlmRoutesDeps): Route[] {
  const shared = { method: "POST", access: "user", checkedBy: "call", body: DirectRequest, fails: CALL_FAILS } as const;
  return [
    route(
      {
        ...{ ...shared, path: "/llm/generate", answers: { 200: DirectReply } },
        summary: "A model asked directly, without a session, tools or cache",
      },
      async (call) => {
        const direct = await toDirect(deps, call, "generate");
        const { content, model, provider, usage, finishReason } = orThrow(await completeDirect(direct, deps));
        const timestamp = new Date(deps.now()).toISOString();
        const reply = { response: content, success: true, timestamp, model, provider, usage };
        const headers = limitHeaders(direct.admitted.limits);
        return Response.json({ ...reply, finish_reason: finishReason }, { headers });
      },
    ),
    route(
      {
        ...{ ...shared, path: "/llm/generate/stream", answers: { 200: "text/event-stream" } },
        summary: "The same as server-sent events; it ends with its client",
      },
      async (call) => {
        const direct = await toDirect(deps, call, "generate-stream");
        return eventStream(orThrow(await streamDirect(direct, deps)), limitHeaders(direct.admitted.limits));
      },
    ),
  ];
}

async function toDirect(
  deps: LlmRoutesDeps,
  call: Call<unknown, unknown, DirectRequest>,
  name: string,
): Promise<DirectCall> {
  const { body, user, requestId, raw } = call;
  const { credential, preferences } = user;
  const plan = (known: Preferences): Result<ModelRequest> => {
    const chat = deps.resolve({ ...body, tools: "none" }, known);
    return chat.ok ? ok(toModelRequest(body, chat.value)) : chat;
  };
  const admitted = orThrow(await admitDirect({ credential, requestId, preferences, plan }, deps));
  const cacheSalt = deps.cacheSalt(user.id);
  const standing = deps.whileStanding(credential, raw.signal);
  return {
    admitted,
    context: { requestId, userId: user.id, ...(cacheSalt !== undefined && { cacheSalt }) },
    signal: standing.signal,
    onEnd(end) {
      standing.end();
      deps.log(lineOf(end, requestId, name));
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
