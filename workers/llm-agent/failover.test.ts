/** Who is called next, against stand-ins on loopback: a fleet of two, and another provider behind it. Waits are counted, never slept. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { serveLlm } from "../../dev/stand-ins/llm.ts";
import type { StandIn } from "../../dev/stand-ins/serve.ts";
import { readConfig } from "./env.ts";
import { Fleet } from "./fleet.ts";
import { type CallDeps, type HeldStream, openStream } from "./generate.ts";

const SILENT = { firstTokenMs: 0, tokensPerSecond: Number.POSITIVE_INFINITY };
const SESSION = "01a208da-e947-7048-8025-8d0d150d1078";

let servers: StandIn[];
let fleet: Fleet;
const waits: number[] = [];
beforeAll(async () => {
  servers = await Promise.all([1, 2, 3].map(() => serveLlm({ apiKey: "k", pace: SILENT })));
});
afterAll(() => Promise.all(servers.map((server) => server.close())));
beforeEach(() => {
  fleet = new Fleet();
  waits.length = 0;
  for (const server of servers) server.control({ mode: "up" });
});

function depsFor(nodes: object[] = [{}, {}], settings: Record<string, string> = {}, provider: object = {}): CallDeps {
  const [one, two, other] = servers.map(({ url }) => `${url}/v1`);
  const MODELS = JSON.stringify({
    providers: {
      gpus: { kind: "vllm", nodes: nodes.map((node, at) => ({ url: [one, two][at], ...node })), ...provider },
      other: { kind: "compatible", nodes: [other] },
    },
    models: {
      m: { routes: [{ provider: "gpus" }, { provider: "other" }] },
      alone: { routes: [{ provider: "gpus" }] },
    },
  });
  const config = readConfig({ MODELS, PROVIDER_KEYS: '{"gpus":"k","other":"k"}', ...settings });
  return {
    ...{ config, fleet, fetch, trace: [], attempts: [], newCallId: () => "made", now: () => 0, random: () => 0 },
    wait: async (ms) => void waits.push(ms),
  };
}

async function call(deps: CallDeps, model = "m", avoid: string[] = []) {
  const request = { model, messages: [{ role: "user" as const, content: "Hello" }], avoid };
  const opened = await openStream({ request, context: { requestId: "r", userId: "u", sessionId: SESSION } }, deps);
  if (opened.ok) await opened.value.rest.cancel();
  if (opened.ok) opened.value.release();
  const calls = deps.trace.splice(0);
  return { calls, code: opened.ok ? "ok" : opened.error.code };
}

/** Sets the faults of the session's own node, of the fleet's second one, and of the other provider. */
async function breakNodes(...modes: string[]): Promise<{ own: string; second: string }> {
  const { calls } = await call(depsFor());
  const [own = ""] = calls;
  const order = own === "gpus/1" ? [0, 1, 2] : [1, 0, 2];
  for (const [at, mode] of modes.entries()) servers[order[at] ?? 0]?.control({ mode });
  return { own, second: own === "gpus/1" ? "gpus/2" : "gpus/1" };
}

test.each([
  ["[F7] cannot be reached", "down"],
  ["[F7] answers 503", "status.503"],
  ["[F8] refuses our credentials", "status.401"],
  ["[F8] shows a login page", "login"],
  ["[F6] is busy", "429.ra.120"],
])("[FLEET-5] a node that %s is left for the next one, without a wait", async (_, mode) => {
  const { own, second } = await breakNodes(mode);
  expect(await call(depsFor())).toEqual({ calls: [own, second], code: "ok" });
  expect(waits).toEqual([]);
});

test("[F4] [FLEET-5] a node that is silent for too long is left for the next one", async () => {
  const { own, second } = await breakNodes("stall.first");
  const deps = depsFor([{}, {}], { LLM_FIRST_TOKEN_TIMEOUT_MS: "50" });
  expect(await call(deps)).toEqual({ calls: [own, second], code: "ok" });
});

test("[FLEET-5] after two nodes of a fleet the next provider is called: three calls in all", async () => {
  const { own, second } = await breakNodes("status.500", "status.500");
  expect(await call(depsFor())).toEqual({ calls: [own, second, "other/1"], code: "ok" });
  for (const server of servers) server.control({ mode: "status.500" });
  fleet = new Fleet();
  expect(await call(depsFor())).toEqual({ calls: [own, second, "other/1"], code: "upstream_error" });
  expect(waits).toEqual([]);
});

test("[F6] [FLEET-5] who is limited everywhere waits once for the last one, and no longer than five seconds", async () => {
  const { own, second } = await breakNodes("429.ra.1", "429.ra.2");
  expect(await call(depsFor(), "alone")).toEqual({ calls: [own, second, second], code: "rate_limited" });
  expect(waits).toEqual([2_000]);
});

