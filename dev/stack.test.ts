import { afterEach, expect, test } from "vitest";
import { type LocalStack, startStandIns } from "./stack.ts";
import { serveLlm } from "./stand-ins/llm.ts";
import type { StandIn } from "./stand-ins/serve.ts";

/** Nothing here may open the database of a developer's own run. */
const ELSEWHERE = { DATABASE_HTTP_URL: "http://127.0.0.1:9/sql" };

const open: StandIn[] = [];
afterEach(() => Promise.all(open.splice(0).map((standIn) => standIn.close())));

async function start(own: Record<string, string>): Promise<LocalStack> {
  const stack = await startStandIns({ ...ELSEWHERE, ...own });
  open.push(...Object.values(stack.standIns));
  return stack;
}

test("[DEV-1] without a provider the demo model is served; whatever is configured needs no stand-in", async () => {
  const { standIns, settings } = await start({});
  expect(Object.keys(standIns)).toEqual(["llm", "redis"]);
  expect(settings).toMatchObject({ DEFAULT_MODEL: "demo", OPENAI_BASE_URL: `${standIns.llm?.url}/v1` });
  expect((await start({ OPENAI_API_KEY: "key", UPSTASH_REDIS_REST_URL: "http://127.0.0.1:9" })).standIns).toEqual({});
  const MODELS = '{"providers":{"ollama":{"kind":"compatible","nodes":["http://127.0.0.1:9/v1"]}},"models":{"m":{}}}';
  expect((await start({ MODELS, UPSTASH_REDIS_REST_URL: "http://127.0.0.1:9" })).standIns).toEqual({});
});

test("[DEV-1] a vLLM server alone is the default provider, with the first model that it serves", async () => {
  const vllm = await serveLlm({ apiKey: "its-key" });
  open.push(vllm);
  const own = { VLLM_BASE_URL: `${vllm.url}/v1`, VLLM_API_KEY: "its-key" };
  const { standIns, settings } = await start(own);
  expect(standIns.llm).toBeUndefined();
  expect(settings).toMatchObject({ LLM_TYPE: "vllm", DEFAULT_MODEL: "demo" });
  expect((await start({ ...own, DEFAULT_MODEL: "mine" })).settings["DEFAULT_MODEL"]).toBe("mine");
});
