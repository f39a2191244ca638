/** What tools know of the caller: the knowledge base, the history, own sessions as resources; and tools that a user has switched off. */
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ResourceUpdatedNotificationSchema } from "@modelcontextprotocol/sdk/types.js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ChatReply } from "../contracts/chat.ts";
import { ToolCallReply, ToolsReply } from "../contracts/toolbox.ts";
import { ErasedUser } from "../contracts/users.ts";
import { type House, openHouse, type Tenant, untilRows } from "./house.ts";

let house: House;
beforeAll(async () => {
  house = await openHouse();
});
afterAll(() => house.close());

async function callTool(as: Tenant, tool_name: string, input_data: unknown) {
  return ToolCallReply.parse(
    await (await house.call("/mcp/tools/call", { as, body: { tool_name, input_data } })).json(),
  );
}
const search = (as: Tenant, query: string, more = {}) => callTool(as, "search_documents", { query, ...more });
async function add(as: Tenant, document: object): Promise<string> {
  const { success, content } = await callTool(as, "add_document", document);
  expect(success, content).toBe(true);
  return (JSON.parse(content) as { document_id: string }).document_id; // of the tool
}

describe("[MCP-15] the knowledge base", () => {
  test("finds a document by any of its words, the best first, marked as data", async () => {
    const as = await house.newTenant();
    await add(as, { title: "Refunds", text: "A refund takes five days. Ask the harbour master." });
    await add(as, { title: "Opening hours", text: "The harbour opens at six." });
    const { content } = await search(as, "how many days does a refund take?");
    expect(content.indexOf("## Refunds")).toBeGreaterThan(0);
    expect(content).toMatch(/^<<<data from the tool search_documents/);
    expect((await search(as, "harbour")).content).toContain("## Opening hours");
    expect((await search(as, "zeppelin")).content).toContain("Nothing was found.");
  });

  test("shows nobody else's documents, but for those that an admin shares", async () => {
    const [as, other, admin] = [await house.newTenant(), await house.newTenant(), await house.newTenant("admin")];
    const id = await add(as, { title: "Mine", text: "The word is quagmire." });
    expect((await search(other, "quagmire")).content).toContain("Nothing was found.");
    expect(await callTool(other, "delete_document", { document_id: id })).toMatchObject({ success: false });
    expect(await callTool(as, "add_document", { title: "All", text: "x", shared: true })).toMatchObject({
      success: false,
    });
    const shared = await add(admin, { title: "For all", text: "The word is obelisk.", shared: true });
    expect((await search(other, "obelisk")).content).toContain("## For all (default, shared");
    expect((await search(as, "quagmire")).content).toContain("## Mine");
    expect(await callTool(as, "delete_document", { document_id: id })).toMatchObject({ success: true });
    expect((await search(as, "quagmire")).content).toContain("Nothing was found.");
    const theirs = await add(as, { title: "Mine", text: "The word is quagmire." });
    const anotherAdmin = await house.newTenant("admin");
    expect(await callTool(other, "delete_document", { document_id: shared })).toMatchObject({ success: false });
    expect(await callTool(anotherAdmin, "delete_document", { document_id: theirs })).toMatchObject({ success: false });
    expect(await callTool(anotherAdmin, "delete_document", { document_id: shared })).toMatchObject({ success: true });
    expect((await search(other, "obelisk")).content).toContain("Nothing was found.");
  });

  test("keeps collections apart, and documents of any length and any text", async () => {
    const as = await house.newTenant();
    await add(as, { title: "One", text: "basalt", collection: "stones" });
    await add(as, { title: "Two", text: "basalt", collection: "words" });
    expect((await search(as, "basalt", { collection: "stones" })).content).not.toContain("## Two");
    await add(as, { title: "Long\u0000", text: `start ${"lorem ipsum ".repeat(15_000)} granite\u0000 \ud83d` });
    expect((await search(as, "granite")).content).toContain("## Long\ufffd");
    expect(await callTool(as, "add_document", { title: "Too long", text: "x".repeat(200_001) })).toMatchObject({
      code: "invalid_arguments",
    });
    for (const query of ["' OR 1=1 --", "a & | ! b", "()", "\u0000", "%", "\\", "🙂"]) {
      expect(await search(as, query)).toMatchObject({ success: true });
    }
  });

  test("is erased with its user, and counted", async () => {
    const as = await house.newTenant();
    await add(as, { title: "Gone", text: "soon" });
    const erased = await house.call(`/history/users/${as.id}`, { as, method: "DELETE" });
    expect(ErasedUser.parse(await erased.json())).toMatchObject({ removed: { postgres: { documents: 1 } } });
    expect(await house.sql`select 1 from documents where user_id = ${as.id}`).toEqual([]);
  });

  test("away is a failure without the database's words", async () => {
    const as = await house.newTenant();
    await search(as, "warm");
    house.neon.control({ mode: "down" });
    expect(await search(as, "refund")).toMatchObject({ success: false, code: "upstream_error" });
    house.neon.control({ mode: "up" });
    expect(await search(as, "refund")).toMatchObject({ success: true });
  });
});

async function chat(as: Tenant, prompt: string): Promise<string> {
  const { session_id } = ChatReply.parse(await (await house.call("/chat", { as, body: { prompt } })).json());
  await untilRows(house, 2, "select 1 from messages where session_id = $1", session_id);
  return session_id;
}

async function connect(as: Tenant): Promise<Client> {
  const client = new Client({ name: "test", version: "1.0.0" });
  const headers = { authorization: `Bearer ${as.apiKey}` };
  await client.connect(new StreamableHTTPClientTransport(new URL("/mcp", house.url), { requestInit: { headers } }));
  return client;
}

