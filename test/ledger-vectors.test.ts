/** Vectors that are made on a user's behalf without being asked for: by the cache and by the knowledge base. The provider's bill is the truth. */
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { ToolCallReply } from "../contracts/toolbox.ts";
import { type House, openHouse, type Tenant, untilRows } from "./house.ts";

const MODELS = JSON.stringify({ models: { demo: {}, embed: { price: { input: 10, output: 0 } } } });
const VECTORS = { CACHE_SEMANTIC_MODEL: "embed", KNOWLEDGE_EMBEDDING_MODEL: "embed" };

let house: House;
beforeAll(async () => {
  house = await openHouse({ settings: { MODELS, ...VECTORS } });
});
afterAll(() => house.close());
beforeEach(async () => {
  for (const standIn of [house.llm, house.neon, house.redis]) await standIn.until((stats) => stats.in_flight === 0);
});

const billed = (): number => Number(house.llm.stats()["billed_tokens"]);
const ledgerOf = (who: Tenant, rows: number) =>
  untilRows(house, rows, "select * from usage where user_id = $1 order by kind", who.id);
const tokensOf = (rows: Record<string, unknown>[]): number =>
  rows.reduce((sum, row) => sum + Number(row["prompt_tokens"]) + Number(row["completion_tokens"]), 0);
const callTool = async (as: Tenant, tool_name: string, input_data: unknown) =>
  ToolCallReply.parse(await (await house.call("/mcp/tools/call", { as, body: { tool_name, input_data } })).json());

test("[LEDGER-13] a question's vector is its user's, of a hit by meaning as well; a turn that asks for none has none", async () => {
  const [maker, finder] = [await house.newTenant(), await house.newTenant()];
  const before = billed();
  const ask = async (as: Tenant, prompt: string) => {
    const response = await house.call("/chat", { as, body: { prompt } });
    await response.text();
    return response.headers.get("x-cache");
  };
  expect(await ask(maker, "How do I audit my otter?")).toBe("MISS");
  await untilRows(house, 1, "select 1 from semantic_questions where user_id = $1", maker.id);
  expect(await ask(finder, "what is the way to audit my otter")).toBe("HIT");
  const [made, found] = [await ledgerOf(maker, 2), await ledgerOf(finder, 1)];
  const vector = { kind: "embedding", session_id: null, turn_id: null, model: "embed", provider: "openai" };
  expect(made).toMatchObject([{ ...vector, is_estimated: false, completion_tokens: 0 }, { kind: "turn" }]);
  expect(found).toMatchObject([vector]);
  expect(found[0]?.["cost_usd"]).toBeCloseTo((10 * Number(found[0]?.["prompt_tokens"])) / 1e6, 12);
  expect(tokensOf([...made, ...found])).toBe(billed() - before);
  // By its key the answer is found without a vector.
  expect(await ask(finder, "How do I audit my otter?")).toBe("HIT");
  expect(await ledgerOf(finder, 1)).toHaveLength(1);
});

test("[LEDGER-13] the knowledge base's vectors are the caller's: from the API, from a turn, from a client of the protocol", async () => {
  const who = await house.newTenant();
  const before = billed();
  const text = "Otters hold hands while they sleep. ".repeat(60);
  expect(await callTool(who, "add_document", { title: "Otters", text })).toMatchObject({ success: true });
  await callTool(who, "search_documents", { query: "otters asleep" });
  expect(await ledgerOf(who, 2)).toMatchObject([{ kind: "embedding" }, { kind: "embedding" }]);
  const client = new Client({ name: "test", version: "1" });
  const requestInit = { headers: { authorization: `Bearer ${who.apiKey}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL("/mcp", house.url), { requestInit }));
  await client.callTool({ name: "search_documents", arguments: { query: "hands" } });
  await client.close();
  const rows = await ledgerOf(who, 3);
  expect(rows.map(({ kind, model, is_estimated }) => [kind, model, is_estimated])).toEqual(
    Array.from({ length: 3 }, () => ["embedding", "embed", false]),
  );
  expect(tokensOf(rows)).toBe(billed() - before);
  for (const { cost_usd, prompt_tokens } of rows) expect(cost_usd).toBeCloseTo((10 * Number(prompt_tokens)) / 1e6, 12);
});

test("[LEDGER-13] they wait a little for Postgres, and come once", async () => {
  const who = await house.newTenant();
  // The account knows the user from here on.
  await callTool(who, "search_documents", { query: "otters" });
  await ledgerOf(who, 1);
  const { calls } = house.neon.stats();
  house.neon.control({ mode: "lost" }); // done, but nobody is told
  await callTool(who, "search_documents", { query: "otters awake" });
  await house.neon.until((stats) => stats.calls >= calls + 2 && stats.in_flight === 0);
  house.neon.control({ mode: "up" });
  const tried = house.neon.stats().calls;
  await house.neon.until((stats) => stats.calls > tried && stats.in_flight === 0);
  expect(await ledgerOf(who, 2)).toHaveLength(2);
});

test("[LEDGER-13] vectors that came to nothing are counted by estimate", async () => {
  const cut = await openHouse({ settings: { KNOWLEDGE_EMBEDDING_MODEL: "demo:cut.1" } });
  try {
    const as = await cut.newTenant();
    const body = { tool_name: "search_documents", input_data: { query: "otters of the coast" } };
    expect((await cut.call("/mcp/tools/call", { as, body })).status).toBe(200);
    const [row] = await untilRows(cut, 1, "select * from usage where user_id = $1", as.id);
    expect(row).toMatchObject({ kind: "embedding", is_estimated: true, provider: null, cost_usd: null });
    expect(row?.["prompt_tokens"]).toBe(cut.llm.stats()["billed_tokens"]);
  } finally {
    await cut.close();
  }
});
