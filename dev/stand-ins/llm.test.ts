/**
 * The LLM stand-in, spoken to by the real openai package on its good paths and by bare fetch and sockets on its bad ones.
 */
import { connect } from "node:net";
import fc from "fast-check";
import OpenAI from "openai";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { parseFaults, parseModel } from "./llm/faults.ts";
import { serveLlm } from "./llm.ts";
import type { StandIn } from "./serve.ts";

type Message = OpenAI.ChatCompletionMessageParam;
type Chunk = OpenAI.ChatCompletionChunk & { error?: object };

const AT_ONCE = { firstTokenMs: 0, tokensPerSecond: Infinity };

let llm: StandIn;
let openai: OpenAI;

beforeAll(async () => {
  llm = await serveLlm({ pace: AT_ONCE, now: () => Date.UTC(2026, 10, 23) });
  openai = new OpenAI({ baseURL: `${llm.url}/v1`, apiKey: "test-key", maxRetries: 0 });
});
afterAll(() => llm.close());
beforeEach(() => llm.control({ mode: "up", latencyMs: 0 }));

function tool(name: string, properties: Record<string, object>, required: string[] = []): OpenAI.ChatCompletionTool {
  return { type: "function", function: { name, parameters: { type: "object", properties, required } } };
}

const CALCULATOR = tool(
  "calculator",
  { precision: { type: "number" }, note: { type: "string" }, expression: { type: "string" } },
  ["expression"],
);
const CLOCK = tool("current_time", {});
const ECHO = tool("echo", { text: { type: "string" } });
const SEARCH = tool("web_search", { query: { type: "string" } }, ["query"]);
const TOOLS = [CALCULATOR, CLOCK, ECHO, SEARCH];

async function ask(
  content: string | Message[],
  options: Partial<OpenAI.ChatCompletionCreateParamsNonStreaming> = {},
): Promise<OpenAI.ChatCompletion> {
  const messages: Message[] = typeof content === "string" ? [{ role: "user", content }] : content;
  return openai.chat.completions.create({ model: "demo", messages, ...options });
}

