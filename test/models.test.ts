/**
 * The model registry from the API, and a model asked directly: /llm. What is refused is refused before anything is called.
 * Beside the house's own stand-in another one plays a vLLM server.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { DIRECT_EVENT_DATA, DirectReply } from "../contracts/direct.ts";
import { ErrorBody } from "../contracts/errors.ts";
import { serveLlm } from "../dev/stand-ins/llm.ts";
import type { StandIn } from "../dev/stand-ins/serve.ts";
import { type House, openHouse, type Tenant, untilRows } from "./house.ts";

const LLAMA = "meta-llama/Llama-3.1-8B-Instruct";

let house: House;
let gpu: StandIn;
let as: Tenant;
beforeAll(async () => {
  gpu = await serveLlm({ apiKey: "gpu-key", pace: { firstTokenMs: 0, tokensPerSecond: Number.POSITIVE_INFINITY } });
  const MODELS = JSON.stringify({
    providers: { gpus: { kind: "vllm", nodes: [`${gpu.url}/v1`] } },
    models: {
      demo: { price: { input: 1_000, output: 2_000 } },
      "demo:*": {},
      plain: { routes: [{ provider: "openai", model: "demo" }], abilities: ["chat"], context_window: 512 },
      embed: { routes: [{ provider: "openai" }], abilities: ["embeddings"] },
      llama: { routes: [{ provider: "gpus", model: LLAMA }] },
    },
  });
  const timeouts = { LLM_STALL_TIMEOUT_MS: "2500", LLM_FIRST_TOKEN_TIMEOUT_MS: "2500" };
  house = await openHouse({ settings: { MODELS, PROVIDER_KEYS: '{"gpus":"gpu-key"}', ...timeouts } });
  as = await house.newTenant();
});
afterAll(async () => {
  await house.close();
  await gpu.close();
});

const calls = () => house.llm.stats().calls + gpu.stats().calls;

async function refusal(path: string, body: object): Promise<{ status: number; code: string; details: unknown }> {
  const before = { calls: calls(), redis: house.redis.stats().calls };
  const response = await house.call(path, { as, body });
  const { error } = ErrorBody.parse(await response.json());
  expect({ calls: calls(), redis: house.redis.stats().calls }).toEqual(before);
  return { status: response.status, code: error.code, details: error.details };
}

test.each(["/chat", "/chat/stream", "/llm/generate", "/llm/generate/stream"])(
  "[LLM-1] [B27] %s with a model that is not in the registry is refused before any call",
  async (path) => {
    for (const model of ["other", "gpt-4o", "../x", "constructor"]) {
      expect(await refusal(path, { prompt: "Hello", model })).toMatchObject({ status: 400, code: "model_not_found" });
    }
    const wrongType = { prompt: "Hello", model: "llama", model_type: "openai" };
    expect(await refusal(path, wrongType)).toMatchObject({ status: 400, code: "model_not_found" });
    for (const model of ["a b", "x".repeat(10_000), "gpt\r\nX: y", "*", "demo:*"]) {
      expect(await refusal(path, { prompt: "Hello", model })).toMatchObject({ status: 400, code: "invalid_request" });
    }
  },
);

test("[LLM-4] a request that needs what its model cannot do is refused by the ability's name, before any call", async () => {
  expect(await refusal("/chat", { prompt: "2+2", model: "plain", tools: ["calculator"] })).toEqual({
    ...{ status: 400, code: "invalid_request", details: { ability: "tools" } },
  });
  for (const path of ["/chat", "/llm/generate"]) {
    expect(await refusal(path, { prompt: "Hello", model: "embed" })).toMatchObject({ details: { ability: "chat" } });
    const long = { prompt: "word ".repeat(1_000), model: "plain" };
    expect(await refusal(path, long)).toMatchObject({ status: 400, code: "context_length_exceeded" });
  }
});

test("[LLM-1] a preferred model that is gone is refused like one that is asked for", async () => {
  const other = await house.newTenant();
  const preferences = { default_model: "gone", default_temperature: null, max_tokens: null };
  await house.call(`/history/users/${other.id}/preferences`, { as: other, method: "PUT", body: preferences });
  const response = await house.call("/chat", { as: other, body: { prompt: "Hello" } });
  expect(ErrorBody.parse(await response.json()).error.code).toBe("model_not_found");
});

test("[LLM-4] tools that nobody asked for are not offered to a model without them", async () => {
  const response = await house.call("/chat", { as, body: { prompt: "what is 3*3?", model: "plain" } });
  expect(response.status).toBe(200);
  await response.text();
  expect(house.llm.stats().last_request).not.toHaveProperty("tools");
});

test("[LLM-4] a session is shown to a model as far as its window goes", async () => {
  let sessionId: string | undefined;
  const lengths: number[] = [];
  for (let at = 0; at < 8; at += 1) {
    const body = { prompt: `Tell me ${"more ".repeat(60)}`, model: "plain", cache: { mode: "no-store" } };
    const response = await house.call("/chat", { as, body: { ...body, ...(sessionId && { session_id: sessionId }) } });
    sessionId = response.headers.get("x-session-id") ?? undefined;
    await response.text();
    lengths.push(JSON.stringify(house.llm.stats().last_request).length);
  }
  expect(Math.max(...lengths)).toBeLessThan(512 * 4);
});

test("[LLM-1] a model is asked under its provider's name, and answers under ours", async () => {
  const response = await house.call("/chat", { as, body: { prompt: "Hello", model: "llama" } });
  expect(await response.json()).toMatchObject({ model: "llama", provider: "gpus" });
  expect(gpu.stats().last_request).toMatchObject({ model: LLAMA });
});

test("[LLM-6] a price of the registry is in the cost of an answer; a model without one has no known cost", async () => {
  const answerOf = async (model: string) => {
    const response = await house.call("/chat", { as, body: { prompt: "What does it cost?", model } });
    await response.text();
    const query = "select cost_usd, prompt_tokens, completion_tokens from messages where session_id = $1 order by seq";
    return (await untilRows(house, 2, query, response.headers.get("x-session-id")))[1] ?? {};
  };
  const { cost_usd, prompt_tokens, completion_tokens } = await answerOf("demo");
  expect(Number(cost_usd)).toBeCloseTo((Number(prompt_tokens) * 1_000 + Number(completion_tokens) * 2_000) / 1e6, 9);
  expect((await answerOf("demo:nousage"))["cost_usd"]).toBeNull();
});

test("[LLM-2] /llm/models tells the models, what they can do and cost, and whether they are served", async () => {
  const response = await house.call("/llm/models", { as });
  const { models, default_model } = await response.json<{ models: { id: string }[]; default_model: string }>();
  expect(default_model).toBe("demo");
  expect(models.map(({ id }) => id)).toEqual(["demo", "plain", "embed", "llama"]);
  expect(models).toMatchObject([
    { providers: ["openai"], abilities: null, price: { input: 1_000, output: 2_000 }, available: true },
    { abilities: ["chat"], context_window: 512, available: true },
    { abilities: ["embeddings"], available: false },
    { providers: ["gpus"], context_window: 8_192, available: true },
  ]);
});

test("[LLM-3] /llm/health tells of each node and of no address, and makes no paid call", async () => {
  const sent = house.llm.stats()["chunks_sent"];
  const response = await house.call("/llm/health", { as });
  const text = await response.text();
  expect(response.status).toBe(200);
  const node = { status: "healthy", breaker: "closed", in_flight: 0, draining: false };
  expect(JSON.parse(text)).toMatchObject({
    status: "healthy",
    providers: [
      { provider: "openai", nodes: [{ ...node, node: "openai/1" }] },
      { provider: "gpus", nodes: [{ ...node, node: "gpus/1" }] },
    ],
    configuration: [],
  });
  expect(text).not.toContain("127.0.0.1");
  expect(house.llm.stats()["chunks_sent"]).toBe(sent);
  gpu.control({ mode: "down" });
  house.llm.control({ mode: "down" });
  const away = await house.call("/llm/health", { as });
  expect([away.status, await away.json()]).toMatchObject([503, { status: "unhealthy" }]);
  gpu.control({ mode: "up" });
  house.llm.control({ mode: "up" });
});

test("[F36] a malformed registry serves no model and is named; everything else works", async () => {
  const closed = await openHouse({ settings: { MODELS: '{"models":{"canary":{"routes":[{"provider":"nobody"}]}}}' } });
  const user = await closed.newTenant();
  for (const [path, method] of [
    ["/chat", "POST"],
    ["/llm/generate", "POST"],
    ["/llm/models", "GET"],
  ] as const) {
    const response = await closed.call(path, {
      as: user,
      method,
      ...(method === "POST" && { body: { prompt: "Hi" } }),
    });
    const text = await response.text();
    expect([response.status, ErrorBody.parse(JSON.parse(text)).error.code]).toEqual([503, "not_configured"]);
    expect(text).toContain("MODELS");
    expect(text).not.toContain("canary");
  }
  const health = await (await closed.call("/health")).json<{ configuration: string[] }>();
  expect(health.configuration).toContain("MODELS is malformed");
  const agent = await (await closed.call("/llm/health", { as: user })).json<{ configuration: string[] }>();
  expect(agent.configuration).toContain("MODELS is malformed");
  expect((await closed.call("/auth/me", { as: user })).status).toBe(200);
  expect(closed.llm.stats()["prompt_chars"]).toBe(0);
  await closed.close();
});

test("[LLM-5] a model asked directly answers as JSON, without a session and without the cache", async () => {
  const before = { sessions: await countSessions(), redis: house.redis.stats().calls };
  for (let at = 0; at < 2; at += 1) {
    const started = calls();
    const response = await house.call("/llm/generate", { as, body: { prompt: "Hello there", model: "demo" } });
    const reply = DirectReply.parse(await response.json());
    expect(reply).toMatchObject({ model: "demo", provider: "openai", finish_reason: "stop" });
    expect(reply.response).toContain("Hello there");
    expect(reply.usage).not.toHaveProperty("estimated");
    expect(calls()).toBe(started + 1);
  }
  expect({ sessions: await countSessions(), redis: house.redis.stats().calls }).toEqual(before);
});

async function countSessions(): Promise<number> {
  const [row] = await house.sql`select count(*) as sessions from chat_sessions where user_id = ${as.id}`;
  return Number(row?.["sessions"]);
}

test("[LLM-5] a conversation goes to the model as it is; temperature and length too", async () => {
  const messages = [
    { role: "user", content: "my name is Ada" },
    { role: "assistant", content: "Hello Ada" },
    { role: "user", content: "what is my name?" },
  ];
  const response = await house.call("/llm/generate", { as, body: { messages, temperature: 0, max_tokens: 50 } });
  expect(DirectReply.parse(await response.json()).response).toContain("Your name is Ada");
  expect(house.llm.stats().last_request).toMatchObject({ messages, temperature: 0, max_completion_tokens: 50 });
  for (const body of [
    {},
    { prompt: "x", messages },
    { messages: [{ role: "system", content: "x" }] },
    { prompt: "x", tools: [] },
  ]) {
    expect((await house.call("/llm/generate", { as, body })).status).toBe(400);
  }
});

/** The events of a direct stream, each checked by its schema. */
function readDirect(text: string): { event: string; data: Record<string, unknown> }[] {
  return text
    .split("\n\n")
    .filter((frame) => frame !== "")
    .map((frame, at) => {
      const [, id, event = "", data = ""] = /^id: (\d+)\nevent: (\w+)\ndata: (.*)$/s.exec(frame) ?? [];
      expect(Number(id)).toBe(at + 1);
      const schema = DIRECT_EVENT_DATA[event as keyof typeof DIRECT_EVENT_DATA]; // parse fails on any other
      return { event, data: schema.parse(JSON.parse(data)) };
    });
}

