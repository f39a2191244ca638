/** Who may be given what the cache holds: only a request that any model behind it would have served, and only a user whom its owner lets. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type House, openHouse, type Tenant } from "./house.ts";
import { serveLlm } from "../dev/stand-ins/llm.ts";
import type { StandIn } from "../dev/stand-ins/serve.ts";

let house: House;
let gpu: StandIn;
let as: Tenant;
beforeAll(async () => {
  gpu = await serveLlm({ apiKey: "k", pace: { firstTokenMs: 0, tokensPerSecond: Number.POSITIVE_INFINITY } });
  const MODELS = JSON.stringify({
    providers: {
      gpus: { kind: "vllm", nodes: [`${gpu.url}/v1`] },
      // Nobody listens there.
      away: { kind: "compatible", nodes: ["http://127.0.0.1:9/v1"] },
    },
    models: { demo: {}, either: { routes: [{ provider: "away" }, { provider: "gpus", model: "demo" }] } },
  });
  house = await openHouse({ settings: { MODELS, PROVIDER_KEYS: '{"gpus":"k","away":"k"}' } });
  as = await house.newTenant();
});
afterAll(async () => {
  await house.close();
  await gpu.close();
});

test("[CACHE-6] an answer of the provider that stood in is no hit for a request that insists on the other one's type", async () => {
  const ask = async (more: object) => {
    const response = await house.call("/chat", { as, body: { prompt: "Who is it?", model: "either", ...more } });
    await response.text();
    await house.redis.until(({ in_flight }) => in_flight === 0);
    return { ok: response.ok, verdict: response.headers.get("x-cache") };
  };
  expect(await ask({})).toEqual({ ok: true, verdict: "MISS" });
  expect(await ask({})).toEqual({ ok: true, verdict: "HIT" });
  expect(await ask({ model_type: "vllm" })).toEqual({ ok: true, verdict: "MISS" });
  expect(await ask({ model_type: "openai" })).toEqual({ ok: false, verdict: "MISS" });
});
