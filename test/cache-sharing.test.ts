/** Who may be given what the cache holds: only a request that any model behind it would have served, and only a user whom its owner lets. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EntryList } from "../contracts/cache.ts";
import { ToolCallReply } from "../contracts/toolbox.ts";
import { serveInternet } from "../dev/stand-ins/internet.ts";
import { serveLlm } from "../dev/stand-ins/llm.ts";
import { brave, SEARCH_KEY } from "../dev/stand-ins/search.ts";
import type { StandIn } from "../dev/stand-ins/serve.ts";
import { cacheReason, type House, openHouse, type Tenant } from "./house.ts";

const SITE = "api.search.brave.com";

let house: House;
let gpu: StandIn;
let internet: StandIn;
let tenant: Tenant;
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
  internet = await serveInternet({ [SITE]: brave });
  const settings = { MODELS, PROVIDER_KEYS: '{"gpus":"k","away":"k"}', BRAVE_API_KEY: SEARCH_KEY };
  house = await openHouse({ internet, settings });
  tenant = await house.newTenant();
});
afterAll(async () => {
  await house.close();
  await Promise.all([gpu.close(), internet.close()]);
});

test("[CACHE-6] an answer of the provider that stood in is no hit for a request that insists on the other one's type", async () => {
  const ask = async (more: object) => {
    const response = await house.call("/chat", {
      as: tenant,
      body: { prompt: "Who is it?", model: "either", ...more },
    });
    await response.text();
    await house.redis.until(({ in_flight }) => in_flight === 0);
    return { ok: response.ok, verdict: response.headers.get("x-cache") };
  };
  expect(await ask({})).toEqual({ ok: true, verdict: "MISS" });
  expect(await ask({})).toEqual({ ok: true, verdict: "HIT" });
  expect(await ask({ model_type: "vllm" })).toEqual({ ok: true, verdict: "MISS" });
  expect(await ask({ model_type: "openai" })).toEqual({ ok: false, verdict: "MISS" });
});

let asked = 0;
/** Letters only: digits would be arithmetic. */
const unique = (): string => `tides ${"again ".repeat((asked += 1))}`.trim();

/** What a metered tool gave to one user, and whether it ran for the other one. */
async function searches(at: House, through: (as: Tenant, query: string) => Promise<unknown>): Promise<number[]> {
  const [one, two, query] = [await at.newTenant(), await at.newTenant(), unique()];
  const ran: number[] = [];
  for (const who of [one, one, two]) {
    const before = Number(internet.stats()[SITE]);
    await through(who, query);
    await untilKept(at, one);
    ran.push(Number(internet.stats()[SITE]) - before);
  }
  return ran;
}

/** A tool's result is written behind its reply. */
async function untilKept(at: House, user: Tenant): Promise<void> {
  const admin = await at.newTenant("admin");
  const total = async () => {
    const response = await at.call(`/cache/keys?layer=mcp&tool=web_search&user=${user.id}`, { as: admin });
    return EntryList.parse(await response.json()).total;
  };
  await expect.poll(total, { timeout: 10_000 }).toBe(1);
}

const callTool =
  (at: House, more: object = {}) =>
  async (as: Tenant, query: string) => {
    const body = { tool_name: "web_search", input_data: { query }, ...more };
    expect(ToolCallReply.parse(await (await at.call("/mcp/tools/call", { as, body })).json()).success).toBe(true);
  };

/** The model is asked each time; its tool need not be. */
const chat =
  (at: House, more: object = {}) =>
  async (as: Tenant, query: string) => {
    const prompt = `Search the web for ${query}`;
    const body = { prompt, session_id: await openSession(at, as), cache: more };
    const text = await (await at.call("/chat", { as, body })).text();
    expect(text).toContain("Result 1");
  };

/** With a first message of its own, so that an answer of this session is found by nobody else. */
async function openSession(at: House, as: Tenant): Promise<string> {
  const response = await at.call("/chat", { as, body: { prompt: `Hello ${unique()}`, cache: { mode: "no-store" } } });
  await response.text();
  return String(response.headers.get("x-session-id"));
}

test("[CACHE-5] a metered tool's result is for all users", async () => {
  expect(await searches(house, callTool(house))).toEqual([1, 0, 0]);
  expect(await searches(house, chat(house))).toEqual([1, 0, 0]);
});

test("[CACHE-5] [S15] scope: user keeps a tool's result for its user", async () => {
  expect(await searches(house, chat(house, { scope: "user" }))).toEqual([1, 0, 1]);
  expect(await searches(house, callTool(house, { cache: { scope: "user" } }))).toEqual([1, 0, 1]);
});

test("[CACHE-5] a tool that is called directly obeys Cache-Control, and its reply says how old and why not", async () => {
  const [who, query] = [await house.newTenant(), unique()];
  const ask = async (control: string) => {
    const body = { tool_name: "web_search", input_data: { query } };
    const response = await house.call("/mcp/tools/call", { as: who, body, headers: { "cache-control": control } });
    await response.text();
    const [verdict, age] = ["x-cache", "age"].map((name) => response.headers.get(name));
    return { status: response.status, verdict, age, why: cacheReason(response.headers) };
  };
  const none = { age: null };
  expect(await ask("only-if-cached")).toMatchObject({ status: 504, ...none });
  expect(await ask("no-store")).toMatchObject({ status: 200, verdict: "BYPASS", why: "asked", ...none });
  expect(await ask("max-age=60")).toMatchObject({ status: 200, verdict: "MISS", why: "absent", ...none });
  await untilKept(house, who);
  expect(await ask("only-if-cached")).toMatchObject({
    status: 200,
    verdict: "HIT",
    age: expect.stringMatching(/^\d+$/),
  });
  expect(await ask("no-cache")).toMatchObject({ status: 200, verdict: "BYPASS", why: "asked", ...none });
  expect(await ask("max-age=0")).toMatchObject({ status: 200, verdict: "MISS", why: "too_old", ...none });
});

describe("CACHE_SCOPE=user", () => {
  let closed: House;
  beforeAll(async () => {
    closed = await openHouse({ internet, settings: { CACHE_SCOPE: "user", BRAVE_API_KEY: SEARCH_KEY } });
  });
  afterAll(() => closed.close());

  test("[CACHE-5] [S15] a tool's result is given to nobody but its user, through whichever door", async () => {
    expect(await searches(closed, callTool(closed))).toEqual([1, 0, 1]);
    expect(await searches(closed, chat(closed))).toEqual([1, 0, 1]);
  });
});
