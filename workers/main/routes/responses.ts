/**
 * /v1/responses: OpenAI's Responses over the sessions and turns of the chat. A response is a turn, which runs in its session's object and
 * outlives its client; what is told of it is read from the turn's numbered events. Refuses tools that are not the client's own.
 */
import * as z from "zod";
import { AppError, type ErrorCode, ErrorBody, orThrow } from "../../../contracts/errors.ts";
import { createEventDecoder } from "../../../contracts/events.ts";
import {
  DeletedResponse,
  ResponseId,
  ResponseObject,
  ResponsesRequest,
  toResponseId,
} from "../../../contracts/openai-responses.ts";
import { retryHeaders, toOpenAiError } from "../../../contracts/openai-errors.ts";
import { type LimitState, readLimits } from "../../../contracts/limits.ts";
import { count } from "../../../contracts/params.ts";
import type { RecalledTurn, SessionCommand } from "../../../contracts/session.ts";
import { ErasedSession, SessionView } from "../../../contracts/sessions.ts";
import { asker, type Call, type Route, route } from "../http/route.ts";
import { createResponseReader, responseFrames, type ResponseReader } from "../openai/response-events.ts";
import { toResponseTurn } from "../openai/response-request.ts";
import { toldRequest } from "../openai/response-told.ts";
import { rewriteTurn, turnEvents } from "../openai/turn-stream.ts";
import { eventStream } from "../session/responses.ts";
import { type StartDeps, KEY_HEADER, start, TURN_FAILS } from "./start-turn.ts";
import type { LlmRoutesDeps } from "./llm.ts";

export interface ResponsesRoutesDeps extends StartDeps, Pick<LlmRoutesDeps, "resolve"> {}

const PATH = "/v1/responses/{response_id}";
const ResponsePath = z.strictObject({ response_id: ResponseId });
const RetrieveQuery = z.strictObject({
  stream: z.enum(["true", "false"]).optional(),
  starting_after: count(0, Number.MAX_SAFE_INTEGER).optional(),
  include_obfuscation: z.enum(["true", "false"]).optional(),
});
const FAILS: ErrorCode[] = ["not_found", "overloaded"];
/** Where it rests, Postgres is asked. */
const RECALL_FAILS: ErrorCode[] = ["db_timeout", "db_unavailable"];
const TOLD_HEADERS =
  /^(x-turn-id|x-session-id|x-cache|age|server-timing|idempotent-replayed|retry-after|www-authenticate|(x-)?ratelimit.*)$/;

export function responsesRoutes(deps: ResponsesRoutesDeps): Route[] {
  return [createRoute(deps), retrieveRoute(deps), cancelRoute(deps), deleteRoute(deps)];
}

function createRoute(deps: ResponsesRoutesDeps): Route {
  return route(
    {
      ...{ method: "POST", path: "/v1/responses", access: "user", checkedBy: "session", body: ResponsesRequest },
      takesAttachments: true,
      answers: { 200: [ResponseObject, "text/event-stream"] },
      headers: { ...KEY_HEADER, "Cache-Control": "no-cache, no-store, only-if-cached or max-age" },
      summary: "OpenAI's Responses: a turn of a session, with the client's own tools",
      fails: TURN_FAILS,
    },
    async (call) => {
      const turn = toResponseTurn(call.body);
      const tools = turn.client.tools?.map(({ name }) => name);
      // The session would see it too, and only then.
      orThrow(deps.resolve({ ...turn.request, ...(tools && { tools }) }, call.user.preferences));
      const { body } = call;
      const told = toldRequest({ ...turn, format: turn.request.response_format });
      const begun = await start(deps, call, { ...turn, view: "stream", route: "v1-responses", body });
      if (!begun.ok) return refusal(begun);
      const stream = await bodyOf(begun);
      const headers = headersOf(begun);
      if (body.stream) return eventStream(rewriteTurn(stream, responseFrames(told)), headers);
      const limits = readLimits(begun.headers);
      const reader = createResponseReader(told);
      return Response.json(await readResponse(stream, reader, { inBackground: body.background === true, limits }), {
        headers,
      });
    },
  );
}

/** To its end; in the background only until it has begun. */
async function readResponse(
  stream: ReadableStream<Uint8Array>,
  reader: ResponseReader,
  { inBackground, limits }: { inBackground: boolean; limits: LimitState | undefined },
): Promise<ResponseObject> {
  const more = limits && { limits };
  for await (const events of turnEvents(stream)) {
    for (const event of events) {
      reader.take(event);
      if (event.event === "error" && !inBackground) throw new AppError(event.data.code, event.data.message, more);
    }
    if (reader.ended || (inBackground && reader.response !== undefined)) break;
  }
  if (reader.response === undefined || (!reader.ended && !inBackground)) {
    throw new AppError("interrupted", "the response broke off: ask for it again", more);
  }
  return reader.response;
}

