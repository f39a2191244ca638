/** What health tells: of a deployment that is whole, and with each dependency down, slow, or refusing our credentials. */
import { randomBytes } from "node:crypto";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { Liveness, Readiness, ReadinessDetails } from "../contracts/health.ts";
import { scrapeUntil } from "./exposition.ts";
import { type House, openHouse, type Tenant, untilRows } from "./house.ts";

const METRICS_TOKEN = randomBytes(24).toString("base64url");
const keeper = { authorization: `Bearer ${METRICS_TOKEN}` };

let house: House;
beforeAll(async () => {
  house = await openHouse({ settings: { METRICS_TOKEN } });
});
afterAll(() => house.close());
afterEach(() => {
  for (const service of [house.llm, house.redis, house.neon]) service.control({ mode: "up", latencyMs: 0 });
});

async function examine(of = house) {
  const response = await of.call("/health/ready", { headers: keeper });
  const details = ReadinessDetails.parse(await response.json());
  const states = Object.fromEntries(Object.entries(details.dependencies).map(([name, { status }]) => [name, status]));
  return { http: response.status, status: details.status, states, details };
}

/** Of these services together. */
const calls = () => [house.llm, house.redis, house.neon].map((service) => service.stats().calls);
const prompts = () => house.llm.stats()["prompt_chars"];
const WHOLE = { llm_agent: "healthy", postgres: "healthy", mcp: "healthy", redis: "healthy" };

test("[HEALTH-1] /health says that it runs, to anyone, and asks nobody", async () => {
  const before = calls();
  const response = await house.call("/health");
  expect([response.status, Liveness.parse(await response.json())]).toEqual([
    200,
    { status: "healthy", configuration: [] },
  ]);
  expect(calls()).toEqual(before);
});

test("[HEALTH-2] /health/ready tells anyone whether chat can be served; details only admins and the scrape token", async () => {
  const [as, admin] = [await house.newTenant(), await house.newTenant("admin")];
  const told = async (options: Parameters<House["call"]>[1]) => (await house.call("/health/ready", options)).json();
  for (const options of [{}, { as }, { headers: { authorization: "Bearer nonsense" } }]) {
    expect(Readiness.parse(await told(options))).toEqual({ status: "healthy" });
  }
  expect(ReadinessDetails.parse(await told({ as: admin })).status).toBe("healthy");
  const { details } = await examine();
  expect(details).toMatchObject({
    dead_letters: 0,
    outbox: { sessions: 0, messages: 0, oldest_seconds: 0 },
    configuration: [],
  });
  expect(details.schema.found).toBe(details.schema.expected);
  expect(details.providers.map(({ provider, nodes }) => [provider, nodes[0]?.breaker])).toEqual([["openai", "closed"]]);
  expect(JSON.stringify(details)).not.toMatch(/https?:|127\.0\.0\.1|localhost|local-/);
});

test("[HEALTH-7] what every user is told of parts is their state: no address, no host, no version, up or down", async () => {
  const as = await house.newTenant();
  const settings = await openHouse({ settings: { METRICS_TOKEN, LLM_TYPE: "nobody" } });
  const hosts = [house.llm, house.redis, house.neon].map(({ url }) => new URL(url));
  const secret = [
    ...hosts.flatMap(({ host, port }) => [host, port]),
    "127.0.0.1",
    "localhost",
    "://",
    "neon",
    "upstash",
  ];
  const tellings = async (of: House, who: Tenant) => {
    const paths = ["/llm/health", "/history/health", "/cache/health", "/mcp/health", "/chat/health"];
    return Promise.all(paths.map(async (path) => (await of.call(path, { as: who })).text()));
  };
  try {
    const told = [...(await tellings(house, as)), ...(await tellings(settings, await settings.newTenant()))];
    for (const mode of ["down", "status.401"]) {
      house.llm.control({ mode });
      if (mode === "down") house.redis.control({ mode });
      told.push(...(await tellings(house, as)));
    }
    house.neon.control({ mode: "down" });
    told.push(...(await tellings(house, as)));
    for (const text of told) {
      expect(JSON.parse(text)).toHaveProperty("status");
      expect(text).not.toMatch(/\d+\.\d+\.\d+/);
      for (const word of secret) expect(text.toLowerCase()).not.toContain(word);
    }
  } finally {
    await settings.close();
  }
});

test("[HEALTH-3] whoever has no right to details cannot have the parts asked again and again", async () => {
  await examine();
  const before = calls();
  for (let at = 0; at < 20; at += 1) await house.call("/health/ready");
  // One more look at most, should two seconds have passed meanwhile.
  expect(calls()[0]).toBeLessThanOrEqual((before[0] ?? 0) + 1);
});

test.each([
  ["redis", "down", { http: 200, status: "degraded", states: { ...WHOLE, redis: "unhealthy" } }],
  ["redis", "401", { http: 200, status: "degraded", states: { ...WHOLE, redis: "unhealthy" } }],
  ["neon", "down", { http: 200, status: "degraded", states: { ...WHOLE, postgres: "unhealthy" } }],
  ["neon", "err:28P01", { http: 200, status: "degraded", states: { ...WHOLE, postgres: "unhealthy" } }],
  ["llm", "down", { http: 503, status: "unhealthy", states: { ...WHOLE, llm_agent: "unhealthy" } }],
  ["llm", "status.401", { http: 503, status: "unhealthy", states: { ...WHOLE, llm_agent: "unhealthy" } }],
] as const)(
  "[HEALTH-4] %s %s: told of, never by a paid call, and over when it is back",
  async (service, mode, expected) => {
    const before = prompts();
    house[service].control({ mode });
    expect(await examine()).toMatchObject(expected);
    house[service].control({ mode: "up" });
    expect(await examine()).toMatchObject({ http: 200, status: "healthy", states: WHOLE });
    expect(prompts()).toBe(before);
  },
);