/** A client whose standing stream is open. */
async function listen(as: Tenant) {
  const client = new Client({ name: "test", version: "1.0.0" });
  const told: string[] = [];
  const [heard, listening] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => {
    told.push(params.uri);
    heard.resolve();
  });
  const requestInit = { headers: { authorization: `Bearer ${as.apiKey}` } };
  const observed = async (url: string | URL, init?: RequestInit) => {
    const response = await fetch(url, init);
    if (init?.method === "GET") listening.resolve();
    return response;
  };
  await client.connect(new StreamableHTTPClientTransport(new URL("/mcp", house.url), { requestInit, fetch: observed }));
  await listening.promise;
  return Object.assign(client, { told, heard: () => heard.promise });
}

describe("[MCP-16] the history", () => {
  test("is searched for the caller's own messages alone", async () => {
    const [as, other] = [await house.newTenant(), await house.newTenant()];
    const session = await chat(as, "Tell me about the aardvark");
    const found = await callTool(as, "search_history", { query: "aardvark" });
    expect(found).toMatchObject({ success: true });
    expect(found.content).toContain(session);
    expect((await callTool(other, "search_history", { query: "aardvark" })).content).toContain("Nothing was found.");
    expect((await callTool(as, "search_history", { query: "-aardvark" })).content).toContain("Nothing was found.");
  });

  test("is there as resources, the caller's own sessions, and as a prompt over one", async () => {
    const [as, other] = [await house.newTenant(), await house.newTenant()];
    const session = await chat(as, "Tell me about the ocelot");
    const [client, stranger] = [await connect(as), await connect(other)];
    const uri = `basechat://sessions/${session}`;
    expect((await client.listResources()).resources.map((resource) => resource.uri)).toEqual([uri]);
    expect((await stranger.listResources()).resources).toEqual([]);
    expect(JSON.stringify(await client.readResource({ uri }))).toContain("ocelot");
    await expect(stranger.readResource({ uri })).rejects.toThrow("Resource not found");
    await expect(client.readResource({ uri: `${uri}x` })).rejects.toThrow("Resource not found");
    const prompt = { name: "summarize_session", arguments: { session_id: session } };
    expect(JSON.stringify((await client.getPrompt(prompt)).messages)).toContain("ocelot");
    await expect(stranger.getPrompt(prompt)).rejects.toThrow("An argument names what is not there");
    await Promise.all([client.close(), stranger.close()]);
  });
});

describe("[MCP-25] a client that has subscribed to one of its user's sessions", () => {
  test("is told of a change with its next request that finds the database, and of nobody else's", async () => {
    const [as, other] = [await house.newTenant(), await house.newTenant()];
    const session = await chat(as, "Tell me about the ibex");
    const [client, stranger] = [await listen(as), await listen(other)];
    const uri = `basechat://sessions/${session}`;
    for (const one of [client, stranger]) await one.subscribeResource({ uri });
    await (await house.call("/chat", { as, body: { prompt: "And the chamois?", session_id: session } })).text();
    await untilRows(house, 4, "select 1 from messages where session_id = $1", session);
    house.neon.control({ mode: "down" });
    await client.listTools();
    house.neon.control({ mode: "up" });
    await stranger.listTools();
    await client.listTools();
    await client.heard();
    expect(client.told[0]).toBe(uri);
    expect(stranger.told).toEqual([]);
    await Promise.all([client.close(), stranger.close()]);
  });

  test("may have 32 subscriptions", async () => {
    const client = await listen(await house.newTenant());
    const uriOf = (at: number) => ({ uri: `test://${at}` });
    for (let at = 0; at < 32; at += 1) await client.subscribeResource(uriOf(at));
    await expect(client.subscribeResource(uriOf(32))).rejects.toMatchObject({ code: -32602 });
    await client.subscribeResource(uriOf(0));
    await client.unsubscribeResource(uriOf(0));
    await client.subscribeResource(uriOf(32));
    await client.close();
  });
});

test("[MCP-7] a user switches a tool off for oneself, by every door and for models, and nobody else notices", async () => {
  const [as, other] = [await house.newTenant(), await house.newTenant()];
  const path = `/history/users/${as.id}/preferences`;
  await house.call(path, { as, method: "PUT", body: { disabled_tools: ["calculator"] } });
  expect(await callTool(as, "calculator", { expression: "1+1" })).toMatchObject({ success: false, code: "disabled" });
  expect(await callTool(other, "calculator", { expression: "1+1" })).toMatchObject({ success: true });
  const { tools } = ToolsReply.parse(await (await house.call("/mcp/tools/list", { as })).json());
  expect(tools.find(({ name }) => name === "calculator")).toMatchObject({ enabled: false });
  const client = await connect(as);
  expect((await client.listTools()).tools.map(({ name }) => name)).not.toContain("calculator");
  await client.close();
  await (await house.call("/chat", { as, body: { prompt: "Hello there", cache: { mode: "no-store" } } })).text();
  expect(JSON.stringify(house.llm.stats().last_request)).not.toContain('"calculator"');
  await (await house.call("/chat", { as: other, body: { prompt: "Hello there", cache: { mode: "no-store" } } })).text();
  expect(JSON.stringify(house.llm.stats().last_request)).toContain('"calculator"');
  await house.call(path, { as, method: "PUT", body: {} });
  expect(await callTool(as, "calculator", { expression: "1+1" })).toMatchObject({ success: true });
});