function retrieveRoute({ send }: ResponsesRoutesDeps): Route {
  return route(
    {
      ...{ method: "GET", path: PATH, access: "user", params: ResponsePath, query: RetrieveQuery },
      answers: { 200: [ResponseObject, "text/event-stream"] },
      summary: "A response as far as it has come; with `stream=true` its events after number `starting_after`",
      fails: [...FAILS, ...RECALL_FAILS, "turn_expired"],
    },
    async (call) => {
      const { stream, starting_after: startingAfter } = call.query;
      const { response_id: turnId } = call.params;
      const recalled = await recall(send, call, { turnId });
      if (stream !== "true") return Response.json(responseOf(recalled));
      const writer = responseFrames(toldRequest(recalled), startingAfter);
      if (recalled.areWhole) {
        const { credential } = call.user;
        const watched = await send(turnId, { kind: "watch", turnId, after: 0, credential, ...asker(call) });
        return eventStream(rewriteTurn(await bodyOf(watched), writer), headersOf(watched));
      }
      // The same answer in fewer events, so their numbers are others than those that a client may have.
      if (startingAfter !== undefined) {
        throw new AppError("turn_expired", "the response's events are gone: retrieve it without starting_after");
      }
      return eventStream(writer.events(createEventDecoder().push(recalled.events)), {});
    },
  );
}

function cancelRoute({ send }: ResponsesRoutesDeps): Route {
  return route(
    {
      ...{ method: "POST", path: `${PATH}/cancel`, access: "user", params: ResponsePath },
      ...{ answers: { 200: ResponseObject }, summary: "Stops a response, and keeps what it has told" },
      fails: [...FAILS, ...RECALL_FAILS],
    },
    async (call) => {
      const { response_id: turnId } = call.params;
      return Response.json(responseOf(await recall(send, call, { turnId, cancel: true })));
    },
  );
}

function deleteRoute({ send }: ResponsesRoutesDeps): Route {
  return route(
    {
      ...{ method: "DELETE", path: PATH, access: "user", params: ResponsePath },
      answers: { 200: DeletedResponse, 202: DeletedResponse },
      summary: "Deletes a response that no other one goes on from, with its session",
      fails: [...FAILS, ...RECALL_FAILS, "conflict", "upstream_error"],
    },
    async (call) => {
      const { response_id: turnId } = call.params;
      const { sessionId } = await recall(send, call, { turnId });
      const ask = async (command: SessionCommand) => jsonOf(await send(turnId, command));
      const { message_count: messages } = SessionView.parse(await ask({ kind: "view", sessionId, ...asker(call) }));
      if (messages > 2) throw new AppError("conflict", "its session has more messages: delete the session");
      const { erased: deleted } = ErasedSession.parse(await ask({ kind: "erase", sessionId, ...asker(call) }));
      const told: DeletedResponse = { id: toResponseId(turnId), object: "response", deleted };
      return Response.json(told, { status: deleted ? 200 : 202 });
    },
  );
}

async function recall(
  send: ResponsesRoutesDeps["send"],
  call: Call,
  { turnId, cancel = false }: { turnId: string; cancel?: boolean },
): Promise<RecalledTurn> {
  const recalled = await jsonOf(await send(turnId, { kind: "recall", turnId, cancel, ...asker(call) }));
  return recalled as RecalledTurn; // by the session's object, which is of this version
}

function responseOf(recalled: RecalledTurn): ResponseObject {
  const reader = createResponseReader(toldRequest(recalled));
  for (const event of createEventDecoder().push(recalled.events)) reader.take(event);
  if (reader.response === undefined)
    throw new AppError("overloaded", "the response is about to begin", { retryAfterSeconds: 1 });
  return reader.response;
}

/** A failure of the session's object is thrown, so that it is told in this API's form. */
async function bodyOf(response: Response): Promise<ReadableStream<Uint8Array>> {
  if (!response.ok) await jsonOf(response);
  if (response.body === null) throw new Error("a session's object answers with a body");
  return response.body;
}

async function jsonOf(response: Response): Promise<unknown> {
  const body: unknown = await response.json();
  if (response.ok) return body;
  const { code, message, details } = ErrorBody.parse(body).error;
  const retryAfter = response.headers.get("retry-after");
  throw new AppError(code, message, {
    ...(details && { details }),
    ...(retryAfter !== null && { retryAfterSeconds: Number(retryAfter) }),
  });
}

/** The same in this API's form, with the headers that say when to come back. */
async function refusal(response: Response): Promise<Response> {
  const { request_id: requestId, details, ...failure } = ErrorBody.parse(await response.json()).error;
  const { status } = response;
  const error = toOpenAiError({ ...failure, ...(details && { details }) }, requestId);
  const headers = { ...headersOf(response), ...retryHeaders(failure.code) };
  return Response.json(error, { status, headers });
}

function headersOf({ headers }: Response): Record<string, string> {
  return Object.fromEntries([...headers].filter(([name]) => TOLD_HEADERS.test(name)));
}
