import { afterAll, beforeAll, expect, test } from "vitest";
import { serveLlm } from "../../dev/stand-ins/llm.ts";
import type { StandIn } from "../../dev/stand-ins/serve.ts";
import { readConfig } from "./env.ts";
import type { CallDeps } from "./generate.ts";
import { checkHealth, listModels } from "./models.ts";

let llm: StandIn;
beforeAll(async () => {
  llm = await serveLlm({ apiKey: "k" });
});
afterAll(() => llm.close());

function depsFor(env: Record<string, string>): CallDeps {
  const config = readConfig(env);
  return { config, fetch, now: () => 0, wait: async () => undefined, newCallId: () => "made" };
}
const openai = (key: string) => ({ OPENAI_API_KEY: key, OPENAI_BASE_URL: `${llm.url}/v1` });
const vllm = (url: string) => ({ VLLM_BASE_URL: url, VLLM_API_KEY: "k" });

test("the models of every provider that answers, each with its provider", async () => {
  const listed = await listModels(depsFor({ ...openai("k"), ...vllm("http://127.0.0.1:1/v1") }));
  expect(listed).toMatchObject({ ok: true, value: expect.arrayContaining([{ id: "demo", provider: "openai" }]) });
});

test("a failure only when nobody answers", async () => {
  expect(await listModels(depsFor(openai("wrong")))).toMatchObject({ error: { code: "upstream_auth" } });
  expect(await listModels(depsFor({}))).toMatchObject({ error: { code: "not_configured" } });
});

test("[F8] health: credentials refused is degraded, unreachable or not configured is unhealthy", async () => {
  const status = async (env: Record<string, string>) =>
    (await checkHealth(depsFor(env))).map((report) => `${report.provider} ${report.status}`);
  expect(await status({ ...openai("k"), ...vllm("http://127.0.0.1:1/v1") })).toEqual([
    "openai healthy",
    "vllm unhealthy",
  ]);
  expect(await status(openai("wrong"))).toEqual(["openai degraded"]);
  expect(await status(vllm(`${llm.url}/v1`))).toEqual(["vllm healthy", "openai unhealthy"]);
});

test("a login page is degraded, a stall unhealthy, and no probe is a paid call", async () => {
  for (const [mode, status, timeoutMs] of [
    ["login", "degraded", "3000"],
    ["stall.headers", "unhealthy", "30"],
  ] as const) {
    llm.control({ mode });
    expect(await checkHealth(depsFor({ ...openai("k"), LLM_PROBE_TIMEOUT_MS: timeoutMs }))).toMatchObject([
      { provider: "openai", status },
    ]);
  }
  llm.control({ mode: "up" });
  expect(llm.stats()["chunks_sent"]).toBe(0);
});
