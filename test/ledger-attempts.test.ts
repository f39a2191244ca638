/**
 * The ledger of calls that took several attempts: what nodes took that were given up, and what refusals do not cost. One stand-in plays the
 * node that is asked first, the house's own one whoever answers.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { serveLlm } from "../dev/stand-ins/llm.ts";
import type { StandIn } from "../dev/stand-ins/serve.ts";
import { type House, openHouse, type Tenant, untilRows } from "./house.ts";

/** Long enough for figures about it to be near each other. */
const PROMPT = "Tell me what the ledger says of attempts that came to nothing. ".repeat(20);
const UNUSABLE = ["stall.first", "cut.0"];
/** With vLLM's figures in every chunk the ledger is as exact as the bill. */
const BROKEN = ["cut.3", "drop.3", "stall.3"];
const REFUSALS = ["status.500", "status.401", "429.ra.0", "unknown"];

let house: House;
let first: StandIn;
beforeAll(async () => {
  first = await serveLlm({ apiKey: "first-key", pace: { firstTokenMs: 0, tokensPerSecond: Number.POSITIVE_INFINITY } });
  // A provider of its own for each: one that fails three times in a row is passed by.
  const providers: Record<string, object> = { away: { kind: "vllm", nodes: ["http://127.0.0.1:9/v1"] } };
  const keys: Record<string, string> = {};
  const after = (fault: string, next = "demo") => {
    const provider = `first-${Object.keys(providers).length}`;
    providers[provider] = { kind: "vllm", nodes: [`${first.url}/v1`] };
    keys[provider] = "first-key";
    return {
      routes: [
        { provider, model: `demo:${fault}` },
        { provider: "openai", model: next },
      ],
    };
  };
  const models = {
    ...Object.fromEntries([...UNUSABLE, ...BROKEN, ...REFUSALS].map((fault) => [`after:${fault}`, after(fault)])),
    ...{ silent: after("stall.first", "demo:stall.first"), vectors: after("cut.1") },
    away: {
      routes: [
        { provider: "away", model: "demo" },
        { provider: "openai", model: "demo" },
      ],
    },
  };
  const MODELS = JSON.stringify({ providers, models });
  const timeouts = { LLM_FIRST_TOKEN_TIMEOUT_MS: "2500", LLM_STALL_TIMEOUT_MS: "2500" };
  house = await openHouse({ settings: { MODELS, PROVIDER_KEYS: JSON.stringify(keys), ...timeouts } });
});
afterAll(async () => {
  await house.close();
  await first.close();
});

const billedBy = (of: StandIn): number => Number(of.stats()["billed_tokens"]);
const ledgerOf = (who: Tenant, rows: number) =>
  untilRows(house, rows, "select * from usage where user_id = $1", who.id);
const total = (row: Record<string, unknown> | undefined): number =>
  Number(row?.["prompt_tokens"]) + Number(row?.["completion_tokens"]);
const settled = () => Promise.all([house.llm, first].map((one) => one.until((stats) => stats.in_flight === 0)));

const PATHS = ["/llm/generate", "/llm/generate/stream", "/chat/stream"];
const bodyFor = (path: string, model: string) => ({
  ...{ prompt: PROMPT, model },
  ...(path.startsWith("/chat") && { tools: "none", cache: { mode: "no-store" } }),
});

/** What a call added to the ledger and to the bills of both. */
async function cost(path: string, model: string) {
  const who = await house.newTenant();
  await settled();
  const before = [billedBy(house.llm), billedBy(first)] as const;
  const response = await house.call(path, { as: who, body: bodyFor(path, model) });
  expect(response.status).toBe(200);
  expect(await response.text()).toContain("[demo");
  const [row] = await ledgerOf(who, 1);
  await settled();
  return { row, answered: billedBy(house.llm) - before[0], inVain: billedBy(first) - before[1] };
}

test.each(PATHS)("[LEDGER-12] %s: what a node took that was given up is counted with the answer", async (path) => {
  for (const fault of UNUSABLE) {
    const { row, answered, inVain } = await cost(path, `after:${fault}`);
    expect(row).toMatchObject({ provider: "openai", is_estimated: true });
    const estimate = total(row) - answered;
    expect(inVain).toBeGreaterThan(200);
    expect(estimate).toBeGreaterThan(0.8 * inVain);
    expect(estimate).toBeLessThan(1.2 * inVain);
  }
});

test.each(BROKEN)(
  "[LEDGER-12] [LLM-9] a reply in one piece that broke off by %s is answered elsewhere, and billed to the token",
  async (fault) => {
    const { row, answered, inVain } = await cost("/llm/generate", `after:${fault}`);
    expect(row).toMatchObject({ provider: "openai", is_estimated: true });
    expect([inVain > 0, total(row)]).toEqual([true, answered + inVain]);
  },
);

test.each(PATHS)("[LEDGER-12] %s: a refusal costs nothing, nor does a node that cannot be reached", async (path) => {
  for (const model of [...REFUSALS.map((fault) => `after:${fault}`), "away"]) {
    const { row, answered, inVain } = await cost(path, model);
    expect(inVain).toBe(0);
    expect(row).toMatchObject({ provider: "openai", is_estimated: false });
    expect(total(row)).toBe(answered);
  }
});

test("[LEDGER-12] vectors as well", async () => {
  const who = await house.newTenant();
  const body = { model: "vectors", input: "some words that two models have read" };
  expect((await house.call("/v1/embeddings", { as: who, body })).status).toBe(200);
  const [row] = await ledgerOf(who, 1);
  expect(row).toMatchObject({ kind: "embedding", is_estimated: true, prompt_tokens: 2 * (body.input.length / 4) });
});

test("[LEDGER-12] where nobody answers each attempt is counted, also when the client leaves during the second one", async () => {
  const who = await house.newTenant();
  const path = "/llm/generate/stream";
  const before = { calls: house.llm.stats().calls, billed: billedBy(house.llm) + billedBy(first) };
  await (await house.call(path, { as: who, body: bodyFor(path, "silent") })).text();
  const leaving = new AbortController();
  const left = await house.call(path, { as: who, body: bodyFor(path, "silent"), signal: leaving.signal });
  await house.llm.until((stats) => stats.calls === before.calls + 2);
  leaving.abort();
  await left.text().catch(() => undefined);
  const rows = await ledgerOf(who, 2);
  await settled();
  const billed = billedBy(house.llm) + billedBy(first) - before.billed;
  for (const row of rows) {
    expect(row).toMatchObject({ is_estimated: true, completion_tokens: 0 });
    expect(total(row)).toBeGreaterThan(0.8 * (billed / 2));
    expect(total(row)).toBeLessThan(1.2 * (billed / 2));
  }
});