async function streamDirect(model: string): Promise<{ names: string[]; words: string; last: unknown; usage: unknown }> {
  const response = await house.call("/llm/generate/stream", { as, body: { prompt: "Tell me a story", model } });
  expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
  const events = readDirect((await response.text()).replaceAll(": keep-alive\n\n", ""));
  const words = events.map(({ event, data }) => (event === "delta" ? data["content"] : "")).join("");
  const usage = events.find(({ event }) => event === "usage")?.data;
  return { names: events.map(({ event }) => event), words, last: events.at(-1), usage };
}

test("[LLM-5] the same as a stream: meta, deltas, usage, done", async () => {
  const { names, words, last, usage } = await streamDirect("demo");
  expect([names[0], names.at(-2), names.at(-1)]).toEqual(["meta", "usage", "done"]);
  expect(words).toContain("Tell me a story");
  expect(last).toMatchObject({ data: { finish_reason: "stop" } });
  expect(usage).not.toHaveProperty("estimated");
  expect((await streamDirect("demo:nousage")).usage).toMatchObject({ estimated: true });
});

test.each([
  ["[F1]", "cut.3", "upstream_truncated"],
  ["[F3]", "rst.3", "upstream_truncated"],
  ["[F4]", "stall.3", "upstream_timeout"],
  ["[F5]", "err.3", "upstream_error"],
  ["[F11]", "finish.abort", "upstream_truncated"],
])("%s [LLM-5] a direct stream that breaks by %s ends with %s and an estimated usage", async (_, fault, code) => {
  const { words, last, usage } = await streamDirect(`demo:${fault}`);
  expect(words).not.toBe("");
  expect(last).toMatchObject({ event: "error", data: { code } });
  // What the provider said of it counts; else it is estimated.
  expect((usage as { estimated?: boolean }).estimated ?? false).toBe(fault !== "finish.abort");
  await house.llm.until((stats) => stats.in_flight === 0);
});

