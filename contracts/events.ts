/**
 * The events of a turn and their one SSE encoder and decoder.
 * Pure. Data is JSON on one line, so no content can forge a frame.
 */
import * as z from "zod";
import { BilledUsage, CacheVerdict, FinishReason } from "./chat.ts";
import { ERROR_STATUS, type ErrorCode } from "./errors.ts";
import { SessionOrTurnId } from "./params.ts";

const Code = z.enum(Object.keys(ERROR_STATUS) as [ErrorCode, ...ErrorCode[]]); // keys of a const object

/** The JSON `data:` of each event by its name. */
export const EVENT_DATA = {
  meta: z.strictObject({
    turn_id: SessionOrTurnId,
    session_id: SessionOrTurnId,
    message_id: z.uuidv7(),
    model: z.string(),
    provider: z.string(),
    cache: CacheVerdict,
  }),
  intent: z.strictObject({
    intent: z.enum(["answer", "tools"]),
    source: z.enum(["model", "cache"]),
    tools: z.array(z.string()),
  }),
  tool_call: z.strictObject({ id: z.string(), name: z.string(), arguments: z.record(z.string(), z.unknown()) }),
  tool_result: z.strictObject({ id: z.string(), name: z.string(), ok: z.boolean(), content: z.string() }),
  /** The turn waits for a person: what would be called, with which arguments, until when. */
  approval_required: z.strictObject({
    calls: z.array(z.strictObject({ id: z.string(), name: z.string(), arguments: z.record(z.string(), z.unknown()) })),
    expires_at: z.iso.datetime(),
  }),
  delta: z.strictObject({ content: z.string() }),
  /** A reply broke off, or the turn was cut: whatever has a higher number than `after` and stands before this is void. */
  rewind: z.strictObject({ after: z.int().min(0) }),
  usage: BilledUsage,
  done: z.strictObject({ finish_reason: FinishReason, message_id: z.uuidv7() }),
  error: z.strictObject({ code: Code, message: z.string(), retryable: z.boolean(), request_id: z.string() }),
} as const;

export type EventName = keyof typeof EVENT_DATA;
export type ChatEvent = { [Name in EventName]: { event: Name; data: z.infer<(typeof EVENT_DATA)[Name]> } }[EventName];
export type NumberedEvent = ChatEvent & { id: number };

/** Every stream ends with exactly one of these. */
export function isTerminal(event: ChatEvent): boolean {
  return event.event === "done" || event.event === "error";
}

/** What still counts of a turn's events: a rewind takes back whatever stands between its mark and itself. */
export function standing(events: readonly NumberedEvent[]): NumberedEvent[] {
  const kept: NumberedEvent[] = [];
  for (const event of events) {
    if (event.event !== "rewind") kept.push(event);
    else while ((kept.at(-1)?.id ?? 0) > event.data.after) kept.pop();
  }
  return kept;
}

/** One SSE frame, numbered from 1 within its turn. */
export function encodeEvent(id: number, event: ChatEvent): string {
  return encodeFrame(id, event);
}

/** The same of any event whose data is JSON. */
export function encodeFrame(id: number, { event, data }: { event: string; data: unknown }): string {
  return `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}

export const KEEP_ALIVE_FRAME = ": keep-alive\n\n";

/** Decodes our own frames from text cut anywhere; comments are skipped. Throws on a frame that is not ours. */
export function createEventDecoder(): { push(text: string): NumberedEvent[] } {
  let rest = "";
  return {
    push(text) {
      const frames = (rest + text).split("\n\n");
      rest = frames.pop() ?? "";
      return frames.flatMap((frame) => decodeFrame(frame) ?? []);
    },
  };
}

function decodeFrame(frame: string): NumberedEvent | undefined {
  const match = /^id: (\d+)\nevent: (\w+)\ndata: (.*)$/s.exec(frame);
  if (!match) {
    if (frame.startsWith(":")) return undefined;
    throw new Error("not a frame of this API");
  }
  const [, id, name, data] = match;
  const schema = EVENT_DATA[name as EventName]; // an unknown name gives undefined, checked below
  if (schema === undefined) throw new Error(`unknown event ${name}`);
  return { id: Number(id), event: name, data: schema.parse(JSON.parse(data ?? "")) } as NumberedEvent; // schema chosen by name
}
