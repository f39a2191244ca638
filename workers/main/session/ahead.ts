/**
 * The look into the cache for a session's first turn, made by main while the session's object is still being reached. The object is handed
 * what was read behind the command, as a second line of the request's body, and asks by itself where its turn's keys are others. No state.
 */
import type { StoredValues } from "../../../contracts/cache.ts";
import { requestMessages } from "../../../contracts/chat.ts";
import { orThrow, type Result } from "../../../contracts/errors.ts";
import type { ResolvedChat, SessionCommand, StartTurn } from "../../../contracts/session.ts";
import type { ToolServer } from "../../../contracts/tools.ts";
import type { Cache } from "../cache/cache.ts";
import type { TurnRunner } from "../chat/turn.ts";
import { toTurnRequest } from "./asked.ts";
import { beginning } from "./branches.ts";
import { toPlan } from "./turns.ts";
import { joinRuns, saidMessages } from "./window.ts";

export interface AheadDeps {
  cache: Pick<Cache, "look">;
  slots: TurnRunner["slots"];
  tools: Pick<ToolServer, "list">;
  resolve(...asked: Resolving): Result<ResolvedChat>;
}

type Resolving = [StartTurn["request"], StartTurn["preferences"], NonNullable<StartTurn["said"]>];

/** Undefined: nothing is known of it. */
export type Ahead = StoredValues | undefined;

/** Never throws: whatever is wrong with the request, the object says. */
export type LookAhead = (command: StartTurn) => Promise<Ahead>;

export function createLookAhead(deps: AheadDeps): LookAhead {
  async function look(command: StartTurn): Promise<Ahead> {
    const { sessionId, userId, request, requestId, traceparent, preferences, route, client } = command;
    const said = command.said ?? requestMessages(request);
    const chat = { ...orThrow(deps.resolve(request, preferences, said)), ...(client && { client }) };
    const tools = request.tools === "none" ? undefined : await deps.tools.list({ requestId, userId, traceparent });
    const branch = beginning(command.branch, said);
    const plan = toPlan({ chat, branch, messageId: "", requestId, traceparent, route, asked: undefined });
    const asked = toTurnRequest({ session: { id: sessionId, userId }, tools }, "", plan, joinRuns(saidMessages(said)));
    if (!asked.cache.read || asked.resumed) return undefined;
    const { answer, intent } = deps.slots(asked);
    return deps.cache.look([answer, intent]);
  }
  return (command) => look(command).catch(() => undefined);
}

const LINES = "application/jsonl";

/** The body of a request that hands on what is found ahead. */
export function withAhead(command: string, ahead: Promise<Ahead>): Pick<RequestInit, "body" | "headers"> {
  const { readable, writable } = new IdentityTransformStream();
  void tell(writable.getWriter(), command, ahead).catch(() => undefined); // the object is gone, or its reader
  return { body: readable, headers: { "content-type": LINES } };
}

async function tell(writer: WritableStreamDefaultWriter<Uint8Array>, command: string, ahead: Promise<Ahead>) {
  const encoder = new TextEncoder();
  await writer.write(encoder.encode(`${command}\n`));
  await writer.write(encoder.encode(JSON.stringify((await ahead) ?? null)));
  await writer.close();
}

/**
 * What was sent, and what comes behind it; undefined where nothing does, and where it does not come within `timeoutMs`: main's own look takes no
 * longer, so the way to it is broken.
 */
export async function readCommand(
  request: Request,
  timeoutMs: number,
): Promise<[SessionCommand, Promise<Ahead> | undefined]> {
  if (request.headers.get("content-type") !== LINES || request.body === null) return [await request.json(), undefined];
  const reader = (request.body as ReadableStream<Uint8Array>).getReader(); // a body holds bytes, its type says any
  const [line, begun] = await readLine(reader);
  const command = JSON.parse(line) as SessionCommand; // main's own
  const rest = readRest(reader, begun).then((text) => (JSON.parse(text) as StoredValues | null) ?? undefined); // as of the command
  return [command, within(timeoutMs, rest)];
}

type Reader = ReadableStreamDefaultReader<Uint8Array>;
const NEWLINE = 10;

/** The text before the first line's end, and the bytes that came with it from behind. */
async function readLine(reader: Reader): Promise<[string, Uint8Array]> {
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return [text + decoder.decode(), new Uint8Array()];
    const end = value.indexOf(NEWLINE);
    text += decoder.decode(end === -1 ? value : value.subarray(0, end), { stream: true });
    if (end !== -1) return [text, value.subarray(end + 1)];
  }
}

async function readRest(reader: Reader, begun: Uint8Array): Promise<string> {
  const decoder = new TextDecoder();
  let text = decoder.decode(begun, { stream: true });
  for (;;) {
    const { done, value } = await reader.read();
    text += decoder.decode(value, { stream: !done });
    if (done) return text;
  }
}

async function within(ms: number, ahead: Promise<Ahead>): Promise<Ahead> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => (timer = setTimeout(resolve, ms, undefined)));
  try {
    return await Promise.race([ahead, late]);
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}
