import { describe, expect, test } from "vitest";
import type { ModelRequest } from "../../contracts/llm.ts";
import { readConfig } from "./env.ts";
import { configuredProviders, endpointsOf } from "./provider.ts";
import { routesFor } from "./routes.ts";

const vllm = { VLLM_BASE_URL: "https://vllm.example.com/v1" };
const access = { CF_ACCESS_CLIENT_ID: "i", CF_ACCESS_CLIENT_SECRET: "s" };
const ask = (model: string, modelType?: ModelRequest["modelType"]): ModelRequest => ({
  ...{ model, messages: [] },
  ...(modelType && { modelType }),
});

const MODELS = {
  providers: {
    gpus: {
      kind: "vllm",
      nodes: ["https://one.example.com/v1", { url: "https://two.example.com/v1", drain: true, max_in_flight: 8 }],
    },
    ollama: { kind: "compatible", nodes: ["http://localhost:11434/v1"], quirks: { stream_usage: false } },
  },
  models: {
    llama: { routes: [{ provider: "gpus", model: "meta/llama" }, { provider: "ollama" }, { provider: "openai" }] },
    small: {},
  },
};
const registry = { MODELS: JSON.stringify(MODELS), PROVIDER_KEYS: '{"gpus":"k"}' };

test("OpenAI and vLLM are two configurations of one kind", () => {
  const config = readConfig({ ...vllm, ...access, OPENAI_API_KEY: "k" });
  expect(configuredProviders(config)).toMatchObject([
    { name: "openai", endpoints: [{ baseUrl: "https://api.openai.com/v1", apiKey: "k", headers: {} }] },
    {
      name: "vllm",
      endpoints: [{ apiKey: undefined, headers: { "CF-Access-Client-Id": "i", "CF-Access-Client-Secret": "s" } }],
    },
  ]);
});

test("[LEDGER-10] vLLM is asked for figures in every chunk; OpenAI, which refuses what it does not know, is not", () => {
  const config = readConfig({ ...vllm, ...access, OPENAI_API_KEY: "k" });
  const asked = configuredProviders(config).map(({ name, endpoints }) => [name, endpoints[0]?.quirks.continuous_usage]);
  expect(asked).toEqual([
    ["openai", false],
    ["vllm", true],
  ]);
});

test("[LLM-1] a server is described, not programmed: nodes, key, quirks and the service token where it belongs", () => {
  const config = readConfig({ ...registry, ...access });
  expect(endpointsOf(config, "gpus")).toMatchObject({
    value: [
      { id: "gpus/1", apiKey: "k", isDraining: false, headers: { "CF-Access-Client-Id": "i" } },
      { id: "gpus/2", isDraining: true, maxInFlight: 8, quirks: { cache_hint: "cache_salt" } },
    ],
  });
  expect(endpointsOf(config, "ollama")).toMatchObject({
    value: [
      {
        ...{ baseUrl: "http://localhost:11434/v1", apiKey: undefined, headers: {} },
        quirks: {
          max_tokens_field: "max_tokens",
          stream_usage: false,
          continuous_usage: false,
          cache_hint: "none",
          file_parts: false,
        },
      },
    ],
  });
});

test("[LLM-1] a model's routes in order, with the provider's own name for it; what is not configured is left out", () => {
  const config = readConfig(registry);
  expect(routesFor(config, ask("llama"))).toMatchObject({
    value: [
      { provider: "gpus", model: "meta/llama" },
      { provider: "ollama", model: "llama" },
    ],
  });
  expect(routesFor(config, ask("llama", "openai"))).toMatchObject({ value: [{ provider: "ollama" }] });
  expect(routesFor(config, ask("small", "vllm"))).toMatchObject({ error: { code: "not_configured" } });
  expect(routesFor(config, ask("other"))).toMatchObject({ error: { code: "model_not_found" } });
});

test("the request's model type beats LLM_TYPE", () => {
  const config = readConfig({ ...vllm, OPENAI_API_KEY: "k", LLM_TYPE: "vllm" });
  expect(routesFor(config, ask("m"))).toMatchObject({ value: [{ provider: "vllm" }] });
  expect(routesFor(config, ask("m", "openai"))).toMatchObject({ value: [{ provider: "openai" }] });
});

describe("[F36] a provider that is not configured is an outcome that names the key, never its value", () => {
  test.each([
    [{}, "OPENAI_API_KEY"],
    [{ OPENAI_API_KEY: "  " }, "OPENAI_API_KEY"],
    [{ OPENAI_API_KEY: "k", OPENAI_BASE_URL: "canary" }, "OPENAI_BASE_URL"],
    [{ OPENAI_API_KEY: "k", OPENAI_BASE_URL: "file:///canary" }, "OPENAI_BASE_URL"],
    [{ OPENAI_API_KEY: "k", LLM_TYPE: "canary" }, "LLM_TYPE"],
    [{ LLM_TYPE: "vllm" }, "VLLM_BASE_URL"],
    [{ LLM_TYPE: "vllm", VLLM_BASE_URL: "canary" }, "VLLM_BASE_URL"],
    [{ ...vllm, LLM_TYPE: "vllm", CF_ACCESS_CLIENT_ID: "canary" }, "CF_ACCESS_CLIENT_SECRET"],
    [{ ...vllm, LLM_TYPE: "vllm", CF_ACCESS_CLIENT_SECRET: "canary" }, "CF_ACCESS_CLIENT_ID"],
    [{ MODELS: '{"models":{"m":{"routes":[{"provider":"openai"}]}}}' }, "OPENAI_API_KEY"],
    [{ ...registry, PROVIDER_KEYS: "canary" }, "PROVIDER_KEYS"],
    [{ OPENAI_API_KEY: "k", MODELS: '{"models":{"canary":1}}' }, "MODELS is malformed"],
  ])("%j names %s", (env, key) => {
    const routes = routesFor(readConfig(env), ask("MODELS" in env && env.MODELS === registry.MODELS ? "llama" : "m"));
    expect(routes).toMatchObject({
      ok: false,
      error: { code: "not_configured", message: expect.stringMatching(`${key}$`) },
    });
    expect(JSON.stringify(routes)).not.toContain("canary");
  });
});

test("a malformed time falls back and is named; an env is checked once", () => {
  const env = { LLM_HEADERS_TIMEOUT_MS: "soon", LLM_FIRST_TOKEN_TIMEOUT_MS: "", LLM_TOTAL_TIMEOUT_MS: "5" };
  const config = readConfig(env);
  expect(config).toMatchObject({
    LLM_HEADERS_TIMEOUT_MS: 30_000,
    LLM_FIRST_TOKEN_TIMEOUT_MS: 30_000,
    LLM_TOTAL_TIMEOUT_MS: 5,
  });
  expect(config.malformed).toEqual(["LLM_HEADERS_TIMEOUT_MS"]);
  expect(readConfig(env)).toBe(config);
});
