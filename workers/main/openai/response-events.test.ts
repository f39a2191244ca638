import { describe, expect, test } from "vitest";
import { type ChatEvent, encodeEvent, type NumberedEvent } from "../../../contracts/events.ts";
import { createResponseReader, responseFrames } from "./response-events.ts";
import { toldRequest } from "./response-told.ts";
import { rewriteTurn, type TurnWriter } from "./turn-stream.ts";

const TOLD = toldRequest({});
const TURN = "01a208da-e947-7048-8025-8d0d150d1078";
const MESSAGE = "01a208da-e947-7048-8025-8d0d150d1079";
const META: ChatEvent = {
  event: "meta",
  data: {
    ...{
      turn_id: TURN,
      session_id: TURN,
      message_id: MESSAGE,
      model: "demo",
      provider: "openai",
      cache: "miss" as const,
    },
  },
};
const say = (content: string): ChatEvent => ({ event: "delta", data: { content } });
const USAGE: ChatEvent = {
  event: "usage",
  data: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5, cost_usd: 0.1 },
};
const DONE: ChatEvent = { event: "done", data: { finish_reason: "stop", message_id: MESSAGE } };
const cutBy = (code: "interrupted" | "cancelled"): ChatEvent => ({
  event: "error",
  data: { code, message: "it was cut", retryable: true, request_id: "r" },
});
const numbered = (...events: ChatEvent[]): NumberedEvent[] => events.map((event, at) => ({ ...event, id: at + 1 }));

const LOG = numbered(
  META,
  say("a"),
  say("b"),
  { event: "rewind", data: { after: 1 } },
  say("c"),
  say("d"),
  USAGE,
  DONE,
);

const read = (log: NumberedEvent[]) => {
  const reader = createResponseReader(TOLD);
  return { events: log.flatMap((event) => reader.take(event)), response: reader.response };
};
const sequences = (frames: string): number[] =>
  [...frames.matchAll(/"sequence_number":(\d+)/g)].map(([, number]) => Number(number));

describe("a response's events", () => {
  test("[RESP-3] are the same however the log is cut, and any number leaves exactly what follows", () => {
    const whole = responseFrames(TOLD).events(LOG);
    const all = sequences(whole);
    expect(all).toEqual(all.map((_, at) => at));
    for (let cut = 1; cut < LOG.length; cut += 1) {
      const frames = responseFrames(TOLD);
      expect(frames.events(LOG.slice(0, cut)) + frames.events(LOG.slice(cut))).toBe(whole);
    }
    for (const after of all.slice(0, -1))
      expect(sequences(responseFrames(TOLD, after).events(LOG))).toEqual(all.slice(after + 1));
  });

  test("[RESP-3] end also for a client that saw more than was kept of a turn that was cut", () => {
    const kept = numbered(META, say("a"), { event: "rewind", data: { after: 2 } }, USAGE, cutBy("interrupted"));
    const frames = responseFrames(TOLD, 1_000).events(kept);
    expect(frames).toMatch(/^event: response.failed\n/);
    expect(read(kept).response).toMatchObject({
      ...{ status: "failed", error: { code: "interrupted" }, output: [{ content: [{ text: "a" }] }] },
    });
  });

  test("[RESP-5] void what was taken back, and tell the rest of it anew", () => {
    const { response, events } = read(LOG);
    expect(response?.output).toMatchObject([
      { status: "incomplete", content: [] },
      { status: "completed", content: [{ text: "cd" }] },
    ]);
    const partly = numbered(META, say("a"), say("b"), { event: "rewind", data: { after: 2 } }, say("c"), DONE);
    expect(read(partly).response?.output.at(-1)).toMatchObject({ content: [{ text: "ac" }] });
    expect(events.filter(({ type }) => type === "response.output_item.added")).toHaveLength(2);
  });

  test("[RESP-4] say that a turn was cancelled", () => {
    expect(read(numbered(META, say("a"), cutBy("cancelled"))).response?.status).toBe("cancelled");
  });
});

describe("a stream that is rewritten", () => {
  const rewrite = async (frames: string, writer: TurnWriter, bytes: number): Promise<string> => {
    const encoded = new TextEncoder().encode(frames);
    const pieces = Array.from({ length: Math.ceil(encoded.length / bytes) }, (_, at) =>
      encoded.subarray(at * bytes, (at + 1) * bytes),
    );
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const piece of pieces) controller.enqueue(piece);
        controller.close();
      },
    });
    const text = await new Response(rewriteTurn(body, writer)).text();
    return text.replaceAll(": keep-alive\n\n", "");
  };
  const encode = (log: NumberedEvent[]): string => log.map(({ id, ...event }) => encodeEvent(id, event)).join("");

  test("[RESP-3] is the same in pieces of any size", async () => {
    const whole = responseFrames(TOLD).events(LOG);
    for (const bytes of [1, 7, 64, 10_000]) expect(await rewrite(encode(LOG), responseFrames(TOLD), bytes)).toBe(whole);
  });

  test("[RESP-5] ends with an error where the turn's own end is missing", async () => {
    const text = await rewrite(encode(LOG.slice(0, -2)), responseFrames(TOLD), 100);
    expect(text.split("\n\n").at(-2)).toMatch(/^event: error\ndata: .*"code":"interrupted"/);
  });
});
