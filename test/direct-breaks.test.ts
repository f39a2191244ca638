/**
 * Direct streams that break off at their first node, with another one that serves the model as well. One stand-in breaks, the house's own is
 * whole; each model has a provider of its own for the first, so that no test finds the breaker that another one left.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { serveLlm } from "../dev/stand-ins/llm.ts";
import type { StandIn } from "../dev/stand-ins/serve.ts";
import { type House, linesOf, openHouse, type Tenant, untilRows } from "./house.ts";
import { openAiOf } from "./stock-clients.ts";

const FAULTS = { words: "cut.3", role: "cut.0", chunk: "cut.0", silent: "stall.0", alone: "cut.0" };

let house: House;
let first: StandIn;
let as: Tenant;
beforeAll(async () => {
  first = await serveLlm({ pace: { firstTokenMs: 0, tokensPerSecond: Number.POSITIVE_INFINITY } });
  const names = Object.keys(FAULTS);
  const MODELS = JSON.stringify({
    providers: Object.fromEntries(names.map((name) => [name, { kind: "compatible", nodes: [`${first.url}/v1`] }])),
    models: Object.fromEntries(
      Object.entries(FAULTS).map(([name, fault]) => {
        const routes = [
          { provider: name, model: `demo:${fault}` },
          { provider: "openai", model: "demo" },
        ];
        return [name, { routes: name === "alone" ? routes.slice(0, 1) : routes }];
      }),
    ),
  });
  const PROVIDER_KEYS = JSON.stringify(Object.fromEntries(names.map((name) => [name, "k"])));
  house = await openHouse({ settings: { MODELS, PROVIDER_KEYS, LLM_STALL_TIMEOUT_MS: "600" } });
  as = await house.newTenant();
});
afterAll(async () => {
  await house.close();
  await first.close();
});

async function stream(model: string) {
  const response = await house.call("/llm/generate/stream", { as, body: { prompt: "Tell me of cut streams", model } });
  const text = await response.text();
  const events = [...text.matchAll(/^event: (\w+)$/gm)].map(([, name]) => name);
  return { text, events, id: response.headers.get("x-request-id") };
}

async function breakerOf(provider: string): Promise<string | undefined> {
  const health = await (
    await house.call("/llm/health", { as })
  ).json<{ providers: { provider: string; nodes: { breaker: string }[] }[] }>();
  return health.providers.find((one) => one.provider === provider)?.nodes[0]?.breaker;
}

test("[FLEET-8] streams that are cut in their words open their node's breaker, and those after it are whole", async () => {
  const told = [];
  for (let at = 0; at < 12; at += 1) {
    const { events, id } = await stream("words");
    told.push(events.at(-1));
    const [seen] = linesOf(house, id).filter(({ call }) => call === "model");
    if (seen?.["provider"] === "openai") break;
    // Behind the reply the model service hears of it.
    await expect.poll(() => linesOf(house, id).filter(({ route }) => route === "llm.broke-off")).toHaveLength(1);
  }
  expect(told[0]).toBe("error");
  expect(told.at(-1)).toBe("done");
  expect(await breakerOf("words")).not.toBe("closed");
});

test.each(["role", "silent"])(
  "[FLEET-8] a stream that breaks off before its words (%s) is whole from the other node, and both are counted",
  async (model) => {
    const who = await house.newTenant();
    const response = await house.call("/llm/generate/stream", { as: who, body: { prompt: "Tell me all", model } });
    const text = await response.text();
    expect(text).not.toContain("event: error");
    expect(text).toMatch(/event: done\ndata: \{"finish_reason":"stop"\}\n\n$/);
    expect([...text.matchAll(/"provider":"(\w+)"/g)].map(([, provider]) => provider)).toEqual([model, "openai"]);
    const lines = linesOf(house, response.headers.get("x-request-id")).filter(({ call }) => call === "model");
    expect(lines).toMatchObject([
      { provider: model, error: expect.any(String), estimated: true },
      { provider: "openai" },
    ]);
    const [row] = await untilRows(house, 1, "select * from usage where user_id = $1", who.id);
    expect(row).toMatchObject({ provider: "openai", is_estimated: true });
    const total = Number(row?.["prompt_tokens"]) + Number(row?.["completion_tokens"]);
    expect(total).toBe(lines.reduce((sum, { tokens }) => sum + Number(tokens), 0));
  },
);

test("[FLEET-8] a client of OpenAI's API sees one reply, which begins once", async () => {
  const messages = [{ role: "user" as const, content: "Tell me of role chunks" }];
  const told = [];
  const asked = { model: "chunk", messages, stream: true } as const;
  for await (const { choices } of await openAiOf(house, as).chat.completions.create(asked)) told.push(...choices);
  expect(told.filter(({ delta }) => delta.role !== undefined)).toHaveLength(1);
  expect(told.at(-1)?.finish_reason).toBe("stop");
  expect(told.map(({ delta }) => delta.content ?? "").join("")).toContain("[demo");
});

test("[FLEET-8] where nobody else serves the model it is told what broke off", async () => {
  const { text, events, id } = await stream("alone");
  expect(events.slice(-2)).toEqual(["usage", "error"]);
  expect(text).toContain("upstream_truncated");
  const [seen] = linesOf(house, id).filter(({ call }) => call === "model");
  expect(seen).toMatchObject({ provider: "alone", error: "upstream_truncated" });
});
