/**
 * /llm: models, their health, and a model asked directly, without a session. Stateless: a call runs in this Worker and ends with its
 * client. Refuses a model that is not known, and one that cannot do what is asked, before anything is called.
 */
import { type CacheVerdict, type ChatRequest, requestMessages } from "../../../contracts/chat.ts";
import type { AttachedFile, ModelAttachment, SaidMessage } from "../../../contracts/parts.ts";
import { DirectReply, DirectRequest, LlmHealth, ModelList, viewHealth, viewModel } from "../../../contracts/direct.ts";
import { type ErrorCode, ok, orThrow, type Result } from "../../../contracts/errors.ts";
import { limitHeaders } from "../../../contracts/limits.ts";
import type { ModelMessage, ModelRequest, NoteCall } from "../../../contracts/llm.ts";
import type { Meter } from "../../../contracts/metrics.ts";
import { billOf } from "../../../contracts/prices.ts";
import type { ResolvedChat } from "../../../contracts/session.ts";
import type { Preferences } from "../../../contracts/users.ts";
import { admitDirect, type AdmitDeps, type AdmittedCall } from "../chat/admit.ts";
import { completeDirect, streamDirect } from "../chat/direct.ts";
import { conversationKey } from "../chat/conversation-key.ts";
import type { DirectCall, DirectDeps } from "../chat/direct-call.ts";
import { asker, type Call, type Route, route } from "../http/route.ts";
import { type Taken, takeAttachments } from "../media/take.ts";
import type { WhileStanding } from "../http/standing-signal.ts";
import { eventStream } from "../session/responses.ts";

export interface LlmRoutesDeps extends DirectDeps, AdmitDeps {
  whileStanding: WhileStanding;
  /** Fills in what a request leaves out, or refuses it. */
  resolve(request: ChatRequest, preferences: Preferences, said?: SaidMessage[]): Result<ResolvedChat>;
  attachmentHosts: readonly string[];
  cacheSalt(userId: string): string | undefined;
  defaultModel: string;
  meter: Meter;
  noteCall: NoteCall;
}

/** What can go wrong with a model that is asked directly. */
export const CALL_FAILS: ErrorCode[] = [
  ...(["model_not_found", "unsupported_modality", "context_length_exceeded", "cancelled", "rate_limited"] as const),
  ...(["payload_too_large", "budget_exceeded", "overloaded"] as const),
  ...(["upstream_error", "upstream_auth", "upstream_truncated", "upstream_timeout", "invalid_model_output"] as const),
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
  const shared = {
    method: "POST",
    access: "user",
    checkedBy: "call",
    body: DirectRequest,
    takesAttachments: true,
    fails: CALL_FAILS,
  } as const;
  return [
    route(
      {
        ...{ ...shared, path: "/llm/generate", answers: { 200: DirectReply } },
        summary: "A model asked directly, without a session, tools or cache",
      },
      async (call) => {
        const direct = await toDirect(deps, call);
        const answer = orThrow(await completeDirect(direct, deps));
        const { content, model, provider, finishReason } = answer;
        const usage = billOf(deps.prices, { model: direct.request.model, usage: answer.usage });
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
        const direct = await toDirect(deps, call);
        return eventStream(orThrow(await streamDirect(direct, deps)), limitHeaders(direct.admitted.limits));
      },
    ),
  ];
}

async function toDirect(deps: LlmRoutesDeps, call: Call<unknown, unknown, DirectRequest>): Promise<DirectCall> {
  const { body } = call;
  const taken = takeAttachments(body, deps.attachmentHosts);
  const plan = (preferences: Preferences): Result<ModelRequest> => {
    const chat = deps.resolve({ ...body, tools: "none" }, preferences, taken?.said);
    return chat.ok ? ok(toModelRequest(body, chat.value, taken)) : chat;
  };
  const { response_format: heldTo } = body;
  const asked = callOf(deps, call, { admitted: orThrow(await admit(deps, call, plan)), cache: "bypass" });
  return { ...asked, ...(heldTo && { heldTo }) };
}

/** Asks the account for the call: `plan` says what is asked of the model, with the user's preferences. */
export function admit(
  deps: AdmitDeps,
  { user: { credential, preferences }, requestId }: Call,
  plan: (preferences: Preferences) => Result<ModelRequest>,
): Promise<Result<AdmittedCall>> {
  return admitDirect({ credential, requestId, preferences, plan }, deps);
}

/** A call on its client's behalf, of a conversation that the client may have named. It ends when the client leaves, and when its credential no longer holds. */
export function callOf(
  deps: LlmRoutesDeps,
  call: Call,
  { admitted, cache, named }: { admitted: AdmittedCall; cache: CacheVerdict; named?: string | null | undefined },
): DirectCall {
  const { user, raw } = call;
  const sessionId = conversationKey(user.id, admitted.request.messages, named);
  const { meter } = deps;
  const cacheSalt = deps.cacheSalt(user.id);
  const startedAtMs = deps.now();
  const standing = deps.whileStanding(user.credential, raw.signal);
  return {
    ...{ admitted, request: admitted.request },
    context: { ...asker(call), sessionId, ...(cacheSalt !== undefined && { cacheSalt }) },
    signal: standing.signal,
    onEnd() {
      standing.end();
      meter.flushSoon();
    },
    onModelCall: (seen) => deps.noteCall(seen, asker(call)),
    onStream: (by) => meter.stream(by),
    onFirstWords() {
      meter.observe("basechat_first_token_seconds", { cache }, (deps.now() - startedAtMs) / 1_000);
    },
  };
}

function toModelRequest(
  body: DirectRequest,
  { model, onlyType, temperature, maxTokens }: ResolvedChat,
  taken: Taken | undefined,
): ModelRequest {
  return {
    model,
    ...(onlyType && { modelType: onlyType }),
    messages: taken ? fillData(toMessages(taken.said), taken.files) : requestMessages(body),
    ...(temperature !== undefined && { temperature }),
    ...(maxTokens !== undefined && { maxTokens }),
    ...(body.response_format && { responseFormat: body.response_format }),
  };
}

function toMessages(said: SaidMessage[]): ModelMessage[] {
  return said.map(({ role, content, attachments }) =>
    attachments === undefined || role === "assistant" ? { role, content } : { role, content, attachments },
  );
}

/** The messages with the bytes of what is attached to them. */
export function fillData(messages: ModelMessage[], files: AttachedFile[]): ModelMessage[] {
  const data = new Map(files.map((file) => [file.sha256, file.data]));
  return messages.map((message) => {
    if (message.role !== "user" || message.attachments === undefined) return message;
    const attachments = message.attachments.map((one): ModelAttachment => {
      const bytes = "sha256" in one ? data.get(one.sha256) : undefined;
      return bytes === undefined ? one : { ...one, data: bytes };
    });
    return { ...message, attachments };
  });
}
