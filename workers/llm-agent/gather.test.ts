/** Replies in one piece, gathered out of streams. Providers are responses in memory, and the clock is the test's own. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { ModelRequest } from "../../contracts/llm.ts";
import { estimateUsage } from "../../contracts/rounds.ts";
import { readConfig } from "./env.ts";
import { Fleet } from "./fleet.ts";
import { type CallDeps, complete } from "./generate.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

type Node = (signal: AbortSignal) => Promise<Response>;

const MODELS = {
  providers: {
    one: { kind: "compatible", nodes: ["http://one.test/v1"] },
    two: { kind: "compatible", nodes: ["http://two.test/v1"] },
  },
  models: { m: { routes: [{ provider: "one" }, { provider: "two" }] }, alone: { routes: [{ provider: "one" }] } },
};
const request = (model: string): ModelRequest => ({ model, messages: [{ role: "user", content: "prompt-canary" }] });
const PROMPT = estimateUsage(request("m"), "").prompt_tokens;

const silent: Node = (signal) =>
  new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("aborted"))));

const FOREVER = Number.POSITIVE_INFINITY;

/** Text is sent; a number is a silence of so many milliseconds; an error breaks the connection. */
const streamed =
  (...steps: (string | number | Error)[]): Node =>
  async (signal) => {
    const left = [...steps];
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => signal.addEventListener("abort", () => controller.error(new Error("aborted"))),
      async pull(controller) {
        for (;;) {
          const step = left.shift();
          if (typeof step === "string") return controller.enqueue(new TextEncoder().encode(step));
          if (step === undefined) return controller.close();
          if (typeof step !== "number") return controller.error(step);
          await new Promise<void>((resolve) => void (step === FOREVER || setTimeout(resolve, step)));
        }
      },
    });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  };

const frame = (data: object): string => `data: ${JSON.stringify(data)}\n\n`;
const words = (content: unknown, finish: string | null = null): string =>
  frame({ choices: [{ delta: { content }, finish_reason: finish }] });
const usageFrame = (prompt: number, completion: number): string =>
  frame({ choices: [], usage: { prompt_tokens: prompt, completion_tokens: completion } });
const DONE = "data: [DONE]\n\n";
const HELLO = streamed(words("Hello"), words("", "stop"), usageFrame(7, 1), DONE);

function ask(model: string, one: Node, two: Node = HELLO, left?: Promise<void>) {
  const deps: CallDeps = {
    config: readConfig({ MODELS: JSON.stringify(MODELS) }),
    fetch: async (input, init) => {
      const url = input instanceof Request ? input.url : String(input);
      const { signal } = init ?? {};
      if (!signal) throw new Error("a call without a limit");
      return (url.startsWith("http://one.test/") ? one : two)(signal);
    },
    ...{ now: Date.now, wait: async () => undefined, newCallId: () => "made" },
    ...{ fleet: new Fleet(), random: () => 0, trace: [], attempts: [] },
  };
  const context = { requestId: "r", userId: "u" };
  return { done: complete({ request: request(model), context, left }, deps), nodes: deps.trace };
}

const sum = (prompt: number, completion: number) => ({ prompt_tokens: prompt, completion_tokens: completion });

describe("[LLM-9] time", () => {
  test.each<[string, Node, number]>([
    ["before its headers", silent, 30_000],
    ["before its first bytes", streamed(FOREVER), 30_000],
    ["after some words", streamed(words("Half an"), FOREVER), 20_000],
  ])("a node that is silent %s is left for the next one then, and not before", async (_, one, limitMs) => {
    const { done, nodes } = ask("m", one);
    await vi.advanceTimersByTimeAsync(limitMs - 1);
    expect(nodes).toEqual(["one/1"]);
    await vi.advanceTimersByTimeAsync(1);
    expect(await done).toMatchObject({ ok: true, value: { provider: "two", content: "Hello" } });
    expect(nodes).toEqual(["one/1", "two/1"]);
  });

  test("what keeps coming is waited for, whatever limit each part has", async () => {
    const slow = Array.from({ length: 20 }, (__, at) => [15_000, words(`${at} `)]).flat();
    const { done, nodes } = ask("m", streamed(...slow, words("", "stop"), DONE));
    await vi.advanceTimersByTimeAsync(300_000);
    const content = expect.stringMatching(/^0 1 .* 19 $/);
    expect(await done).toMatchObject({ ok: true, value: { provider: "one", content, finishReason: "stop" } });
    expect(nodes).toEqual(["one/1"]);
  });

  test("what never comes to an end is refused, and not begun again elsewhere", async () => {
    const endless = Array.from({ length: 60 }, () => [15_000, words("more ")]).flat();
    const { done, nodes } = ask("m", streamed(...endless));
    await vi.advanceTimersByTimeAsync(600_000);
    expect(await done).toMatchObject({ ok: false, error: { code: "upstream_timeout" } });
    expect(nodes).toEqual(["one/1"]);
  });

  test("[F13] a caller that leaves in its middle ends it; what was read is told", async () => {
    const { promise: left, resolve: leave } = Promise.withResolvers<void>();
    const { done, nodes } = ask("m", streamed(words("Half an"), usageFrame(9, 2), FOREVER), HELLO, left);
    await vi.advanceTimersByTimeAsync(1_000);
    leave();
    expect(await done).toMatchObject({ ok: false, error: { code: "cancelled", usage: sum(9, 2) } });
    expect(nodes).toEqual(["one/1"]);
  });
});