function post(body: object | string, signal?: AbortSignal): Promise<Response> {
  return fetch(`${llm.url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: "Bearer test-key", "content-type": "application/json" },
    body: typeof body === "string" ? body : JSON.stringify(body),
    redirect: "manual",
    ...(signal === undefined ? {} : { signal }),
  });
}

function streamOf(model: string, content = "hello", extra: object = {}): Promise<Response> {
  return post({ model, messages: [{ role: "user", content }], stream: true, ...extra });
}

/** Everything that came, and whether the connection broke. */
async function readAll(response: Response): Promise<{ text: string; broke: boolean }> {
  const decoder = new TextDecoder();
  let text = "";
  try {
    for await (const bytes of response.body ?? []) text += decoder.decode(bytes, { stream: true });
    return { text, broke: false };
  } catch {
    return { text, broke: true };
  }
}

function chunksOf(text: string): Chunk[] {
  // The stand-in's own frames, in OpenAI's shape.
  return [...text.matchAll(/^data: (\{.*\})$/gm)].map(([, frame = ""]) => JSON.parse(frame) as Chunk);
}

const pieces = (chunks: Chunk[]): Chunk[] => chunks.filter((chunk) => (chunk.choices?.[0]?.delta.content ?? "") !== "");
const finishes = (chunks: Chunk[]): unknown[] =>
  chunks
    .flatMap((chunk) => chunk.choices ?? [])
    .map((c) => c.finish_reason)
    .filter((r) => r !== null);

describe("the demo model", () => {
  it("streams word by word what it also says in one piece, with usage when asked", async () => {
    const whole = await ask("Tell me about cafés 😀");
    const stream = await openai.chat.completions.create({
      model: "demo",
      messages: [{ role: "user", content: "Tell me about cafés 😀" }],
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks: Chunk[] = [];
    for await (const chunk of stream) chunks.push(chunk);

    expect(whole.choices[0]?.message.content).toMatch(/^\[demo model\] You asked: "Tell me about cafés 😀"\./);
    expect(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("")).toBe(
      whole.choices[0]?.message.content,
    );
    expect(pieces(chunks).length).toBeGreaterThan(10);
    expect(finishes(chunks)).toEqual(["stop"]);
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: whole.usage });
    expect(chunks.slice(0, -1).every((chunk) => chunk.usage === null)).toBe(true);
    expect(whole.usage?.completion_tokens).toBe(Math.ceil((whole.choices[0]?.message.content ?? "").length / 4));
  });

  it("sends no usage in a stream that did not ask for it", async () => {
    const { text } = await readAll(await streamOf("demo"));
    expect(chunksOf(text).some((chunk) => "usage" in chunk)).toBe(false);
    expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
  });

  it("tells the usage so far in every chunk where it is asked to, as vLLM does", async () => {
    const options = { stream_options: { include_usage: true, continuous_usage_stats: true } };
    const chunks = chunksOf((await readAll(await streamOf("demo:tokens.3", "hello", options))).text);
    const prompt_tokens = chunks[0]?.usage?.prompt_tokens ?? Number.NaN;
    expect(chunks.map(({ usage }) => usage)).toEqual(
      [0, 1, 2, 3, 3, 3].map((completion_tokens) => ({
        ...{ prompt_tokens, total_tokens: prompt_tokens + completion_tokens, completion_tokens },
      })),
    );
  });

  it("remembers the conversation it is sent", async () => {
    const before: Message[] = [
      { role: "user", content: "Hello, my name is Zoë." },
      { role: "assistant", content: "Hello!" },
    ];
    const name = await ask([...before, { role: "user", content: "What is my name?" }]);
    expect(name.choices[0]?.message.content).toBe("[demo model] Your name is Zoë.");
    const memory = await ask([...before, { role: "user", content: [{ type: "text", text: "And now?" }] }]);
    expect(memory.choices[0]?.message.content).toContain("1 earlier message of yours");
    expect((await ask("what's my name?")).choices[0]?.message.content).toContain("not told me");
  });

  it.each([
    ["what is 17*23?", "calculator", { expression: "17*23" }],
    ["Compute (1 + 2) * 3.5, please.", "calculator", { expression: "(1 + 2) * 3.5" }],
    ["how much is 12 × 4", "calculator", { expression: "12 * 4" }],
    ["What time is it?", "current_time", {}],
    ["please echo hello", "echo", { text: "hello" }],
    ["Search the web for tides", "web_search", { query: "tides" }],
  ])("asks for the tool that %j needs", async (prompt, name, args) => {
    const reply = await ask(prompt, { tools: TOOLS });
    expect(reply.choices[0]).toMatchObject({ finish_reason: "tool_calls", message: { content: null } });
    const call = reply.choices[0]?.message.tool_calls?.[0];
    expect(call?.type === "function" && [call.function.name, JSON.parse(call.function.arguments)]).toEqual([
      name,
      args,
    ]);
  });

  it("answers with the tool's result once it is there", async () => {
    const question: Message = { role: "user", content: "what is 17*23?" };
    const { choices } = await ask([question], { tools: TOOLS });
    const asked = choices[0]?.message;
    const result: Message = { role: "tool", tool_call_id: asked?.tool_calls?.[0]?.id ?? "", content: "391" };
    const answer = await ask([question, { role: "assistant", tool_calls: asked?.tool_calls ?? [] }, result], {
      tools: TOOLS,
    });
    expect(answer.choices[0]?.message.content).toBe("[demo model] The tool answered: 391");
    expect(answer.choices[0]?.finish_reason).toBe("stop");
  });

  it("calls no tool that is forbidden, missing or not needed", async () => {
    for (const reply of [
      await ask("what is 17*23?", { tools: TOOLS, tool_choice: "none" }),
      await ask("what is 17*23?", { tools: [ECHO] }),
      await ask("what happened on 2026-11-23?", { tools: TOOLS }),
    ]) {
      expect(reply.choices[0]?.finish_reason).toBe("stop");
    }
  });

  it("keeps to max_tokens and to JSON", async () => {
    const short = await ask("hello", { max_completion_tokens: 3 });
    expect(short.choices[0]).toMatchObject({ finish_reason: "length", message: { content: "[demo model]" } });
    expect(short.usage?.completion_tokens).toBe(3);
    const json = await ask("hello", { response_format: { type: "json_object" } });
    expect(JSON.parse(json.choices[0]?.message.content ?? "")).toMatchObject({ demo: true });
  });

  it("serves any model name, and lists some, vLLM's shape among them", async () => {
    expect((await ask("hi", { model: "llama3:8b" })).model).toBe("llama3:8b");
    const models = (await openai.models.list()).data;
    expect(models.map((model) => model.id)).toEqual(expect.arrayContaining(["demo", "gpt-4o-mini"]));
    expect(models).toContainEqual(expect.objectContaining({ owned_by: "vllm", max_model_len: 8_192 }));
    expect((await fetch(`${llm.url}/health`)).status).toBe(200);
    expect(await (await fetch(`${llm.url}/version`)).json()).toHaveProperty("version");
  });

  it("waits as a model does: before the first token, then between tokens", async () => {
    const waits: number[] = [];
    const slow = await serveLlm({ pace: { tokensPerSecond: 50 }, delay: async (ms) => void waits.push(ms) });
    const client = new OpenAI({ baseURL: `${slow.url}/v1`, apiKey: "k", maxRetries: 0 });
    const stream = await client.chat.completions.create({
      model: "demo",
      messages: [{ role: "user", content: "hi" }],
      stream: true,
    });
    let words = 0;
    for await (const chunk of stream) words += (chunk.choices[0]?.delta.content ?? "") === "" ? 0 : 1;
    expect(waits).toEqual([150, ...Array.from({ length: words - 1 }, () => 20)]);
    await slow.close();
  });
});

describe("what it refuses", () => {
  it("lets nobody into /v1 without the key", async () => {
    const keyed = await serveLlm({ apiKey: "right", pace: AT_ONCE });
    for (const headers of [{}, { authorization: "Bearer " }, { authorization: "Bearer wrong" }]) {
      expect((await fetch(`${keyed.url}/v1/models`, { headers })).status).toBe(401);
    }
    expect((await fetch(`${keyed.url}/v1/models`, { headers: { authorization: "Bearer right" } })).status).toBe(200);
    await keyed.close();
  });

  it.each([
    ["no JSON", "{"],
    ["no messages", { model: "demo" }],
    ["an unknown role", { model: "demo", messages: [{ role: "root", content: "x" }] }],
    [
      "a tool message without its call",
      { model: "demo", messages: [{ role: "tool", tool_call_id: "call_1", content: "391" }] },
    ],
    [
      "a call left unanswered",
      {
        model: "demo",
        messages: [
          {
            role: "assistant",
            tool_calls: [{ id: "call_1", type: "function", function: { name: "echo", arguments: "{}" } }],
          },
          { role: "user", content: "x" },
        ],
      },
    ],
    ["a fault that does not exist", { model: "demo:nonsense", messages: [{ role: "user", content: "x" }] }],
  ])("answers 400 to %s", async (_name, body) => {
    const reply = await post(body);
    expect([reply.status, await reply.json()]).toEqual([
      400,
      { error: expect.objectContaining({ type: "invalid_request_error" }) },
    ]);
  });

  it("reads any text as a fault or as none, and never throws", () => {
    const word = fc.constantFrom(
      "cut",
      "err",
      "429",
      "ra",
      "stall",
      "headers",
      "tokens",
      "gap",
      "toolcalls",
      "loop",
      "toString",
      "__proto__",
      "1",
      "-1",
      "",
    );
    const text = fc.oneof(
      fc.string(),
      fc.array(word, { maxLength: 6 }).map((words) => words.join(".")),
    );
    fc.assert(fc.property(text, (fault) => void parseFaults(fault)));
    expect(parseModel("demo:bytes.1:cut.3")).toEqual({
      base: "demo",
      faults: { writeBytes: 1, breaks: { kind: "cut", after: 3 } },
    });
    for (const wrong of [
      "cut",
      "cut.x",
      "cut.3.4",
      "err.3.no",
      "429.ra.soon",
      "status.200",
      "toolcalls.x",
      "bytes.0",
      "constructor",
    ]) {
      expect([wrong, parseFaults(wrong)]).toEqual([wrong, undefined]);
    }
  });
});

describe("faults of a stream", () => {
  it.each([
    { fault: "cut.3", ended: true, reset: false },
    { fault: "drop.3", ended: false, reset: false },
    { fault: "rst.3", ended: false, reset: true },
  ])("$fault ends after three chunks, without finish or [DONE]", async ({ fault, ended, reset }) => {
    // A bare socket: an HTTP client may throw away what came before the connection broke.
    const { aborted } = llm.stats();
    const seen = await rawStream(`demo:${fault}`, "hello");
    const text = seen.bytes.toString("utf8");
    expect([text.endsWith("0\r\n\r\n"), seen.reset]).toEqual([ended, reset]);
    expect(pieces(chunksOf(text))).toHaveLength(3);
    expect(finishes(chunksOf(text))).toEqual([]);
    expect(text).not.toContain("[DONE]");
    expect(await llm.until((stats) => stats.in_flight === 0)).toMatchObject({ aborted });
  });

  it("err.2 and err.2.done put an error into the stream", async () => {
    const bare = await readAll(await streamOf("demo:err.2"));
    expect(chunksOf(bare.text).at(-1)).toHaveProperty("error.message");
    expect(pieces(chunksOf(bare.text))).toHaveLength(2);
    expect(bare.text).not.toContain("[DONE]");
    expect((await readAll(await streamOf("demo:err.2.done"))).text).toMatch(/"error":.*\n\ndata: \[DONE\]\n\n$/);
  });

  it("breaks even where the answer is shorter than the fault says", async () => {
    const { text } = await readAll(await streamOf("demo:cut.9999"));
    expect([finishes(chunksOf(text)), text.includes("[DONE]")]).toEqual([[], false]);
  });

  it.each([
    { fault: "stall.headers", headers: false, chunks: 0 },
    { fault: "stall.first", headers: true, chunks: 0 },
    { fault: "stall.2", headers: true, chunks: 3 },
  ])("$fault goes silent; the client that leaves is counted", async ({ fault, headers, chunks }) => {
    const before = llm.stats();
    const sentBefore = Number(before["chunks_sent"]);
    const leave = new AbortController();
    const asked = post(
      { model: `demo:${fault}`, messages: [{ role: "user", content: "x" }], stream: true },
      leave.signal,
    );
    const broke = asked.then(readAll).then(
      (seen) => seen.broke,
      () => true,
    );
    if (headers) await asked;
    await llm.until((stats) => stats.in_flight === 1 && stats["chunks_sent"] === sentBefore + chunks);
    leave.abort();
    expect(await broke).toBe(true);
    expect(await llm.until((stats) => stats.in_flight === 0)).toMatchObject({
      aborted: before.aborted + 1,
      chunks_sent: sentBefore + chunks,
    });
  });

  it("nousage, cached, usage-empty-choices, finish, dup-finish and length do what they say", async () => {
    const asked = { stream_options: { include_usage: true } };
    const chunks = async (fault: string, extra = {}): Promise<Chunk[]> =>
      chunksOf((await readAll(await streamOf(`demo:${fault}`, "hello", extra))).text);
    expect((await chunks("nousage", asked)).some((chunk) => "usage" in chunk)).toBe(false);
    expect((await chunks("cached.7", asked)).at(-1)).toMatchObject({
      usage: { prompt_tokens_details: { cached_tokens: 7 } },
    });
    const early = await chunks("usage-empty-choices");
    expect([early.at(0), early.at(-1)]).toEqual([
      expect.objectContaining({ choices: [], usage: expect.anything() }),
      expect.objectContaining({ choices: [], usage: expect.anything() }),
    ]);
    expect(finishes(await chunks("finish.abort"))).toEqual(["abort"]);
    expect(finishes(await chunks("finish.weird"))).toEqual(["weird"]);
    expect(finishes(await chunks("finish.null"))).toEqual([]);
    expect(finishes(await chunks("dup-finish"))).toEqual(["stop", "stop"]);
    expect(finishes(await chunks("length"))).toEqual(["length"]);
  });

  it("bytes.1 sends each byte by itself, splitting characters", async () => {
    const { bytes: raw } = await rawStream("demo:bytes.1:cut.12", "日本 😀");
    const payload = raw.subarray(raw.indexOf("\r\n\r\n") + 4);
    const bytes: number[] = [];
    let at = 0;
    for (; payload.subarray(at, at + 3).toString("latin1") === "1\r\n"; at += 6) bytes.push(payload[at + 3] ?? 0);
    expect(payload.subarray(at).toString("latin1")).toBe("0\r\n\r\n");
    const text = chunksOf(Buffer.from(bytes).toString("utf8"))
      .map((chunk) => chunk.choices[0]?.delta.content ?? "")
      .join("");
    expect(text).toContain("日本 😀");
  });

  it("tokens.500 is 500 chunks, mirror says the whole request", async () => {
    const { text } = await readAll(
      await streamOf("demo:tokens.500.gap.0", "x", { stream_options: { include_usage: true } }),
    );
    expect(pieces(chunksOf(text))).toHaveLength(500);
    expect(chunksOf(text).at(-1)).toHaveProperty("usage.completion_tokens", 500);
    const mirrored = await ask(
      [
        { role: "system", content: "canary-7" },
        { role: "user", content: "x" },
      ],
      { model: "demo:mirror" },
    );
    expect(mirrored.choices[0]?.message.content).toContain("canary-7");
  });

  it("stops at once when the client leaves", async () => {
    const waiting: (() => void)[] = [];
    const gated = await serveLlm({
      delay: (_ms, signal) =>
        new Promise((resolve, reject) => {
          waiting.push(resolve);
          signal.addEventListener("abort", () => reject(new Error("left")));
        }),
    });
    const leave = new AbortController();
    const response = await fetch(`${gated.url}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: "Bearer k" },
      body: JSON.stringify({
        model: "demo:tokens.1000.gap.5",
        messages: [{ role: "user", content: "x" }],
        stream: true,
      }),
      signal: leave.signal,
    });
    expect(response.status).toBe(200);
    await gated.until((stats) => stats["chunks_sent"] === 2);
    leave.abort();
    await gated.until((stats) => stats.aborted === 1 && stats.in_flight === 0);
    for (const resolve of waiting) resolve();
    expect(gated.stats()["chunks_sent"]).toBe(2);
    await gated.close();
  });
});

