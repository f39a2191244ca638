/**
 * /chat/ui: the chat as `useChat` of the AI SDK speaks it. A page's chat is a session, found by the page's own name for it; turns run in
 * the session's object as all others do. Of the messages only what is new is taken.
 */
import * as z from "zod";
import type { ChatRequest } from "../../../contracts/chat.ts";
import { ChatId, ChatUiRequest, type UiMessage } from "../../../contracts/chat-ui.ts";
import { AppError, type ErrorCode } from "../../../contracts/errors.ts";
import { newId, type Residency, withResidency } from "../../../contracts/ids.ts";
import { GivenSessionOrTurnId, Id } from "../../../contracts/params.ts";
import { InputParts } from "../../../contracts/parts.ts";
import type { Branch } from "../../../contracts/session.ts";
import { SessionView } from "../../../contracts/sessions.ts";
import { checkShape } from "../http/body.ts";
import { bytesOfKey, readIdempotency } from "../http/idempotency.ts";
import { asker, type Call, type Route, route } from "../http/route.ts";
import { rewriteTurn } from "../openai/turn-stream.ts";
import { UI_STREAM_HEADERS, uiChunks } from "../openai/ui-chunks.ts";
import { type StartDeps, KEY_HEADER, start, TURN_FAILS } from "./start-turn.ts";

const PATH = "/chat/ui";
const FAILS: ErrorCode[] = ["not_found", "overloaded", "db_timeout", "db_unavailable", "turn_expired"];

export function chatUiRoutes(deps: StartDeps): Route[] {
  return [sendRoute(deps), resumeRoute(deps)];
}

function sendRoute(deps: StartDeps): Route {
  return route(
    {
      ...{ method: "POST", path: PATH, access: "user", checkedBy: "session", body: ChatUiRequest, headers: KEY_HEADER },
      takesAttachments: true,
      answers: { 200: "text/event-stream" },
      summary: "A turn for `useChat` of the AI SDK, as its UI message stream",
      fails: [...TURN_FAILS, "db_timeout", "db_unavailable"],
    },
    async (call) => {
      const { body } = call;
      const { sessionId, isNamed } = sessionOf(call.user.id, body.id, deps.residency);
      const { request, branch } = toTurn(body, sessionId);
      const turn = { request, branch, view: "stream", route: "chat-ui", body, makeIfMissing: !isNamed } as const;
      return rewritten(await start(deps, call, turn));
    },
  );
}

function resumeRoute({ send, residency }: StartDeps): Route {
  return route(
    {
      ...{ method: "GET", path: `${PATH}/{id}/stream`, access: "user", params: z.strictObject({ id: ChatId }) },
      answers: { 200: "text/event-stream", 204: "empty" },
      summary: "The turn of a chat that runs, from its first event on; 204 when none does",
      fails: FAILS,
    },
    async (call) => {
      const { sessionId, isNamed } = sessionOf(call.user.id, call.params.id, residency);
      const viewed = await send(sessionId, { kind: "view", sessionId, ...asker(call) });
      // A chat that has not begun yet.
      if (viewed.status === 404 && !isNamed) return nothing(viewed);
      if (!viewed.ok) return viewed;
      const { turn } = SessionView.parse(await viewed.json());
      if (turn === null) return new Response(null, { status: 204 });
      return rewritten(await watch(send, call, turn.turn_id));
    },
  );
}

async function nothing(unread: Response): Promise<Response> {
  await unread.body?.cancel();
  return new Response(null, { status: 204 });
}

function watch(send: StartDeps["send"], call: Call, turnId: string): Promise<Response> {
  const { credential } = call.user;
  return send(turnId, { kind: "watch", turnId, after: 0, credential, ...asker(call) });
}

/** The object's headers and, where it is one, its stream in this form. */
function rewritten(response: Response): Response {
  const body: ReadableStream<Uint8Array> | null = response.body;
  if (!response.ok || body === null) return response;
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(UI_STREAM_HEADERS)) headers.set(name, value);
  return new Response(rewriteTurn(body, uiChunks()), { headers });
}

/** A session's id names that session. Any other name of a page leads its user, and nobody else, to a session of its own. */
function sessionOf(userId: string, chatId: string, residency: Residency | undefined) {
  const named = GivenSessionOrTurnId.safeParse(chatId);
  if (named.success) return { sessionId: named.data, isNamed: true };
  const key = readIdempotency({ userId, route: PATH, key: chatId, body: null });
  if (key === undefined) throw new Error("a key was given");
  return {
    sessionId: withResidency(
      newId(0, () => bytesOfKey(key)),
      residency,
    ),
    isNamed: false,
  };
}

function toTurn(body: ChatUiRequest, sessionId: string): { request: ChatRequest; branch: Branch } {
  const { id: _id, messages, trigger, messageId, ...options } = body;
  if (trigger === "regenerate-message") {
    // From the cache it would be the same answer again.
    const cache = options.cache ?? ({ mode: "no-cache" } as const);
    const answer = Id.safeParse(messageId).data;
    const request = { ...options, cache, prompt: "again", session_id: sessionId };
    return { request, branch: { kind: "regenerate", messageId: answer } };
  }
  const request = { ...options, ...inputOf(messages.at(-1)), session_id: sessionId };
  return { request, branch: messageId ? beforeOf(messages) : { kind: "end" } };
}

/** A question put anew follows the answer before it, which the page knows by our id. */
function beforeOf(messages: UiMessage[]): Branch {
  const before = messages.at(-2);
  if (before === undefined) return { kind: "follow", messageId: null };
  const id = Id.safeParse(before.id);
  if (!id.success) throw new AppError("invalid_request", "the message before the one that is edited has no id of ours");
  return { kind: "follow", messageId: id.data };
}

/** Texts and files of a message; what else a page keeps in it is not said. */
function inputOf(message: UiMessage | undefined): Pick<ChatRequest, "parts"> {
  return { parts: checkShape((message?.parts ?? []).flatMap(toPart), InputParts) };
}

function toPart(part: UiMessage["parts"][number]): object[] {
  if (part.type === "text") return [{ type: "text", text: part["text"] }];
  if (part.type !== "file") return [];
  const { url, filename, mediaType } = part;
  if (String(mediaType).startsWith("image/")) return [{ type: "image_url", image_url: { url } }];
  return [{ type: "file", file: { file_data: url, ...(filename !== undefined && { filename }) } }];
}
