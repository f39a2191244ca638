/**
 * /v1: models, asked as clients of OpenAI's API ask. Chat Completions are stateless: a call runs in this Worker, through the cache like a
 * turn, and ends with its client. Refuses what would change an answer without our knowing it; errors have OpenAI's form.
 */
import * as z from "zod";
import { cacheUse } from "../../../contracts/cache.ts";
import { ModelName } from "../../../contracts/chat.ts";
import { AppError, type ErrorCode, fail, ok, orThrow, type Result } from "../../../contracts/errors.ts";
import type { ModelInfo, ModelRequest } from "../../../contracts/llm.ts";
import type { SaidMessage } from "../../../contracts/parts.ts";
import { limitHeaders } from "../../../contracts/limits.ts";
import { ChatCompletion, ChatCompletionRequest, OpenAiModel, OpenAiModels } from "../../../contracts/openai-chat.ts";
import { findProblem } from "../chat/answer-format.ts";
import { completeDirect, streamDirect } from "../chat/direct.ts";
import type { DirectCall } from "../chat/direct-call.ts";
import type { TurnWrite } from "../cache/cache.ts";
import type { DirectLookup, ReusableCall } from "../chat/direct-reuse.ts";
import type { Preferences } from "../../../contracts/users.ts";
import { withCacheControl } from "../http/cache-control.ts";
import { asker, type Call, type Route, route } from "../http/route.ts";
import { completionChunks, type Heading, toCompletion, toldOf } from "../openai/completion.ts";
import { inputOf, toModelRequest, toResolve } from "../openai/model-request.ts";
import { cacheHeaders, eventStream, reasonHeader } from "../session/responses.ts";
import { takeAttachments } from "../media/take.ts";
import { admit, CALL_FAILS, callOf, fillData, type LlmRoutesDeps } from "./llm.ts";

export interface OpenAiRoutesDeps extends LlmRoutesDeps {
  /** What the cache has for a call. */
  lookUpAnswer(call: ReusableCall): Promise<DirectLookup>;
  /** Behind the reply. */
  keepAnswer(write: TurnWrite): void;
}

const MODEL_FAILS: ErrorCode[] = ["upstream_error", "upstream_auth", "rate_limited"];
const ModelPath = z.strictObject({ model: ModelName });

export function openAiRoutes(deps: OpenAiRoutesDeps): Route[] {
  return [completionsRoute(deps), ...modelRoutes(deps)];
}

function completionsRoute(deps: OpenAiRoutesDeps): Route {
  return route(
    {
      ...{ method: "POST", path: "/v1/chat/completions", access: "user", checkedBy: "call" },
      body: ChatCompletionRequest,
      takesAttachments: true,
      answers: { 200: [ChatCompletion, "text/event-stream"] },
      headers: { "Cache-Control": "no-cache, no-store, only-if-cached or max-age" },
      summary: "OpenAI's Chat Completions: stateless, with the client's own tools, as JSON or as a stream",
      fails: [...CALL_FAILS, "cache_miss"],
    },
    async (call) => {
      const taken = takeAttachments(inputOf(call.body), deps.attachmentHosts);
      const control = controlOf(call.raw.headers.get("cache-control"));
      const { admitted, lookup } = await begin(deps, call, control, taken?.said);
      const { request } = admitted;
      const heading = { requestId: call.requestId, model: request.model, createdAtMs: deps.now() };
      const limited = limitHeaders(admitted.limits);
      const headers = { ...cacheHeaders(lookup.note), ...reasonHeader(lookup.note), ...limited };
      if (lookup.reply !== undefined) {
        admitted.release();
        deps.keepAnswer(lookup.toWrite(undefined));
        return replay(call, heading, lookup.reply, headers);
      }
      if (control.onlyIfCached) {
        admitted.release();
        throw new AppError("cache_miss", "no cached answer to this request", { limits: admitted.limits });
      }
      const whole = { ...request, messages: fillData(request.messages, taken?.files ?? []) };
      const about = { admitted, cache: lookup.note.verdict, named: call.body.prompt_cache_key };
      const direct = { ...callOf(deps, call, about), request: whole };
      const { onEnd } = direct;
      const kept: DirectCall = {
        ...direct,
        onEnd(end) {
          onEnd(end);
          const isInForm = findProblem(request.responseFormat, end.answer?.content ?? "") === undefined;
          deps.keepAnswer(lookup.toWrite(isInForm || end.answer?.toolCalls.length ? end : undefined));
        },
      };
      return call.body.stream
        ? streamed(deps, call, { direct: kept, heading, headers })
        : inOne(deps, kept, heading, headers);
    },
  );
}

