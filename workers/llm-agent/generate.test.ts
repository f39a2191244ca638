/** The story of a call, against the LLM stand-in and raw servers on loopback. Waits are counted, never slept. */
import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createDecoder } from "../../contracts/dialects.ts";
import { estimateUsage } from "../../contracts/rounds.ts";
import type { ModelRequest } from "../../contracts/llm.ts";
import { serveLlm } from "../../dev/stand-ins/llm.ts";
import type { StandIn } from "../../dev/stand-ins/serve.ts";
import { readConfig } from "./env.ts";
import { Fleet } from "./fleet.ts";
import { type CallDeps, complete, type ModelCall, openStream } from "./generate.ts";

let llm: StandIn;
const servers: Server[] = [];

beforeAll(async () => {
  llm = await serveLlm({ apiKey: "sk-canary", pace: { firstTokenMs: 0, tokensPerSecond: Number.POSITIVE_INFINITY } });
});
afterAll(async () => {
  await llm.close();
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
});

const ask = (model: string, more: Partial<ModelRequest> = {}): ModelCall => ({
  request: { model, messages: [{ role: "user", content: "prompt-canary: what is 17*23?" }], ...more },
  context: { requestId: "r", userId: "u" },
});

function depsFor(baseUrl = `${llm.url}/v1`, settings: Record<string, string> = {}) {
  const waits: number[] = [];
  const deps: CallDeps = {
    config: readConfig({ OPENAI_API_KEY: "sk-canary", OPENAI_BASE_URL: baseUrl, ...settings }),
    fetch,
    now: Date.now,
    wait: async (ms) => void waits.push(ms),
    newCallId: () => "made",
    ...{ fleet: new Fleet(), random: () => 0, trace: [], attempts: [] },
  };
  return { deps, waits };
}

