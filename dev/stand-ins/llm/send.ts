/**
 * Sends a completion at its pace and breaks it where its faults say so. State: one reply. Every frame is counted as
 * `chunks_sent` once the socket took it; nothing more is made once the client left.
 */
import type { ServerResponse } from "node:http";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Bill } from "./bill.ts";
import type { Completion } from "./completion.ts";
import type { Break, Faults } from "./faults.ts";
import { framesOf, replyOf } from "./frames.ts";
import { errorBody } from "./refusals.ts";
import type { CompletionRequest } from "./request.ts";
import type { StandInCall } from "../serve.ts";

export interface Pace {
  firstTokenMs: number;
  tokensPerSecond: number;
  /** How fast it reads what of a prompt is new to it. */
  prefillCharsPerMs: number;
}

export interface Sending {
  response: ServerResponse;
  call: StandInCall;
  faults: Faults;
  pace: Pace;
  bill: Bill;
  /** Of the prompt, what is not known from earlier ones. */
  newChars: number;
}

const SERVER_ERROR = {
  type: "server_error",
  code: "internal_error",
  message: "The server had an error at upstream.internal.",
};

export async function sendStream(
  completion: Completion,
  usage: CompletionRequest["usage"],
  sending: Sending,
): Promise<void> {
  const { response, call, faults, bill } = sending;
  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" });
  response.flushHeaders();
  if (faults.stallFirst === true) return;

  const pause = createPause(sending);
  const sendFrame = async (data: object): Promise<void> => {
    await write(sending, `data: ${JSON.stringify(data)}\n\n`);
    call.count("chunks_sent");
  };
  let sent = 0;
  for (const frame of framesOf(completion, faults, usage)) {
    // A break beyond the content comes right after it: no broken stream ever finishes.
    const due = frame.kind !== "opening" && (sent === faults.breaks?.after || frame.kind === "closing");
    if (faults.breaks !== undefined && due) return breakStream(faults.breaks, sendFrame, sending);
    if (frame.kind === "content") await pause(sent);
    await sendFrame(frame.data);
    if (frame.said !== undefined) bill.sent(frame.said);
    if (frame.isUsage) bill.reported();
    if (frame.kind === "content") sent += 1;
  }
  await write(sending, "data: [DONE]\n\n");
  response.end();
}

export async function sendReply(completion: Completion, sending: Sending): Promise<void> {
  const { response, faults, call, bill } = sending;
  const firstMs = firstTokenMs(sending);
  if (firstMs > 0) await call.wait(firstMs);
  response.writeHead(200, { "content-type": "application/json" });
  response.flushHeaders();
  if (faults.stallFirst === true) return;
  const kind = faults.breaks?.kind;
  const failed = kind === "err" || kind === "err-done";
  const body = JSON.stringify(failed ? errorBody(SERVER_ERROR) : replyOf(completion, faults));
  await write(sending, kind === undefined || failed ? body : body.slice(0, body.length / 2));
  if (kind === undefined && faults.usage !== "none") bill.reported();
  endBroken(kind ?? "cut", sending);
}

async function breakStream(broken: Break, sendFrame: (data: object) => Promise<void>, sending: Sending): Promise<void> {
  if (broken.kind === "err" || broken.kind === "err-done") await sendFrame(errorBody(SERVER_ERROR));
  if (broken.kind === "err-done") await write(sending, "data: [DONE]\n\n");
  endBroken(broken.kind, sending);
}

function endBroken(kind: Break["kind"], { response, call }: Sending): void {
  if (kind === "stall") return;
  if (kind === "drop" || kind === "rst") return call.hangUp(kind === "rst" ? "reset" : "close");
  response.end();
}

function firstTokenMs({ pace, newChars }: Sending): number {
  return pace.firstTokenMs + newChars / pace.prefillCharsPerMs;
}

/** The wait before content chunk number `at`. */
function createPause(sending: Sending): (at: number) => Promise<void> {
  const { call, faults, pace } = sending;
  const first = faults.tokens === undefined ? firstTokenMs(sending) : 0;
  const between = faults.tokens === undefined ? 1000 / pace.tokensPerSecond : faults.tokens.gapMs;
  return async (at) => {
    const ms = at === 0 ? first : between;
    if (ms > 0) await call.wait(ms);
  };
}

async function write({ response, faults }: Sending, text: string): Promise<void> {
  if (faults.writeBytes === undefined) return flush(response, text);
  const bytes = Buffer.from(text, "utf8");
  for (let at = 0; at < bytes.length; at += faults.writeBytes) {
    await flush(response, bytes.subarray(at, at + faults.writeBytes));
    // The loop turns between writes, so the reader can see each by itself.
    await nextTurn();
  }
}

/** Resolves when the socket took it: a slow reader slows the writer. Rejects when the client left. */
function flush(response: ServerResponse, data: string | Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    response.write(data, (error) => (error === null || error === undefined ? resolve() : reject(error)));
  });
}
