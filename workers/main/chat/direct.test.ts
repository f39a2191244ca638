/** A direct call that breaks off by a bug, or whose client leaves, against fakes of its contracts: what it took is told all the same, once. */
import { expect, test } from "vitest";
import { NO_USAGE } from "../../../contracts/rounds.ts";
import type { Completion, LlmAgent, ModelStream, SeenCall, WhenGone } from "../../../contracts/llm.ts";
import { fail, ok, type Result } from "../../../contracts/errors.ts";
import type { DirectCall, DirectDeps, DirectEnd } from "./direct-call.ts";
import { completeDirect, streamDirect } from "./direct.ts";

const never = () => Promise.reject(new Error("not asked for"));
const LLM: LlmAgent = {
  ...{ stream: never, generate: never, embed: never, models: never, health: never, brokeOff: never },
};
const USAGE = { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 };
const QUOTA = { limit: 1, remaining: 1, resetMs: 0 };

/** The first of several calls gives what no JSON is; to ask again is a bug. */
function once<T>(first: T): () => Promise<T> {
  let calls = 0;
  return () => {
    calls += 1;
    if (calls > 1) throw new Error("a bug");
    return Promise.resolve(first);
  };
}

function callThat(llm: Partial<LlmAgent>): {
  call: DirectCall;
  deps: DirectDeps;
  ends: DirectEnd[];
  settled: unknown[];
  /** Each call of the model, and how many streams are open. */
  seen: { calls: SeenCall[]; streams: number };
  /** What the runtime lets go on when the client has left. */
  held: Promise<unknown>[];
  leave: () => void;
} {
  const held: Promise<unknown>[] = [];
  const client = new AbortController();
  const ends: DirectEnd[] = [];
  const settled: unknown[] = [];
  const seen: ReturnType<typeof callThat>["seen"] = { calls: [], streams: 0 };
  const request = { model: "demo", messages: [{ role: "user" as const, content: "Hello" }] };
  const call: DirectCall = {
    admitted: {
      ...{ request, limits: { requests: QUOTA, tokens: QUOTA }, settle: (end) => settled.push(end) },
      release: () => settled.push(NO_USAGE),
      hold: (work) => held.push(work.catch(() => undefined)),
    },
    ...{ request, context: { userId: "u", requestId: "r" }, signal: client.signal },
    ...{ onEnd: (end) => ends.push(end), heldTo: { type: "json_object" } },
    ...{ onModelCall: (one) => seen.calls.push(one), onFirstWords() {} },
    onStream(by) {
      seen.streams += by;
    },
  };
  const leave = (): void => client.abort();
  const deps = { llm: { ...LLM, ...llm }, prices: {}, now: () => 0, newCallId: () => "c" };
  return { call, deps: { ...deps, stallTimeoutMs: 1_000, streamTimeoutMs: 1_000 }, ends, settled, seen, held, leave };
}

test("[LLM-5] [LEDGER-4] an answer in one piece whose mending breaks off is counted by what it took", async () => {
  const bad: Completion = {
    ...{ model: "demo", provider: "openai", content: "no JSON", toolCalls: [], finishReason: "stop", usage: USAGE },
  };
  const { call, deps, ends, settled, seen } = callThat({ generate: once(ok(bad)) });
  await expect(completeDirect(call, deps)).rejects.toThrow("a bug");
  expect(ends).toMatchObject([{ usage: USAGE, failure: { code: "internal" }, answer: undefined }]);
  expect(settled).toEqual(ends);
  expect(seen.calls).toMatchObject([{ provider: "openai", model: "demo", ms: 0, usage: USAGE, error: undefined }]);
});

test("[METRICS-1] an answer that is made once more is two calls, each with what it took", async () => {
  const answer = { model: "demo", provider: "openai", toolCalls: [], finishReason: "stop" as const, usage: USAGE };
  const contents = ["no JSON", "{}"];
  const generate = () => Promise.resolve(ok({ ...answer, content: contents.shift() ?? "" }));
  const { call, deps, ends, seen } = callThat({ generate });
  expect(await completeDirect(call, deps)).toMatchObject({ ok: true, value: { content: "{}" } });
  expect(ends[0]?.usage.total_tokens).toBe(20);
  expect(seen.calls).toMatchObject([{ usage: USAGE }, { usage: USAGE }]);
});

test("[LLM-5] [LEDGER-4] and so is a stream", async () => {
  const chunk = { choices: [{ index: 0, delta: { content: "no JSON" }, finish_reason: "stop" }], usage: USAGE };
  const body = new Response(`data: ${JSON.stringify(chunk)}\n\ndata: [DONE]\n\n`).body;
  if (body === null) throw new Error("no body");
  const bad: ModelStream = { model: "demo", provider: "openai", route: "r", dialect: "openai-chat", body };
  const { call, deps, ends, settled } = callThat({ stream: once(ok(bad)) });
  const streamed = await streamDirect(call, deps);
  if (!streamed.ok) throw new Error("no stream");
  await expect(new Response(streamed.value).text()).rejects.toThrow("a bug");
  expect(ends).toMatchObject([{ failure: { code: "internal" }, answer: undefined }]);
  expect(ends[0]?.usage).toMatchObject({ prompt_tokens: 7, completion_tokens: 3 });
  expect(settled).toEqual(ends);
});

/** A model that says nothing, until it hears that its caller has left. */
function silentUntilLeft<T>(answer: Result<T>) {
  return async (_: unknown, __: unknown, gone?: WhenGone): Promise<Result<T>> => {
    await gone?.();
    return answer;
  };
}

const CANCELLED = fail("cancelled", "the caller left", { usage: { ...USAGE, estimated: true } });

test("[LLM-5] [LEDGER-4] a client that leaves before the answer: what is held tells what it took", async () => {
  const { call, deps, ends, settled, held, leave } = callThat({ generate: silentUntilLeft(CANCELLED) });
  void completeDirect(call, deps);
  leave();
  await Promise.all(held);
  expect(ends).toMatchObject([{ usage: USAGE, failure: { code: "cancelled" } }]);
  expect(settled).toEqual(ends);
});

test("[LLM-5] [LEDGER-4] and so it is with a stream that is not open yet, or opens in that moment", async () => {
  const body = new ReadableStream<Uint8Array>();
  const opened: ModelStream = { model: "demo", provider: "openai", route: "r", dialect: "openai-chat", body };
  for (const answer of [CANCELLED, ok(opened)]) {
    const { call, deps, ends, settled, seen, held, leave } = callThat({ stream: silentUntilLeft<ModelStream>(answer) });
    void streamDirect(call, deps);
    leave();
    await Promise.all(held);
    expect(ends).toMatchObject([{ failure: { code: "cancelled" }, answer: undefined }]);
    expect(ends[0]?.usage).toMatchObject({ estimated: true });
    expect(settled).toEqual(ends);
    expect(seen).toMatchObject({ calls: [{ usage: ends[0]?.usage, error: "cancelled" }], streams: 0 });
  }
});