/** A server on loopback whose n-th request gets the n-th answer; the last one repeats. */
async function serve(...answers: RequestListener[]) {
  const seen = { calls: 0, closed: [] as Promise<unknown>[], headers: [] as NodeJS.Dict<string | string[]>[] };
  const server = createServer((request, response) => {
    request.resume();
    seen.headers.push(request.headers);
    seen.closed.push(once(response, "close"));
    answers[Math.min(seen.calls, answers.length - 1)]?.(request, response);
    seen.calls += 1;
  });
  servers.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { seen, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1` }; // listening on a port
}

const answer =
  (status: number, type: string, body: string): RequestListener =>
  (_, response) =>
    response.writeHead(status, { "content-type": type }).end(body);
const SSE = "text/event-stream";
const HELLO = 'data: {"choices":[{"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n';
const JSON_HELLO = '{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}';

async function callsDuring(run: () => Promise<unknown>): Promise<number> {
  const before = llm.stats().calls;
  await run();
  return llm.stats().calls - before;
}

test("a stream's bytes arrive whole, from the first on", async () => {
  const opened = await openStream(ask("demo"), depsFor().deps);
  if (!opened.ok) throw new Error(opened.error.code);
  const decoder = createDecoder(opened.value.endpoint.dialect, { newCallId: () => "made" });
  const events = decoder.push(opened.value.first);
  for await (const bytes of opened.value.rest) events.push(...decoder.push(bytes));
  events.push(...decoder.end());
  expect(events.map((event) => event.type)).toEqual(expect.arrayContaining(["text", "finish"]));
  expect(decoder.told()).toMatchObject({ usage: { prompt_tokens: expect.any(Number) }, isFinished: true });
  expect(events.at(-1)).toEqual({ type: "finish", reason: "stop" });
});

test.each<[string, RequestListener, boolean]>([
  ["no answer", answer(200, SSE, ""), true],
  ["an error in place of its first words", answer(200, SSE, 'data: {"error":{"message":"canary"}}\n\n'), true],
  ["a lost connection", (_, response) => response.writeHead(200, { "content-type": SSE }).flushHeaders(), true],
  ["a refusal", answer(503, "text/html", "away"), false],
  ["a login page", answer(200, "text/html", "log in"), false],
])("[LEDGER-12] what an attempt took that gave %s goes with the stream of the next one", async (_, first, isPaid) => {
  const lost: RequestListener = (request, response) => {
    first(request, response);
    if (!response.writableEnded) setImmediate(() => response.destroy());
  };
  const [{ url }, next] = await Promise.all([serve(lost), serve(answer(200, SSE, HELLO))]);
  const MODELS = JSON.stringify({
    providers: { one: { kind: "compatible", nodes: [url] }, two: { kind: "compatible", nodes: [next.url] } },
    models: { m: { routes: [{ provider: "one" }, { provider: "two" }] }, alone: { routes: [{ provider: "one" }] } },
  });
  const opened = await openStream(ask("m"), depsFor(url, { MODELS }).deps);
  if (!opened.ok) throw new Error(opened.error.code);
  const prompt = estimateUsage(ask("m").request, "");
  expect(opened.value.paid).toEqual(isPaid ? prompt : undefined);
  const { deps } = depsFor(url, { MODELS });
  const refused = await openStream(ask("alone"), deps);
  const taken = refused.ok ? undefined : refused.error.usage?.prompt_tokens;
  expect(taken ?? 0).toBe(isPaid ? deps.trace.length * prompt.prompt_tokens : 0);
});

test("vLLM gets the access headers and no key; OpenAI its key; process.env is not read", async () => {
  process.env["OPENAI_ORG_ID"] = "org-canary";
  const { seen, url } = await serve(answer(200, SSE, HELLO));
  const settings = { VLLM_BASE_URL: url, CF_ACCESS_CLIENT_ID: "id", CF_ACCESS_CLIENT_SECRET: "secret" };
  await openStream(ask("m", { modelType: "vllm" }), depsFor(url, settings).deps);
  await openStream(ask("m"), depsFor(url, settings).deps);
  delete process.env["OPENAI_ORG_ID"];
  expect(seen.headers[0]).toMatchObject({ "cf-access-client-id": "id", "cf-access-client-secret": "secret" });
  expect(seen.headers[0]).not.toHaveProperty("authorization");
  expect(seen.headers[1]).toMatchObject({ authorization: "Bearer sk-canary" });
  expect(seen.headers[1]).not.toHaveProperty("cf-access-client-secret");
  expect(JSON.stringify(seen.headers)).not.toContain("org-canary");
});

describe.each([
  ["stream", (model: string) => openStream(ask(model), depsFor().deps)],
  ["generate", (model: string) => complete(ask(model), depsFor().deps)],
])("%s", (_, send) => {
  test.each([
    ["[F6]", "demo:429.ra.2", "rate_limited", 2],
    ["[F6]", "demo:429.ra.120", "rate_limited", 1],
    ["[F6]", "demo:429.ra.-1", "rate_limited", 1],
    ["[F6]", "demo:429", "rate_limited", 1],
    ["[F6]", "demo:429.ra.date", "rate_limited", 2],
    ["[F7]", "demo:status.500", "upstream_error", 2],
    ["[F7]", "demo:status.530", "upstream_error", 2],
    ["[F8]", "demo:status.403", "upstream_auth", 1],
    ["[F8]", "demo:login", "upstream_auth", 1],
    ["[F8]", "demo:html200", "upstream_auth", 1],
    ["[B27]", "demo:unknown", "model_not_found", 1],
    ["[B31]", "demo:context", "context_length_exceeded", 1],
    ["[B31]", "demo:context.flat", "context_length_exceeded", 1],
    ["[B31]", "demo:context.nested", "context_length_exceeded", 1],
    ["[LLM-8]", "demo:invalid", "invalid_request", 1],
    ["[LLM-8]", "demo:invalid.422", "invalid_request", 1],
    ["[LLM-8]", "demo:invalid.413", "payload_too_large", 1],
  ])("%s %s is %s after %i calls, without the vendor's text", async (__, model, code, calls) => {
    let result: unknown;
    expect(await callsDuring(async () => (result = await send(model)))).toBe(calls);
    expect(result).toMatchObject({ ok: false, error: { code } });
    expect(JSON.stringify(result)).not.toMatch(
      /canary|upstream\.internal|Sign in|Rate limit reached|maximum context|top_p/,
    );
  });
});

test("[F6] waits what the provider asks for, once, and passes the rest on", async () => {
  const { deps, waits } = depsFor();
  expect(await openStream(ask("demo:429.ra.2"), deps)).toMatchObject({ error: { retryAfterSeconds: 2 } });
  expect(waits).toEqual([2_000]);
  expect(await openStream(ask("demo:429.ra.120"), deps)).toMatchObject({ error: { retryAfterSeconds: 120 } });
  expect(waits).toEqual([2_000]);
});

test("[F13] [LEDGER-12] a caller that leaves during that wait ends it: nothing more is sent, and nothing was taken", async () => {
  const { promise: left, resolve: leave } = Promise.withResolvers<void>();
  const { deps } = depsFor();
  const never = new Promise<void>(() => undefined);
  const wait = (): Promise<void> => (leave(), never);
  const calls = await callsDuring(async () => {
    const refused = await openStream({ ...ask("demo:429.ra.2"), left }, { ...deps, wait });
    expect(refused).toMatchObject({ ok: false, error: { code: "cancelled", usage: { total_tokens: 0 } } });
  });
  expect(calls).toBe(1);
});

test("[F6] a fault and a rate limit together never make more than three calls", async () => {
  const limited: RequestListener = (_, response) => response.writeHead(429, { "retry-after": "1" }).end();
  const { seen, url } = await serve(answer(503, "text/html", "<h1>x"), limited, answer(500, "text/html", "<h1>x"));
  expect(await openStream(ask("m"), depsFor(url).deps)).toMatchObject({ error: { code: "upstream_error" } });
  expect(seen.calls).toBe(3);
});

test.each([
  ["[F7] an error status", answer(502, "text/html", "<h1>x")],
  ["[F3] a reset before the first byte", ((_, response) => response.destroy()) satisfies RequestListener],
  ["[F5] an error in the first frame", answer(200, SSE, 'data: {"error":{"message":"x"}}\n\n')],
  ["[F1] a stream without a byte", answer(200, SSE, "")],
])("%s is tried again, and the second answer counts", async (_, first) => {
  const { seen, url } = await serve(first, answer(200, SSE, HELLO));
  expect(await openStream(ask("m"), depsFor(url).deps)).toMatchObject({ ok: true });
  expect(seen.calls).toBe(2);
});

test("[F7] a provider that cannot be reached is upstream_error", async () => {
  expect(await openStream(ask("m"), depsFor("http://127.0.0.1:1/v1").deps)).toMatchObject({
    error: { code: "upstream_error" },
  });
});

test("[F8] a stream of another media type is refused unread", async () => {
  const { url } = await serve(answer(200, "application/json", JSON_HELLO));
  expect(await openStream(ask("m"), depsFor(url).deps)).toMatchObject({ error: { code: "upstream_error" } });
});

describe("[F4] time", () => {
  const silent: RequestListener = () => undefined;
  const headersOnly: RequestListener = (_, response) => response.writeHead(200, { "content-type": SSE }).flushHeaders();
  const drip: RequestListener = (_, response) => {
    response.writeHead(500, { "content-type": "application/json" }).write("{");
  };
  test.each([
    ["before the headers", silent, "LLM_HEADERS_TIMEOUT_MS"],
    ["before the first byte", headersOnly, "LLM_FIRST_TOKEN_TIMEOUT_MS"],
    ["in an error's body", drip, "LLM_HEADERS_TIMEOUT_MS"],
  ])("a stall %s is upstream_timeout after one call, and the socket is closed", async (_, stall, key) => {
    const { seen, url } = await serve(stall);
    const { deps } = depsFor(url, { [key]: "30" });
    expect(await openStream(ask("m"), deps)).toMatchObject({ error: { code: "upstream_timeout" } });
    await seen.closed[0];
    expect(seen.calls).toBe(1);
  });

  test("[F13] a caller that leaves before the first byte ends the provider's request", async () => {
    let leave = (): void => undefined;
    const gone = new Promise<void>((resolve) => (leave = resolve));
    const { seen, url } = await serve((_, response) => {
      headersOnly(_, response);
      leave();
    });
    expect(await openStream({ ...ask("m"), left: gone }, depsFor(url).deps)).toMatchObject({
      error: { code: "cancelled" },
    });
    await seen.closed[0];
    expect(seen.calls).toBe(1);
  });
});

test("cancelling the rest closes the provider's socket", async () => {
  const { seen, url } = await serve((_, response) => {
    response.writeHead(200, { "content-type": SSE }).write('data: {"choices":[]}\n\n');
  });
  const opened = await openStream(ask("m"), depsFor(url).deps);
  if (!opened.ok) throw new Error(opened.error.code);
  await opened.value.rest.cancel();
  await expect(seen.closed[0]).resolves.toBeDefined();
});