describe("faults instead of a completion", () => {
  it.each([
    ["429", null],
    ["429.ra.none", null],
    ["429.ra.2", "2"],
    ["429.ra.120", "120"],
    ["429.ra.-1", "-1"],
    ["429.ra.date", "Mon, 23 Nov 2026 00:00:02 GMT"],
  ])("%s", async (fault, retryAfter) => {
    const reply = await streamOf(`demo:${fault}`);
    expect([reply.status, reply.headers.get("retry-after")]).toEqual([429, retryAfter]);
    expect(await reply.json()).toHaveProperty("error.code", "rate_limit_exceeded");
  });

  it("status, login and html200 are pages; unknown and context are OpenAI's errors", async () => {
    for (const [fault, status] of [
      ["status.503", 503],
      ["status.401", 401],
      ["status.524", 524],
      ["login", 302],
      ["html200", 200],
    ] as const) {
      const reply = await streamOf(`demo:${fault}`);
      expect([fault, reply.status, reply.headers.get("content-type")]).toEqual([
        fault,
        status,
        "text/html; charset=utf-8",
      ]);
      expect(await reply.text()).toContain("<html>");
    }
    expect(await (await streamOf("demo:unknown")).json()).toHaveProperty("error.code", "model_not_found");
    expect(await (await streamOf("demo:context")).json()).toHaveProperty("error.code", "context_length_exceeded");
  });

  it("takes PDF and no other file; or none, as vLLM", async () => {
    const statusOf = async (url: string, type: string): Promise<number> => {
      const file = { type: "file", file: { filename: "a", file_data: `data:${type};base64,AA==` } };
      const body = JSON.stringify({ model: "demo", messages: [{ role: "user", content: [file] }] });
      const headers = { authorization: "Bearer sk-any", "content-type": "application/json" };
      return (await fetch(`${url}/v1/chat/completions`, { method: "POST", headers, body })).status;
    };
    const own = await serveLlm({ pace: AT_ONCE, files: "none" });
    try {
      const seen = [llm, own].flatMap(({ url }) =>
        ["application/pdf", "text/plain"].map((type) => statusOf(url, type)),
      );
      expect(await Promise.all(seen)).toEqual([200, 400, 400, 400]);
    } finally {
      await own.close();
    }
  });

  it("context.flat, context.nested and invalid are vLLM's errors, older and newer", async () => {
    const seen = async (fault: string): Promise<unknown> => {
      const reply = await streamOf(`demo:${fault}`);
      return { status: reply.status, body: await reply.json() };
    };
    const error = { message: expect.stringContaining("maximum context length is"), type: "BadRequestError", code: 400 };
    expect(await seen("context.flat")).toMatchObject({ status: 400, body: { object: "error", ...error } });
    expect(await seen("context.nested")).toMatchObject({ status: 400, body: { error } });
    expect(await seen("invalid")).toMatchObject({ status: 400, body: { object: "error", code: 400 } });
    expect(await seen("invalid.422")).toMatchObject({ status: 422, body: { object: "error", code: 422 } });
  });

  it("the control port gives the same faults to every call", async () => {
    const control = (body: object): Promise<Response> =>
      fetch(`${llm.url}/_control`, { method: "POST", body: JSON.stringify(body) });
    expect((await control({ mode: "429.ra.2" })).status).toBe(200);
    expect((await streamOf("demo")).headers.get("retry-after")).toBe("2");
    await expect(openai.models.list()).rejects.toThrow(OpenAI.RateLimitError);
    await control({ mode: "cut.1" });
    expect(pieces(chunksOf((await readAll(await streamOf("gpt-4o-mini"))).text))).toHaveLength(1);
    expect((await control({ mode: "nonsense" })).status).toBe(400);
    await control({ mode: "down" });
    await expect(streamOf("demo")).rejects.toThrow();
    await control({ mode: "up" });
    expect((await streamOf("demo")).status).toBe(200);
  });

  it("remembers the last request, and breaks a reply without a stream too", async () => {
    await ask("look at me", { temperature: 0.5 });
    expect(llm.stats().last_request).toMatchObject({ temperature: 0.5, messages: [{ content: "look at me" }] });
    expect(
      (await readAll(await post({ model: "demo:drop.1", messages: [{ role: "user", content: "x" }] }))).broke,
    ).toBe(true);
    const cut = await readAll(await post({ model: "demo:cut.1", messages: [{ role: "user", content: "x" }] }));
    expect(() => JSON.parse(cut.text)).toThrow();
    expect(
      await (await post({ model: "demo:err.1", messages: [{ role: "user", content: "x" }] })).json(),
    ).toHaveProperty("error");
  });
});