test("[FLEET-5] a model that a provider does not serve is asked of the next provider, not of its other nodes", async () => {
  const { own } = await breakNodes("unknown", "unknown");
  expect(await call(depsFor())).toEqual({ calls: [own, "other/1"], code: "ok" });
});

test("[FLEET-5] a prompt that is too long is too long everywhere", async () => {
  const { own } = await breakNodes("context");
  expect(await call(depsFor())).toEqual({ calls: [own], code: "context_length_exceeded" });
});

test("[LLM-8] a request that is refused is asked of nobody else, and says nothing of the node", async () => {
  const { own } = await breakNodes("invalid");
  const refused = { calls: [own], code: "invalid_request" };
  for (let at = 0; at < 4; at += 1) expect(await call(depsFor())).toEqual(refused);
});

test("[FLEET-3] a node with an open breaker is passed by; when all are open one is called anyway", async () => {
  const { own, second } = await breakNodes("down");
  for (let at = 0; at < 3; at += 1) await call(depsFor());
  expect(await call(depsFor())).toEqual({ calls: [second], code: "ok" });
  for (const server of servers) server.control({ mode: "status.500" });
  for (let at = 0; at < 3; at += 1) await call(depsFor());
  for (const server of servers) server.control({ mode: "up" });
  const { calls, code } = await call(depsFor());
  expect([calls.length, code]).toEqual([1, "ok"]);
  expect([own, second]).toContain(calls[0]);
});

test("[FLEET-2] a fleet that is full spills over to the next provider, and takes more where there is none", async () => {
  const full = () => depsFor([{ max_in_flight: 1 }, { max_in_flight: 1 }]);
  const { own, second } = await breakNodes();
  const held: HeldStream[] = [];
  const hold = async (model: string) => {
    const deps = full();
    const request = { model, messages: [{ role: "user" as const, content: "Hello" }] };
    const opened = await openStream({ request, context: { requestId: "r", userId: "u", sessionId: SESSION } }, deps);
    if (opened.ok) held.push(opened.value);
    return deps.trace;
  };
  expect([await hold("m"), await hold("m"), await hold("m")]).toEqual([[own], [second], ["other/1"]]);
  expect(await hold("alone")).toHaveLength(1);
  for (const { rest, release } of held) {
    await rest.cancel();
    release();
  }
  expect((await call(full())).calls).toEqual([own]);
});

test("[FLEET-6] a node that drains gets nothing new, not even as the last one", async () => {
  const { own, second } = await breakNodes();
  const nodes = own === "gpus/1" ? [{ drain: true }, {}] : [{}, { drain: true }];
  expect(await call(depsFor(nodes), "alone")).toEqual({ calls: [second], code: "ok" });
  servers.forEach((server) => server.control({ mode: "down" }));
  expect((await call(depsFor(nodes), "alone")).calls).not.toContain(own);
  expect(await call(depsFor([{ drain: true }, { drain: true }]), "alone")).toEqual({ calls: [], code: "overloaded" });
});

test("[FLEET-7] a route that broke off in this reply is not taken again, and counts as a fault there", async () => {
  const { own, second } = await breakNodes();
  expect(await call(depsFor(), "m", [own])).toEqual({ calls: [second], code: "ok" });
  expect(await call(depsFor(), "m", [own, second])).toEqual({ calls: ["other/1"], code: "ok" });
  expect(await call(depsFor(), "alone", [own, second])).toEqual({ calls: [], code: "overloaded" });
  const { own: moved } = await breakNodes();
  expect(moved).not.toBe(own);
});

test("[LIMIT-8] a provider that has all the calls it may is passed by; alone, it says when to come again", async () => {
  const deps = depsFor([{}, {}], {}, { max_calls: 2 });
  const request = { messages: [{ role: "user" as const, content: "Hello" }] };
  const context = { requestId: "r", userId: "u" };
  const open = (model: string) => openStream({ request: { ...request, model }, context }, deps);
  const held = [await open("alone"), await open("alone")];
  expect(held.map(({ ok }) => ok)).toEqual([true, true]);
  expect(await open("alone")).toMatchObject({ ok: false, error: { code: "rate_limited", retryAfterSeconds: 1 } });
  deps.trace.length = 0;
  expect((await call(deps, "m")).calls).toEqual(["other/1"]);
  for (const stream of held) if (stream.ok) stream.value.release();
  expect((await call(deps, "alone")).code).toBe("ok");
  for (const stream of held) if (stream.ok) await stream.value.rest.cancel();
});