type Control = ReusableCall["control"];
type Completing = Call<unknown, unknown, ChatCompletionRequest>;

/** Asks the account and the cache at once; the cache once more in the rare case that the preferences were not as they seemed. */
async function begin(deps: OpenAiRoutesDeps, call: Completing, control: Control, said: SaidMessage[] | undefined) {
  const plan = (known: Preferences): Result<ModelRequest> => {
    const chat = deps.resolve(toResolve(call.body), known, said);
    return chat.ok ? ok(toModelRequest(call.body, chat.value, said)) : chat;
  };
  const lookUp = (request: ModelRequest) =>
    deps.lookUpAnswer({ request, control, userId: call.user.id, route: "v1-chat-completions" });
  const { preferences } = call.user;
  const guessed = plan(preferences);
  const planOnce = (known: Preferences): Result<ModelRequest> => (known === preferences ? guessed : plan(known));
  const [asked, found] = await Promise.all([
    admit(deps, call, planOnce),
    guessed.ok ? lookUp(guessed.value) : undefined,
  ]);
  const admitted = orThrow(asked);
  const isRight = guessed.ok && guessed.value === admitted.request;
  return { admitted, lookup: isRight && found ? found : await lookUp(admitted.request) };
}

function replay(
  { body }: Completing,
  heading: Heading,
  reply: NonNullable<DirectLookup["reply"]>,
  headers: Record<string, string>,
): Response {
  if (!body.stream) return Response.json(toCompletion(heading, reply), { headers });
  const text = completionChunks(heading, includesUsage(body))(toldOf(reply));
  return eventStream(text, headers);
}

/** A stream cannot be taken back in this form: whether its answer is of the form that was asked for is its client's to judge. */
async function inOne(
  deps: OpenAiRoutesDeps,
  direct: DirectCall,
  heading: Heading,
  headers: Record<string, string>,
): Promise<Response> {
  const { responseFormat: heldTo } = direct.request;
  const held: DirectCall = { ...direct, ...(heldTo && { heldTo, takesCut: true }) };
  return Response.json(toCompletion(heading, orThrow(await completeDirect(held, deps))), { headers });
}

interface Streaming {
  direct: DirectCall;
  heading: Heading;
  headers: Record<string, string>;
}

async function streamed(deps: OpenAiRoutesDeps, { body }: Completing, { direct, heading, headers }: Streaming) {
  const write = completionChunks(heading, includesUsage(body));
  return eventStream(orThrow(await streamDirect({ ...direct, write }, deps)), headers);
}

function includesUsage({ stream_options: options }: ChatCompletionRequest): boolean {
  return options?.include_usage === true;
}

/** What the request's header allows; a client of OpenAI's API has no field for it. */
function controlOf(header: string | null): Control {
  return cacheUse(withCacheControl(undefined, header));
}

function modelRoutes({ llm }: OpenAiRoutesDeps): Route[] {
  const shared = { method: "GET", access: "user" } as const;
  return [
    route(
      {
        ...{ ...shared, path: "/v1/models", summary: "The models, in OpenAI's form", answers: { 200: OpenAiModels } },
        fails: MODEL_FAILS,
      },
      async (call) => {
        const models = orThrow(await llm.models(asker(call)));
        return Response.json({ object: "list", data: models.map(toModel) });
      },
    ),
    route(
      {
        ...{ ...shared, path: "/v1/models/{model}", params: ModelPath, answers: { 200: OpenAiModel } },
        ...{ summary: "One of them", fails: [...MODEL_FAILS, "not_found"] },
      },
      async (call) => {
        const { params } = call;
        const models = orThrow(await llm.models(asker(call)));
        const model = models.find(({ id }) => id === params.model);
        return Response.json(toModel(model ?? orThrow(fail("not_found", "there is no such model"))));
      },
    ),
  ];
}

/** When a model was made nobody knows. */
function toModel({ id, providers }: ModelInfo): OpenAiModel {
  return { id, object: "model", created: 0, owned_by: providers[0] ?? "basechat" };
}