describe("tool calls as bad servers stream them", () => {
  type Delta = OpenAI.ChatCompletionChunk.Choice.Delta.ToolCall;

  async function deltasOf(script: string): Promise<{ deltas: Delta[]; finish: unknown[] }> {
    const { text } = await readAll(await streamOf(`demo:toolcalls.${script}`, "echo hi and 17*23", { tools: TOOLS }));
    const chunks = chunksOf(text);
    return { deltas: chunks.flatMap((chunk) => chunk.choices[0]?.delta.tool_calls ?? []), finish: finishes(chunks) };
  }
  const args = (deltas: Delta[]): string => deltas.map((delta) => delta.function?.arguments ?? "").join("");

  it("no-id sends none, same-index sends two calls at index 0", async () => {
    const nameless = await deltasOf("no-id");
    expect(nameless.deltas.some((delta) => delta.id !== undefined)).toBe(false);
    expect(new Set(nameless.deltas.map((delta) => delta.index))).toEqual(new Set([0, 1]));
    const same = await deltasOf("same-index");
    expect(same.deltas.filter((delta) => delta.id !== undefined).map(({ id, index }) => [id, index])).toEqual([
      ["call_1", 0],
      ["call_2", 0],
    ]);
  });

  it("split-args cuts inside escapes, and joins to good JSON", async () => {
    const { deltas } = await deltasOf("split-args");
    expect(deltas.some((delta) => delta.function?.arguments?.endsWith("\\"))).toBe(true);
    expect(deltas.some((delta) => /\\$|\\?u..$/.test(delta.function?.arguments ?? ""))).toBe(true);
    expect(JSON.parse(args(deltas))).toEqual({ expression: '17*23 "café"\n😀' });
  });

  it("finish-stop, invalid-json, unknown-tool, fifty", async () => {
    expect((await deltasOf("finish-stop")).finish).toEqual(["stop"]);
    const invalid = args((await deltasOf("invalid-json")).deltas);
    expect(() => JSON.parse(invalid)).toThrow();
    expect((await deltasOf("unknown-tool")).deltas[0]?.function?.name).toBe("no_such_tool");
    expect((await deltasOf("fifty")).deltas.filter((delta) => delta.id !== undefined)).toHaveLength(50);
  });

  it("answers after the results, but for loop, which calls again", async () => {
    const messages: Message[] = [
      { role: "user", content: "17*23" },
      {
        role: "assistant",
        tool_calls: [{ id: "call_1", type: "function", function: { name: "calculator", arguments: "{}" } }],
      },
      { role: "tool", tool_call_id: "call_1", content: "391" },
    ];
    expect(
      (await ask(messages, { model: "demo:toolcalls.fifty", tools: TOOLS })).choices[0]?.message.content,
    ).toContain("391");
    expect((await ask(messages, { model: "demo:toolcalls.loop", tools: TOOLS })).choices[0]?.finish_reason).toBe(
      "tool_calls",
    );
  });
});

