/** The decoder of OpenAI's Chat Completions stream: what good, odd and hostile servers send. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createDecoder, type Decoder, type ModelEvent, type Told } from "./dialects.ts";
import { MAX_LINE_CHARS } from "./sse-lines.ts";
import { MAX_ARGUMENT_CHARS, MAX_CALLS } from "./tool-call-deltas.ts";

const utf8 = new TextEncoder();
const DONE = "data: [DONE]\n\n";

const frame = (value: unknown) => `data: ${JSON.stringify(value)}\n\n`;
const chunk = (delta: unknown, finish: unknown = null) =>
  frame({ choices: [{ index: 0, delta, finish_reason: finish }] });
const text = (content: string) => chunk({ content });
const finish = (reason: unknown) => chunk({}, reason);
const usage = frame({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 } });
const part = (index: number | undefined, id: string | undefined, name: string | undefined, args: unknown) =>
  chunk({ tool_calls: [{ index, id, function: { name, arguments: args } }] });

function newDecoder(): Decoder {
  let serial = 0;
  return createDecoder("openai-chat", { newCallId: () => `made_${(serial += 1)}` });
}

/** What is known of a reply's price after these pieces. */
function toldOf(...pieces: string[]): Told {
  const decoder = newDecoder();
  for (const piece of pieces) decoder.push(utf8.encode(piece));
  return decoder.told();
}

function decode(...pieces: (string | Uint8Array)[]): ModelEvent[] {
  const decoder = newDecoder();
  const events = pieces.flatMap((piece) => decoder.push(typeof piece === "string" ? utf8.encode(piece) : piece));
  events.push(...decoder.end());
  expect(decoder.push(utf8.encode(text("late")))).toEqual([]);
  expect(decoder.end()).toEqual([]);
  return events;
}

/** Text events joined: how text is cut into events depends on the pushes. */
function joined(events: ModelEvent[]): unknown[] {
  const said = events.flatMap((event) => (event.type === "text" ? [event.text] : [])).join("");
  return [said, ...events.filter((event) => event.type !== "text")];
}

const failing = (code: string) => [
  expect.objectContaining({ type: "failure", failure: expect.objectContaining({ code }) }),
];

describe("a good stream", () => {
  test("gives text, then its finish", () => {
    const events = decode(
      chunk({ role: "assistant", content: "" }) + text("Hel") + text("lo") + finish("stop") + usage + DONE,
    );
    expect(events).toEqual([
      { type: "text", text: "Hello" },
      { type: "finish", reason: "stop" },
    ]);
  });

  test("gives the text of each push at once", () => {
    const decoder = newDecoder();
    expect(decoder.push(utf8.encode(text("a") + text("b")))).toEqual([{ type: "text", text: "ab" }]);
    expect(decoder.push(utf8.encode(text("c")))).toEqual([{ type: "text", text: "c" }]);
  });

  test("CRLF, no space, comments, other fields, usage null, a finish twice and a missing [DONE] are all fine", () => {
    const odd = `: ping\r\nevent: x\r\nid: 1\r\n${text("a").replaceAll("\n", "\r\n").replace("data: ", "data:")}`;
    const end = frame({
      choices: [{ delta: { reasoning_content: "hm", content: null }, finish_reason: "length" }],
      usage: null,
    });
    expect(decode(odd + end + finish("stop"))).toEqual([
      { type: "text", text: "a" },
      { type: "finish", reason: "length" },
    ]);
  });

  test("a last line without a line end counts", () => {
    expect(decode(text("a") + finish("stop").trimEnd())).toEqual([
      { type: "text", text: "a" },
      { type: "finish", reason: "stop" },
    ]);
  });
});