test.each(["status.401", "login", "html200"])(
  "[F8] [HEALTH-4] a provider that answers %s is told of by its name, and asked for no answer",
  async (mode) => {
    const before = prompts();
    house.llm.control({ mode });
    const { http, status, details } = await examine();
    expect([http, status, details.dependencies["llm_agent"]?.status]).toEqual([503, "unhealthy", "unhealthy"]);
    expect(details.providers).toMatchObject([{ provider: "openai", status: "degraded" }]);
    const admin = await house.newTenant("admin");
    const told = await house.call("/llm/health", { as: admin });
    const text = await told.text();
    expect([told.status, text.includes('"degraded"'), text.includes('"healthy"')]).toEqual([503, true, false]);
    house.llm.control({ mode: "up" });
    expect((await examine()).details.providers).toMatchObject([{ provider: "openai", status: "healthy" }]);
    expect(prompts()).toBe(before);
  },
);

test("[HEALTH-5] parts that do not answer are given up, all at once, and told as unhealthy", async () => {
  for (const service of [house.llm, house.redis, house.neon]) service.control({ latencyMs: 60_000 });
  const { http, states } = await examine();
  expect([http, states]).toEqual([
    503,
    { llm_agent: "unhealthy", postgres: "unhealthy", mcp: "healthy", redis: "unhealthy" },
  ]);
});

test.each([
  ["llm", "llm_agent", 503],
  ["redis", "redis", 200],
  ["neon", "postgres", 200],
] as const)(
  "[HEALTH-5] %s alone does not answer: it is unhealthy, and nothing else is",
  async (service, name, status) => {
    house[service].control({ latencyMs: 60_000 });
    const { http, states } = await examine();
    expect([http, states]).toEqual([status, { ...WHOLE, [name]: "unhealthy" }]);
  },
);

/** The Worker of the tools with nothing in it but what is said here. */
const toolsThat = (answer: string) => `
  import { DurableObject, WorkerEntrypoint } from "cloudflare:workers";
  export class McpSessionObject extends DurableObject {}
  export class ToolboxObject extends DurableObject {}
  export class MonitorObject extends DurableObject {}
  export class ToolboxEntrypoint extends WorkerEntrypoint {}
  export default { async fetch() { ${answer} } };`;

test.each([
  ["cannot be reached", 'throw new Error("away");'],
  ["does not answer", "return new Promise((resolve) => setTimeout(resolve, 600_000));"],
])("[HEALTH-4] [HEALTH-5] a Worker of the tools that %s: it alone is unhealthy", async (_how, answer) => {
  const toolless = await openHouse({ settings: { METRICS_TOKEN }, mcpScript: toolsThat(answer) });
  try {
    expect(await examine(toolless)).toMatchObject({
      ...{ http: 200, status: "degraded", states: { ...WHOLE, mcp: "unhealthy" } },
    });
    const as = await toolless.newTenant();
    expect(await (await toolless.call("/mcp/health", { as })).json()).toMatchObject({ status: "unhealthy" });
  } finally {
    await toolless.close();
  }
});

test("[HEALTH-4] wrong credentials and malformed settings of the other Workers are told of, without a value", async () => {
  const settings = { METRICS_TOKEN, OPENAI_API_KEY: "not-the-key", UPSTASH_REDIS_REST_TOKEN: "not-the-token" };
  const wrong = await openHouse({ settings: { ...settings, MCP_ALLOWED_ORIGINS: "nowhere/x", LLM_TYPE: "nobody" } });
  try {
    const { http, states, details } = await examine(wrong);
    expect([http, states]).toEqual([
      503,
      { llm_agent: "unhealthy", postgres: "healthy", mcp: "unhealthy", redis: "unhealthy" },
    ]);
    expect(details.configuration).toEqual(["LLM_TYPE is malformed", "llm-agent: LLM_TYPE is malformed"]);
    expect(JSON.stringify(details)).not.toMatch(/not-the|nowhere/);
    const anyone = await wrong.call("/health");
    expect([anyone.status, await anyone.json()]).toEqual([
      200,
      { status: "degraded", configuration: ["LLM_TYPE is malformed"] },
    ]);
  } finally {
    await wrong.close();
  }
});

test("[HEALTH-6] a breaker that is open and what is owed to Postgres are told", async () => {
  const as: Tenant = await house.newTenant();
  const say = async (prompt: string) => (await house.call("/chat", { as, body: { prompt } })).text();
  await say("Hello");
  await untilRows(house, 2, "select 1 from messages where user_id = $1", as.id);
  house.redis.control({ mode: "500" });
  house.neon.control({ mode: "down" });
  for (const prompt of ["One", "Two", "Three"]) await say(prompt);
  // A session tells what it owes once it has tried in vain, behind its reply.
  let { details } = await examine();
  while ((details.outbox?.sessions ?? 0) < 3) ({ details } = await examine());
  expect(details.breakers).toMatchObject({ redis: 1, openai: 0 });
  expect(details.outbox).toMatchObject({ sessions: 3, messages: 6 });
  house.redis.control({ mode: "up" });
  house.neon.control({ mode: "up" });
  const admin = await house.newTenant("admin");
  await scrapeUntil(house, admin, ({ sum }) => sum("basechat_outbox_sessions") === 0);
  expect((await examine()).details.outbox).toEqual({ sessions: 0, messages: 0, oldest_seconds: 0 });
});
