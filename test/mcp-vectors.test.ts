/** The knowledge base with embeddings: words and meaning together, and words alone where there is no vector. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ToolCallReply, ToolsReply } from "../contracts/toolbox.ts";
import { type House, openHouse, type Tenant } from "./house.ts";

let house: House;
beforeAll(async () => {
  house = await openHouse({ settings: { KNOWLEDGE_EMBEDDING_MODEL: "demo" } });
});
afterAll(() => house.close());

async function callTool(as: Tenant, tool_name: string, input_data: unknown) {
  const reply = await house.call("/mcp/tools/call", { as, body: { tool_name, input_data } });
  return ToolCallReply.parse(await reply.json());
}
const search = async (as: Tenant, query: string, more = {}) =>
  (await callTool(as, "search_documents", { query, ...more })).content;
async function add(as: Tenant, title: string, text: string, more = {}): Promise<string> {
  const { success, content } = await callTool(as, "add_document", { title, text, ...more });
  expect(success, content).toBe(true);
  return (JSON.parse(content) as { document_id: string }).document_id; // of the tool
}
const titlesOf = (content: string) => [...content.matchAll(/^## (\w+)/gm)].map(([, title]) => title);
/** Full text takes these letters for another word; the model of vectors does not. */
const wide = (text: string) =>
  text.replaceAll(/[a-z]/g, (letter) => String.fromCodePoint(letter.charCodeAt(0) + 0xfee0));

describe("[MCP-20] with embeddings", () => {
  test("finds what has none of the query's words, and nothing that is far from it", async () => {
    const as = await house.newTenant();
    await add(as, "Refunds", "refund takes five days");
    await add(as, "Harbour", "boats leave at six");
    expect(titlesOf(await search(as, wide("refund days")))).toEqual(["Refunds"]);
    expect(await search(as, wide("zeppelin"))).toContain("Nothing was found.");
    const { tools } = ToolsReply.parse(await (await house.call("/mcp/tools/list", { as })).json());
    expect(tools.find(({ name }) => name === "search_documents")?.description).toContain("meaning");
  });

  test("puts first what both lists have", async () => {
    const as = await house.newTenant();
    const filler = Array.from({ length: 60 }, (_, at) => `filler${at}`).join(" ");
    await add(as, "Words", `walrus walrus walrus ${filler}`);
    await add(as, "Both", "walrus songs");
    await add(as, "Meaning", wide("walrus songs"));
    expect(titlesOf(await search(as, "walrus songs"))).toEqual(["Both", expect.any(String), expect.any(String)]);
  });

  test("shows nobody else's, keeps collections apart, and forgets what is deleted", async () => {
    const [as, other, admin] = [await house.newTenant(), await house.newTenant(), await house.newTenant("admin")];
    const query = wide("quagmire depth");
    const id = await add(as, "Mine", "quagmire depth", { collection: "bogs" });
    expect(await search(other, query)).toContain("Nothing was found.");
    await add(admin, "Shared", "quagmire depth", { shared: true });
    expect(titlesOf(await search(other, query))).toEqual(["Shared"]);
    expect(titlesOf(await search(as, query, { collection: "bogs" }))).toEqual(["Mine"]);
    expect(titlesOf(await search(as, query, { limit: 1 }))).toHaveLength(1);
    await callTool(as, "delete_document", { document_id: id });
    expect(titlesOf(await search(as, query))).toEqual(["Shared"]);
    await house.call(`/history/users/${admin.id}`, { as: admin, method: "DELETE" });
    expect(await search(as, query)).toContain("Nothing was found.");
  });

  test("takes the longest document in one piece of work, and vectors of another model or length for none", async () => {
    const as = await house.newTenant();
    const before = house.llm.stats().calls;
    const id = await add(as, "Long", `${"lorem ipsum ".repeat(16_000)} granite`);
    expect(house.llm.stats().calls - before).toBe(1);
    const rows = await house.sql`select model from chunk_vectors where document_id = ${id}`;
    expect(rows.length).toBeGreaterThan(150);
    await house.sql`update chunk_vectors set model = 'another', embedding = '[1,2,3]' where document_id = ${id}`;
    expect(titlesOf(await search(as, "granite"))).toEqual(["Long"]);
    expect(await search(as, wide("granite"))).toContain("Nothing was found.");
    await house.sql`update chunk_vectors set model = 'demo' where document_id = ${id}`;
    expect(titlesOf(await search(as, "granite"))).toEqual(["Long"]);
  });
});

describe("[MCP-20] without a vector", () => {
  test("a model that fails leaves words, for documents and for queries", async () => {
    const as = await house.newTenant();
    house.llm.control({ mode: "status.500" });
    await add(as, "Plain", "obelisk height");
    expect(titlesOf(await search(as, "obelisk"))).toEqual(["Plain"]);
    house.llm.control({ mode: "up" });
    expect(titlesOf(await search(as, "obelisk"))).toEqual(["Plain"]);
    expect(await search(as, wide("obelisk height"))).toContain("Nothing was found.");
    expect(house.lines.filter(({ route }) => route === "embeddings")).toContainEqual(
      expect.objectContaining({ service: "mcp", error: "upstream_error" }),
    );
  });

  test("a database without pgvector does, too", async () => {
    const as = await house.newTenant();
    await house.sql`alter table chunk_vectors rename to away`;
    await add(as, "Early", "basalt column");
    expect(titlesOf(await search(as, "basalt"))).toEqual(["Early"]);
    await house.sql`alter table away rename to chunk_vectors`;
    expect(titlesOf(await search(as, "basalt"))).toEqual(["Early"]);
  });

  test("a database that is away is a failure all the same", async () => {
    const as = await house.newTenant();
    await search(as, "warm");
    house.neon.control({ mode: "down" });
    expect(await callTool(as, "search_documents", { query: "x" })).toMatchObject({ code: "upstream_error" });
    house.neon.control({ mode: "up" });
  });
});