describe("any split of the bytes", () => {
  const anyFrame = fc.oneof(
    fc.string({ unit: "binary" }).map(text),
    fc
      .tuple(fc.nat(2), fc.option(fc.constantFrom("a", "b"), { nil: undefined }), fc.json())
      .map(([at, id, args]) => part(at, id, "f", args)),
    fc.constantFrom("stop", "tool_calls", "abort", "length").map(finish),
    fc.constantFrom(usage, ": ping\n\n", "\r\n", frame({ error: { message: "x" } }), "data: {\n", DONE),
    fc.anything().map((value) => frame(value ?? null)),
  );

  test("gives the same text, calls and finish", () => {
    fc.assert(
      fc.property(fc.array(anyFrame, { maxLength: 12 }), fc.array(fc.nat(400), { maxLength: 30 }), (frames, cuts) => {
        const bytes = utf8.encode(frames.join(""));
        const at = [0, ...cuts.filter((cut) => cut < bytes.length), bytes.length].sort((a, b) => a - b);
        const pieces = at.slice(1).map((end, index) => bytes.subarray(at[index], end));
        expect(joined(decode(...pieces))).toEqual(joined(decode(bytes)));
      }),
      { numRuns: 1_000 },
    );
  });

  test("one byte at a time keeps characters whole", () => {
    const bytes = utf8.encode(text("żółć 🧵") + finish("stop"));
    expect(joined(decode(...Array.from(bytes, (_, at) => bytes.subarray(at, at + 1))))[0]).toBe("żółć 🧵");
  });

  test("random bytes end in exactly one failure", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(decode(bytes).map((event) => event.type)).toEqual(["failure"]);
      }),
    );
  });
});

describe("tool calls", () => {
  const callsOf = (...pieces: string[]) => {
    const events = decode(...pieces, finish("tool_calls"), DONE);
    return events.flatMap((event) => (event.type === "tool_calls" ? event.calls : []));
  };

  test("are gathered by index, their arguments parsed once", () => {
    expect(
      callsOf(part(0, "a", "f", '{"x":"\\'), part(1, "b", "g", ""), part(0, undefined, undefined, 'u0041"}')),
    ).toEqual([
      { id: "a", name: "f", arguments: { x: "A" } },
      { id: "b", name: "g", arguments: {} },
    ]);
  });

  test("a new id on a used index starts a call; a repeated one goes on", () => {
    expect(callsOf(part(0, "a", "f", "{"), part(0, "a", "f", "}"), part(0, "b", "f", '{"y":1}'))).toEqual([
      { id: "a", name: "f", arguments: {} },
      { id: "b", name: "f", arguments: { y: 1 } },
    ]);
  });

  test("without ids and with every index 0, a second name starts a call and ids are made", () => {
    const pieces = [
      part(0, undefined, "f", '{"x":'),
      part(0, undefined, undefined, "1}"),
      part(undefined, undefined, "f", "{}"),
    ];
    expect(callsOf(...pieces)).toEqual([
      { id: "made_1", name: "f", arguments: { x: 1 } },
      { id: "made_2", name: "f", arguments: {} },
    ]);
  });

  test("an id used by two calls is made anew for the second", () => {
    expect(callsOf(part(0, "a", "f", "{}"), part(1, "a", "g", "{}")).map((call) => call.id)).toEqual(["a", "made_1"]);
  });

  test.each(['{"x":', "[1]", '"x"', "null", "{}{}"])("arguments %s are marked malformed", (args) => {
    expect(callsOf(part(0, "a", "f", args))).toEqual([{ id: "a", name: "f", malformed: true }]);
  });

  test("beat the finish reason, and a reason without calls is a stop", () => {
    const withCall = decode(part(0, "a", "f", "{}") + finish("stop") + usage + DONE);
    expect(withCall.map((event) => event.type)).toEqual(["tool_calls", "finish"]);
    expect(withCall.at(-1)).toEqual({ type: "finish", reason: "tool_calls" });
    expect(decode(finish("tool_calls") + DONE)).toEqual([{ type: "finish", reason: "stop" }]);
  });

  test("are not given when the reply was cut", () => {
    expect(decode(part(0, "a", "f", "{}"))).toEqual(failing("upstream_truncated"));
  });
});