/** The bytes of the reply as the socket gave them, and whether it was reset. */
async function rawStream(model: string, content: string): Promise<{ bytes: Buffer; reset: boolean }> {
  const body = JSON.stringify({ model, messages: [{ role: "user", content }], stream: true });
  const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: llm\r\nauthorization: Bearer k\r\nconnection: close`;
  const socket = connect(llm.port, "127.0.0.1");
  const received: Buffer[] = [];
  socket.on("data", (bytes: Buffer) => received.push(bytes));
  const closed = new Promise<boolean>((resolve) => {
    let reset = false;
    socket.on("error", () => (reset = true));
    socket.on("close", () => resolve(reset));
  });
  socket.write(`${head}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  return { reset: await closed, bytes: Buffer.concat(received) };
}

describe("what it measures and how many it serves", () => {
  const counted = (server: StandIn) => {
    const stats = server.stats();
    return [stats["prompt_chars"], stats["reused_chars"], stats["reusable_chars"]].map(Number);
  };
  const send = (server: StandIn, text: string, more: object = {}, signal?: AbortSignal) =>
    fetch(`${server.url}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: "Bearer k", "content-type": "application/json" },
      body: JSON.stringify({ model: "demo", messages: [{ role: "user", content: text }], ...more }),
      ...(signal && { signal }),
    });

  it("counts the prefix that an earlier prompt had, in blocks, and what the one before under a key had", async () => {
    const server = await serveLlm({ pace: AT_ONCE });
    const figures = async (text: string, more: object = {}) => {
      const before = counted(server);
      await (await send(server, text, more)).text();
      return counted(server).map((figure, at) => figure - (before[at] ?? 0));
    };
    const [chars = 0] = await figures("a".repeat(640), { prompt_cache_key: "s" });
    const [, reused = 0, reusable] = await figures("a".repeat(640) + "b".repeat(640), { prompt_cache_key: "s" });
    expect(reusable).toBe(chars);
    expect(chars - reused).toBeLessThanOrEqual(128);
    expect((await figures("a".repeat(640), { cache_salt: "other" }))[1]).toBe(0);
    expect((await figures("c".repeat(640)))[1]).toBe(0);
    await server.close();
  });

  it("serves so many at once, the others in turn; one that leaves while it waits is passed over", async () => {
    const server = await serveLlm({ pace: AT_ONCE, slots: 1 });
    const held = await send(server, "hold", { model: "demo:stall.2:tokens.4", stream: true });
    // A reply that stalls has been served: its slot is free.
    expect((await send(server, "next")).status).toBe(200);
    await held.body?.cancel();
    const busy = send(server, "long", { model: "demo:tokens.40.gap.5", stream: true });
    await server.until((stats) => stats.calls === 3);
    const leaving = new AbortController();
    const left = send(server, "leaves", {}, leaving.signal);
    await server.until((stats) => stats.calls === 4);
    leaving.abort();
    await expect(left).rejects.toThrow("aborted");
    const last = send(server, "last");
    await (await busy).text();
    expect((await last).status).toBe(200);
    await server.close();
  });
});
