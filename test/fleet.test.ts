/** Three nodes of one model behind the API: who is met, who is passed by, and what becomes of answers when a node dies. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadFleet, stickiness } from "../dev/house/fleet-load.ts";
import { seededRandom } from "../dev/house/random.ts";
import { serveLlm } from "../dev/stand-ins/llm.ts";
import type { StandIn } from "../dev/stand-ins/serve.ts";
import { type House, openHouse, type Tenant } from "./house.ts";

let house: House;
let nodes: StandIn[];
let as: Tenant;
beforeAll(async () => {
  nodes = await Promise.all([1, 2, 3, 4].map(() => serveLlm({ pace: { firstTokenMs: 5, tokensPerSecond: 400 } })));
  const urls = nodes.map(({ url }) => `${url}/v1`);
  const MODELS = JSON.stringify({
    providers: {
      gpus: { kind: "vllm", nodes: [...urls.slice(0, 3), { url: urls[3], drain: true }] },
      again: { kind: "vllm", nodes: urls.slice(0, 3) },
    },
    models: {
      llama: { routes: [{ provider: "gpus", model: "demo" }] },
      again: { routes: [{ provider: "again", model: "demo" }] },
    },
  });
  house = await openHouse({ settings: { MODELS, PROVIDER_KEYS: '{"gpus":"k","again":"k"}' } });
  as = await house.newTenant();
});
afterAll(async () => {
  await house.close();
  await Promise.all(nodes.map((node) => node.close()));
});

test("[FLEET-1] [FLEET-6] sessions keep their nodes, all nodes have sessions, and one that drains has none", async () => {
  const plan = { model: "llama", turns: 4, textChars: 200, random: seededRandom(1) };
  // One after the other: nobody has a reason to leave a node.
  const people = [];
  for (let person = 0; person < 12; person += 1) people.push(...(await loadFleet(house, as, { ...plan, people: 1 })));
  expect(people.flat().map(({ failure }) => failure)).toEqual(Array.from({ length: 48 }, () => undefined));
  expect(stickiness(people)).toBe(1);
  expect(new Set(people.map(([first]) => first?.node))).toEqual(new Set(["gpus/1", "gpus/2", "gpus/3"]));
  expect(nodes[3]?.stats().calls).toBe(0);
});

test("[PREFIX-4] a conversation without a session meets one node, by how it begins or by its client's key; others meet others", async () => {
  const callsAt = () => nodes.map((node) => node.stats().calls);
  const talk = async (first: string, named?: string) => {
    const messages = [{ role: "user", content: first }];
    const before = callsAt();
    for (let turn = 0; turn < 5; turn += 1) {
      const body = { model: "llama", messages, ...(named && { prompt_cache_key: named }) };
      const response = await house.call("/v1/chat/completions", { as, body });
      const { choices } = await response.json<{ choices: { message: { content: string } }[] }>();
      messages.push({ role: "assistant", content: choices[0]?.message.content ?? "" });
      // One that is known by its name may begin otherwise.
      if (named) messages[0] = { role: "user", content: `${first}, once more: ${"x".repeat(turn + 1)}` };
      messages.push({ role: "user", content: `And part ${"x".repeat(turn + 1)}?` });
    }
    const met = callsAt().map((calls, at) => calls - (before[at] ?? 0));
    expect(met.filter((calls) => calls > 0)).toEqual([5]);
    return met.indexOf(5);
  };
  const met = [];
  for (let at = 0; at < 8; at += 1) met.push(await talk(`Tell me of sea ${"i".repeat(at + 1)}`));
  expect(new Set(met).size).toBeGreaterThan(1);
  await talk("Tell me of the hills", "hills");
});

test("[FLEET-3] [FLEET-5] [FLEET-7] a node that is killed under load fails no turn", async () => {
  const people = await loadFleet(house, as, {
    ...{ model: "again", people: 9, turns: 5, textChars: 400, random: seededRandom(2) },
    onEnded(count) {
      if (count === 4) nodes[0]?.control({ mode: "down" });
    },
  });
  const turns = people.flat();
  expect(turns).toHaveLength(45);
  expect(turns.filter(({ failure }) => failure !== undefined)).toEqual([]);
  expect(people.every((mine) => mine.at(-1)?.node !== "again/1")).toBe(true);
  const health = await (
    await house.call("/llm/health", { as })
  ).json<{
    status: string;
    providers: { provider: string; status: string; nodes: { node: string; status: string; in_flight: number }[] }[];
  }>();
  const fleet = health.providers.find(({ provider }) => provider === "again");
  expect(health.status).toBe("degraded");
  expect(fleet?.nodes.map(({ status, in_flight: running }) => [status, running])).toEqual([
    ["unhealthy", 0],
    ["healthy", 0],
    ["healthy", 0],
  ]);
});