describe("[LLM-9] a reply that breaks off", () => {
  test.each<[string, (string | Error)[]]>([
    ["[F1] by an end without a finish", []],
    ["[F3] by its connection", [new Error("reset")]],
    ["[F5] by an error", [frame({ error: { message: "canary" } })]],
    ["[F11] with finish abort", [words("", "abort"), DONE]],
    ["[S10] by what is no frame", ["data: {\n\n"]],
  ])("%s is asked of the next node; the figures told so far are paid [LEDGER-12]", async (_, broken) => {
    const { done, nodes } = ask("m", streamed(words("Half an"), usageFrame(9, 2), ...broken));
    expect(await done).toMatchObject({ value: { content: "Hello", usage: sum(16, 3) } });
    expect(nodes).toEqual(["one/1", "two/1"]);
  });

  test("alone is tried once more, then told with what both took", async () => {
    const { done, nodes } = ask("alone", streamed(words("Half an")));
    expect(await done).toMatchObject({ error: { code: "upstream_truncated", usage: sum(2 * PROMPT, 4) } });
    expect(nodes).toEqual(["one/1", "one/1"]);
  });

  test("after its finish reason is whole", async () => {
    const { done } = ask("m", streamed(words("Hello", "stop"), new Error("reset")));
    expect(await done).toMatchObject({ ok: true, value: { provider: "one", content: "Hello" } });
  });
});

describe("a reply", () => {
  const call = (index: number, args: string | null, id?: string): string =>
    frame({ choices: [{ delta: { tool_calls: [{ index, id, function: { name: "f", arguments: args } }] } }] });

  test("comes with its usage, or with an estimate [F9]", async () => {
    const usage = { prompt_tokens: 7, completion_tokens: 1, total_tokens: 8 };
    const value = { model: "m", provider: "one", content: "Hello", toolCalls: [], finishReason: "stop", usage };
    expect(await ask("m", HELLO).done).toEqual({ ok: true, value });
    const untold = ask("m", streamed(words("Hello"), words("", "stop"), DONE));
    expect(await untold.done).toMatchObject({ value: { usage: { ...sum(PROMPT, 2), estimated: true } } });
  });

  test("[F10] calls are parsed once, missing ids made, and they beat the finish reason", async () => {
    const { done } = ask("m", streamed(call(0, '{"x"', "a"), call(0, ":1}"), call(1, null), words(null, "stop"), DONE));
    expect(await done).toMatchObject({
      value: {
        ...{ content: "", finishReason: "tool_calls" },
        toolCalls: [
          { id: "a", name: "f", arguments: { x: 1 } },
          { id: "made", name: "f", arguments: {} },
        ],
      },
    });
  });

  test.each<[string, string[]]>([
    ["[F10] with arguments that are no JSON", [call(0, "{"), words(null, "tool_calls"), DONE]],
    ["[S10] that is too long", [...Array.from({ length: 5 }, () => words("x".repeat(900_000))), DONE]],
  ])("%s is refused, and asked of nobody else", async (_, pieces) => {
    const { done, nodes } = ask("m", streamed(...pieces));
    expect(await done).toMatchObject({ ok: false, error: { code: "upstream_error", usage: { estimated: true } } });
    expect(nodes).toEqual(["one/1"]);
  });
});