test.each([
  ["[F6]", "429.ra.120", 429, "rate_limited"],
  ["[F7]", "status.503", 502, "upstream_error"],
  ["[F8]", "login", 502, "upstream_auth"],
])("%s [LLM-5] a direct call that fails by %s before its first word is %i", async (_, fault, status, code) => {
  const response = await house.call("/llm/generate/stream", { as, body: { prompt: "Hello", model: `demo:${fault}` } });
  expect(response.status).toBe(status);
  expect(ErrorBody.parse(await response.json()).error.code).toBe(code);
});

test("[F4] [LLM-5] a direct stream that waits long for its first word is kept alive and fails by an event", async () => {
  const response = await house.call("/llm/generate/stream", { as, body: { prompt: "Hi", model: "demo:stall.first" } });
  const text = await response.text();
  expect(text.startsWith(": keep-alive\n\n")).toBe(true);
  const events = readDirect(text.replaceAll(": keep-alive\n\n", ""));
  expect(events.map(({ event }) => event)).toEqual(["usage", "error"]);
  expect(events[1]?.data).toMatchObject({ code: "upstream_timeout" });
  const json = await house.call("/llm/generate", { as, body: { prompt: "Hi", model: "demo:stall.first" } });
  expect(json.status).toBe(504);
});

test.each([
  ["the first token", "demo:stall.first"],
  ["more words", "demo:tokens.400.gap.20"],
  ["a model that has stalled", "demo:stall.3"],
])(
  "[F13] [LLM-5] a client that leaves a direct stream while it waits for %s ends the provider's request",
  async (_, model) => {
    const before = house.llm.stats();
    const client = new AbortController();
    const sending = house.call("/llm/generate/stream", { as, body: { prompt: "Go on", model }, signal: client.signal });
    await house.llm.until((stats) => stats.calls > before.calls);
    const reader = (await sending).body?.getReader();
    if (model !== "demo:stall.first") await reader?.read();
    const sent = Number(house.llm.stats()["chunks_sent"]);
    client.abort();
    const after = await house.llm.until((stats) => stats.aborted > before.aborted && stats.in_flight === 0);
    expect(Number(after["chunks_sent"]) - sent).toBeLessThanOrEqual(4);
  },
);

async function inFlight(): Promise<number[]> {
  const response = await house.call("/llm/health", { as });
  const { providers } = await response.json<{ providers: { nodes: { in_flight: number }[] }[] }>();
  return providers.flatMap(({ nodes }) => nodes.map((node) => node.in_flight));
}

test("[FLEET-4] calls in flight are counted while they run, and counted down however they ended", async () => {
  expect(await inFlight()).toEqual([0, 0]);
  const body = { prompt: "Go on", model: "demo:tokens.20.gap.20" };
  const streams = await Promise.all(
    ["/llm/generate/stream", "/chat/stream"].map((path) => house.call(path, { as, body })),
  );
  const readers = streams.flatMap((response) => response.body?.getReader() ?? []);
  for (const reader of readers) await reader.read();
  expect(await inFlight()).toEqual([2, 0]);
  await house.llm.until((stats) => stats.in_flight === 0);
  for (const reader of readers) while (!(await reader.read()).done);
  expect(await inFlight()).toEqual([0, 0]);
});