describe("a bad stream", () => {
  test.each([
    ["no finish", DONE, "upstream_truncated"],
    ["no bytes", "", "upstream_truncated"],
    ["finish abort", finish("abort") + DONE, "upstream_truncated"],
    ["finish unknown", finish(7) + DONE, "upstream_truncated"],
    ["no JSON", "data: {half\n\n", "upstream_error"],
    ["no object", "data: null\n\n", "upstream_error"],
    ["choices no list", frame({ choices: {} }), "upstream_error"],
    ["content no text", chunk({ content: 1 }), "upstream_error"],
    ["tool calls no list", chunk({ tool_calls: {} }), "upstream_error"],
    ["arguments no text", part(0, "a", "f", {}), "upstream_error"],
    ["a line too long", `data: ${"x".repeat(MAX_LINE_CHARS)}`, "upstream_error"],
    [
      "too many calls",
      Array.from({ length: MAX_CALLS + 1 }, (_, at) => part(at, `c${at}`, "f", "")).join(""),
      "upstream_error",
    ],
    ["too many arguments", part(0, "a", "f", " ".repeat(MAX_ARGUMENT_CHARS + 1)), "upstream_error"],
  ])("%s ends in a failure", (_, stream, code) => {
    expect(decode(stream)).toEqual(failing(code));
    expect(decode(text("some") + stream)).toEqual([{ type: "text", text: "some" }, ...failing(code)]);
  });

  test("an error frame ends it without the vendor's text, [DONE] or not", () => {
    const events = decode(text("a") + frame({ error: { message: "secret prompt" } }) + DONE);
    expect(events).toEqual([{ type: "text", text: "a" }, ...failing("upstream_error")]);
    expect(JSON.stringify(events)).not.toContain("secret");
  });
});

describe("what a reply takes", () => {
  const figures = { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 };
  const soFar = (content: string, completion: number) =>
    frame({
      choices: [{ delta: { content } }],
      usage: { prompt_tokens: 3, total_tokens: 3 + completion, completion_tokens: completion },
    });

  test("is told by figures that come after the finish", () => {
    expect(toldOf(text("a") + finish("stop") + usage)).toEqual({ usage: figures, deltas: 0, isFinished: true });
    expect(toldOf(text("a") + finish("abort") + usage)).toEqual({ usage: figures, deltas: 0, isFinished: true });
  });

  test("[LEDGER-17] tells what of the prompt was cached, where the provider does and the figure can be true", () => {
    const usageWith = (details: unknown) =>
      toldOf(finish("stop") + frame({ choices: [], usage: { ...figures, prompt_tokens_details: details } })).usage;
    expect(usageWith({ cached_tokens: 2, audio_tokens: 0 })).toEqual({ ...figures, cached_tokens: 2 });
    expect(usageWith({ cached_tokens: 0 })).toEqual({ ...figures, cached_tokens: 0 });
    const odd = [
      null,
      {},
      { cached_tokens: null },
      { cached_tokens: 4 },
      { cached_tokens: -1 },
      { cached_tokens: "2" },
    ];
    for (const details of odd) expect(usageWith(details)).toEqual(figures);
  });

  test("[LEDGER-10] is known at any time where the figures come with every chunk: they are those up to it", () => {
    const decoder = newDecoder();
    for (const [at, piece] of ["a", "b", "c"].entries()) {
      decoder.push(utf8.encode(soFar(piece, at + 1)));
      expect(decoder.told()).toMatchObject({ usage: { prompt_tokens: 3, completion_tokens: at + 1 }, deltas: 0 });
    }
    expect(decoder.told().isFinished).toBe(false);
  });

  test("is a token a delta at least where they do not: text, calls, and thoughts that are not shown", () => {
    const opening = chunk({ role: "assistant", content: "" });
    const thought = chunk({ reasoning_content: "hm" });
    const said = opening + thought + text("a") + part(0, "a", "f", "{}");
    expect(toldOf(said)).toEqual({ usage: undefined, deltas: 3, isFinished: false });
    expect(toldOf(usage + said)).toEqual({ usage: figures, deltas: 3, isFinished: false });
  });

  test("figures that are no counts are left out", () => {
    const bad = frame({ choices: [], usage: { prompt_tokens: -1, completion_tokens: "4" } });
    expect(toldOf(finish("stop") + bad).usage).toBeUndefined();
    expect(toldOf(usage + bad).usage).toEqual(figures);
  });
});
