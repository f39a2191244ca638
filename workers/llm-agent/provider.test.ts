import { describe, expect, test } from "vitest";
import { readConfig } from "./env.ts";
import { chooseProvider, configuredProviders } from "./provider.ts";

const vllm = { VLLM_BASE_URL: "https://vllm.example.com/v1" };

test("OpenAI and vLLM are two configurations of one kind", () => {
  const config = readConfig({ ...vllm, OPENAI_API_KEY: "k", CF_ACCESS_CLIENT_ID: "i", CF_ACCESS_CLIENT_SECRET: "s" });
  expect(configuredProviders(config)).toMatchObject([
    { name: "openai", baseUrl: "https://api.openai.com/v1", apiKey: "k", headers: {} },
    { name: "vllm", apiKey: undefined, headers: { "CF-Access-Client-Id": "i", "CF-Access-Client-Secret": "s" } },
  ]);
});

test("the request's model type beats LLM_TYPE", () => {
  const config = readConfig({ ...vllm, OPENAI_API_KEY: "k", LLM_TYPE: "vllm" });
  expect(chooseProvider(config)).toMatchObject({ ok: true, value: { name: "vllm" } });
  expect(chooseProvider(config, "openai")).toMatchObject({ ok: true, value: { name: "openai" } });
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
  ])("%j names %s", (env, key) => {
    const chosen = chooseProvider(readConfig(env));
    expect(chosen).toMatchObject({
      ok: false,
      error: { code: "not_configured", message: expect.stringMatching(`${key}$`) },
    });
    expect(JSON.stringify(chosen)).not.toContain("canary");
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
