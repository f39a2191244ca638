import { afterAll, beforeAll, expect, test } from "vitest";
import { serveLlm } from "../../dev/stand-ins/llm.ts";
import type { StandIn } from "../../dev/stand-ins/serve.ts";
import { readConfig } from "./env.ts";
import { Fleet } from "./fleet.ts";
import type { CallDeps } from "./generate.ts";
import { checkHealth, type Discovered, listModels } from "./models.ts";

const AWAY = "http://127.0.0.1:1/v1";
const LLAMA = "meta-llama/Llama-3.1-8B-Instruct";

let llm: StandIn;
beforeAll(async () => {
  llm = await serveLlm({ apiKey: "k" });
});
afterAll(() => llm.close());

function depsFor(env: Record<string, string>, nowMs = 0): CallDeps {
  const config = readConfig(env);
  const made = { fleet: new Fleet(), random: () => 0, trace: [], attempts: [], newCallId: () => "made" };
  return { ...made, config, fetch, now: () => nowMs, wait: async () => undefined };
}
const openai = (key: string) => ({ OPENAI_API_KEY: key, OPENAI_BASE_URL: `${llm.url}/v1` });
const vllm = (url: string) => ({ VLLM_BASE_URL: url, VLLM_API_KEY: "k" });
const list = (env: Record<string, string>, known: Discovered = new Map()) => listModels(depsFor(env), known);

test("[LLM-2] without a registry: the models of every provider that answers, each with its provider", async () => {
  const listed = await list({ ...openai("k"), ...vllm(AWAY) });
  expect(listed).toMatchObject({
    ok: true,
    value: expect.arrayContaining([
      { id: "demo", providers: ["openai"], abilities: null, contextWindow: null, price: null, isAvailable: true },
    ]),
  });
});

test("[LLM-2] a registry's own models, and of its patterns those that are served; a window that vLLM tells", async () => {
  const MODELS = JSON.stringify({
    providers: { gpus: { kind: "vllm", nodes: [`${llm.url}/v1`] } },
    models: {
      mine: { routes: [{ provider: "gpus", model: LLAMA }], price: { input: 1, output: 2 }, abilities: ["chat"] },
      gone: { routes: [{ provider: "gpus", model: "other" }], context_window: 4_096 },
      elsewhere: { routes: [{ provider: "openai" }] },
      "gpt-4o*": { routes: [{ provider: "gpus" }] },
    },
  });
  const listed = await list({ MODELS, PROVIDER_KEYS: '{"gpus":"k"}' });
  const model = { providers: ["gpus"], abilities: null, price: null, contextWindow: null, isAvailable: true };
  expect(listed).toEqual({
    ok: true,
    value: [
      { ...model, id: "mine", abilities: ["chat"], contextWindow: 8_192, price: { input: 1, output: 2 } },
      { ...model, id: "gone", contextWindow: 4_096, isAvailable: false },
      { ...model, id: "elsewhere", providers: ["openai"], isAvailable: null },
      { ...model, id: "gpt-4o-mini" },
      { ...model, id: "gpt-4o" },
    ],
  });
});

test("[LLM-2] providers are asked once a minute", async () => {
  const known: Discovered = new Map();
  const callsAt = async (nowMs: number) => {
    const before = llm.stats().calls;
    await listModels(depsFor(openai("k"), nowMs), known);
    return llm.stats().calls - before;
  };
  expect(await callsAt(0)).toBe(1);
  expect(await callsAt(59_999)).toBe(0);
  expect(await callsAt(60_000)).toBe(1);
});

test("a failure only when nothing is known", async () => {
  expect(await list(openai("wrong"))).toMatchObject({ error: { code: "upstream_auth" } });
  expect(await list({})).toMatchObject({ error: { code: "not_configured" } });
  expect(await list({ MODELS: "{" })).toMatchObject({ error: { code: "not_configured" } });
});

test("[F8] health: credentials refused is degraded, unreachable or not configured is unhealthy", async () => {
  const status = async (env: Record<string, string>) => {
    const { providers } = await checkHealth(depsFor(env));
    return providers.map((report) => `${report.provider} ${report.status}`);
  };
  expect(await status({ ...openai("k"), ...vllm(AWAY) })).toEqual(["openai healthy", "vllm unhealthy"]);
  expect(await status(openai("wrong"))).toEqual(["openai degraded"]);
  expect(await status(vllm(`${llm.url}/v1`))).toEqual(["vllm healthy", "openai unhealthy"]);
});

test("[LLM-3] of a fleet every node is told; one that drains is no fault; malformed settings are named", async () => {
  const MODELS = JSON.stringify({
    providers: {
      gpus: { kind: "vllm", nodes: [`${llm.url}/v1`, AWAY, { url: AWAY.replace("1/", "2/"), drain: true }] },
    },
    models: { mine: { routes: [{ provider: "gpus" }] } },
  });
  const deps = depsFor({ MODELS, PROVIDER_KEYS: '{"gpus":"k"}', LLM_TOTAL_TIMEOUT_MS: "never" });
  const { providers, problems } = await checkHealth(deps);
  expect(providers).toMatchObject([
    {
      ...{ provider: "gpus", status: "degraded" },
      nodes: [
        { node: "gpus/1", status: "healthy", breaker: "closed", inFlight: 0, isDraining: false },
        { node: "gpus/2", status: "unhealthy" },
        { node: "gpus/3", status: "unhealthy", isDraining: true },
      ],
    },
  ]);
  expect(problems).toEqual(["LLM_TOTAL_TIMEOUT_MS is malformed"]);
});

test("a login page is degraded, a stall unhealthy, and no probe is a paid call", async () => {
  for (const [mode, status, timeoutMs] of [
    ["login", "degraded", "3000"],
    ["stall.headers", "unhealthy", "30"],
  ] as const) {
    llm.control({ mode });
    const { providers } = await checkHealth(depsFor({ ...openai("k"), LLM_PROBE_TIMEOUT_MS: timeoutMs }));
    expect(providers).toMatchObject([{ provider: "openai", status }]);
  }
  llm.control({ mode: "up" });
  expect(llm.stats()["chunks_sent"]).toBe(0);
});
