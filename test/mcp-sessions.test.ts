/** Sessions of the Model Context Protocol as a client of main has them: whose they are, how they end, and what outlives a lost object. */
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { CreateMessageRequestSchema, ElicitRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { NewApiKey } from "../contracts/users.ts";
import { type House, openHouse, type Tenant } from "./house.ts";

let house: House;
let as: Tenant;
beforeAll(async () => {
  house = await openHouse({ settings: { MCP_CONFORMANCE: "1" } });
  as = await house.newTenant();
});
afterAll(() => house.close());

const VERSION = "2025-11-25";
const FIRST = { protocolVersion: VERSION, capabilities: {}, clientInfo: { name: "test", version: "1" } };
const message = (method: string, params: unknown, id: unknown = 1) => ({ jsonrpc: "2.0", id, method, params });
const callOf = (name: string, args: unknown = {}, id: unknown = 1) =>
  message("tools/call", { name, arguments: args }, id);

interface Options {
  handle?: string | undefined;
  headers?: Record<string, string>;
  who?: Tenant;
  method?: string;
}

function post(body: unknown, { handle, headers = {}, who = as, method }: Options = {}): Promise<Response> {
  return house.call("/mcp", {
    as: who,
    ...(method !== undefined && { method }),
    ...(body !== undefined && { body }),
    headers: {
      accept: "application/json, text/event-stream",
      ...(handle !== undefined && { "mcp-session-id": handle, "mcp-protocol-version": VERSION }),
      ...headers,
    },
  });
}

async function begin(who = as, params: unknown = FIRST): Promise<string> {
  const response = await post(message("initialize", params, 0), { who });
  expect(response.status).toBe(200);
  await response.text();
  return response.headers.get("mcp-session-id") ?? "";
}

interface Heard {
  id: string | undefined;
  data: { id?: unknown; method?: string; result?: Record<string, unknown>; error?: { code: number } } | undefined;
}

/** The events of a stream, until it ends or one fits. */
async function hear(response: Response, until: (event: Heard) => boolean = () => false): Promise<Heard[]> {
  const heard: Heard[] = [];
  let text = "";
  for await (const piece of (response.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream())) {
    text += piece;
    const frames = text.split("\n\n");
    text = frames.pop() ?? "";
    for (const frame of frames) {
      const data = /^data: (.+)$/m.exec(frame)?.[1];
      const event = { id: /^id: (.*)$/m.exec(frame)?.[1], data: data?.trim() ? JSON.parse(data) : undefined };
      heard.push(event);
      if (until(event)) return heard;
    }
  }
  return heard;
}

const resultOf = (heard: Heard[]) => heard.find(({ data }) => data?.result)?.data?.result;

async function connect(who: Tenant, capabilities = {}): Promise<Client> {
  const client = new Client({ name: "test", version: "1.0.0" }, { capabilities });
  const headers = { authorization: `Bearer ${who.apiKey}` };
  await client.connect(new StreamableHTTPClientTransport(new URL("/mcp", house.url), { requestInit: { headers } }));
  return client;
}

test("[S22] [MCP-1] a handle is random, and its own user's alone", async () => {
  const [one, two] = [await begin(), await begin()];
  expect(one).toMatch(/^[\w-]{43}$/);
  expect(two).not.toBe(one);
  expect((await post(callOf("echo", { text: "x" }), { handle: one })).status).toBe(200);
  const other = await house.newTenant();
  for (const method of ["POST", "GET", "DELETE"]) {
    const body = method === "POST" ? callOf("echo", { text: "x" }) : undefined;
    expect([method, (await post(body, { handle: one, who: other, method })).status]).toEqual([method, 404]);
  }
  expect((await post(callOf("echo", { text: "x" }), { handle: one })).status).toBe(200);
});

test("[S22] [MCP-1] a handle is no credential", async () => {
  const handle = await begin();
  const headers = { "mcp-session-id": handle, accept: "application/json, text/event-stream" };
  const response = await house.call("/mcp", { body: callOf("echo", { text: "x" }), headers });
  expect(response.status).toBe(401);
});

test("[MCP-19] a client that listens is told that the tools have changed, with its next request", async () => {
  const admin = await house.newTenant("admin");
  const handle = await begin();
  const listening = await post(undefined, { handle, method: "GET" });
  const told = hear(listening, ({ data }) => data?.method === "notifications/tools/list_changed");
  const names = async () => {
    const listed = resultOf(await hear(await post(message("tools/list", {}), { handle })));
    return z
      .array(z.object({ name: z.string() }))
      .parse(listed?.["tools"])
      .map(({ name }) => name);
  };
  expect(await names()).toContain("echo");
  expect((await house.call("/mcp/tools/echo/disable", { as: admin, method: "POST" })).status).toBe(200);
  // An isolate believes its copy of the switches for two seconds: this one has made the change, so it knows at once.
  expect(await names()).not.toContain("echo");
  expect((await told).at(-1)?.data?.method).toBe("notifications/tools/list_changed");
  await house.call("/mcp/tools/echo/enable", { as: admin, method: "POST" });
});

test("[S21] a client without a credential, or with one for something else, is told where to read what it needs", async () => {
  const headers = { accept: "application/json, text/event-stream" };
  const metadata = `${house.url.origin}/.well-known/oauth-protected-resource/mcp`;
  const unknown = await house.call("/mcp", { body: message("initialize", FIRST), headers });
  expect(unknown.status).toBe(401);
  expect(unknown.headers.get("www-authenticate")).toBe(`Bearer scope="mcp", resource_metadata="${metadata}"`);
  const made = await house.call("/auth/api-keys", { as, body: { name: "Chat only", scopes: ["chat"] } });
  const { key } = NewApiKey.parse(await made.json());
  const narrow = await post(message("initialize", FIRST), { who: { id: as.id, apiKey: key } });
  expect(narrow.status).toBe(403);
  expect(narrow.headers.get("www-authenticate")).toBe(
    `Bearer error="insufficient_scope", scope="mcp", resource_metadata="${metadata}"`,
  );
  const about = await house.call(new URL(metadata).pathname);
  expect(await about.json()).toMatchObject({
    ...{ resource: `${house.url.origin}/mcp`, scopes_supported: ["mcp"], bearer_methods_supported: ["header"] },
  });
});

test.each([
  ["no handle", undefined, 400],
  ["an unknown one", "A".repeat(43), 404],
  ["one that is none", "../../x", 404],
  ["an empty one", " ", 404],
])("[B68] %s is refused", async (_what, handle, status) => {
  const headers = handle === undefined ? {} : { "mcp-session-id": handle };
  expect((await post(callOf("echo", { text: "x" }), { headers })).status).toBe(status);
});

test("[B68] a wrong protocol version is refused, and the session goes on", async () => {
  const handle = await begin();
  const wrong = await post(callOf("echo", { text: "x" }), {
    handle,
    headers: { "mcp-protocol-version": "1999-01-01" },
  });
  expect(wrong.status).toBe(400);
  expect((await post(callOf("echo", { text: "x" }), { handle })).status).toBe(200);
});

test("[B68] [MCP-2] an ended session is gone, and leaves nothing behind", async () => {
  const handle = await begin();
  expect((await post(undefined, { handle, method: "DELETE" })).status).toBe(200);
  expect((await post(callOf("echo", { text: "x" }), { handle })).status).toBe(404);
  expect((await post(undefined, { handle, method: "DELETE" })).status).toBe(404);
  expect(
    await house.queryObject(
      "McpSessionObject",
      `${as.id}:${handle}`,
      "SELECT name FROM sqlite_master WHERE name = 'session'",
    ),
  ).toEqual([]);
});

test("[B66] GET without a session is refused, and with one wants events to be accepted", async () => {
  expect((await post(undefined, { method: "GET" })).status).toBe(400);
  const handle = await begin();
  expect((await post(undefined, { handle, method: "GET", headers: { accept: "application/json" } })).status).toBe(406);
});

test("[B66] [B67] a message that the protocol does not take is refused inside a session as outside", async () => {
  const handle = await begin();
  const rows: [unknown, Record<string, string>, number][] = [
    ["{", {}, 400],
    ["[]", {}, 400],
    [[callOf("echo", { text: "x" })], {}, 400],
    [callOf("echo", { text: "x" }), { accept: "application/json" }, 406],
    [callOf("echo", { text: "x" }), { "content-type": "text/plain" }, 415],
    [message("initialize", FIRST), {}, 400],
    [`"${"x".repeat(4 * 1024 * 1024)}"`, {}, 413],
  ];
  for (const [body, headers, status] of rows) {
    expect((await post(body, { handle, headers })).status, JSON.stringify(body).slice(0, 80)).toBe(status);
  }
  expect((await post(callOf("echo", { text: "x" }), { handle })).status).toBe(200);
});

test("[MCP-3] what a session has learnt of its client outlives its object", async () => {
  const handle = await begin();
  expect((await post(message("logging/setLevel", { level: "error" }), { handle })).status).toBe(200);
  await (await post(message("resources/subscribe", { uri: "test://watched-resource" }), { handle })).text();
  await house.evictObject("McpSessionObject", `${as.id}:${handle}`);
  const heard = await hear(await post(callOf("test_tool_with_logging"), { handle }));
  expect(heard.filter(({ data }) => data?.method === "notifications/message")).toEqual([]);
  expect(resultOf(heard)).toMatchObject({ isError: false });
});

test("[MCP-3] a client that lost its connection gets the rest, once, also from an object that was out of memory", async () => {
  const handle = await begin();
  const whole = await hear(await post(callOf("test_tool_with_logging"), { handle }));
  const messages = whole.filter(({ data }) => data);
  expect(messages).toHaveLength(4);
  for (const isEvicted of [false, true]) {
    if (isEvicted) await house.evictObject("McpSessionObject", `${as.id}:${handle}`);
    for (const [at, { id = "" }] of whole.entries()) {
      const rest = await hear(await post(undefined, { handle, method: "GET", headers: { "last-event-id": id } }));
      expect(rest).toEqual(whole.slice(at + 1));
    }
  }
});

test("[MCP-3] a connection that ends in the middle of a call is taken up where it ended", async () => {
  const handle = await begin();
  const begun = await hear(await post(callOf("test_reconnection"), { handle }));
  expect(resultOf(begun)).toBeUndefined();
  const last = begun.at(-1)?.id ?? "";
  const rest = await hear(
    await post(undefined, { handle, method: "GET", headers: { "last-event-id": last } }),
    ({ data }) => data?.result !== undefined,
  );
  expect(resultOf(rest)).toMatchObject({ isError: false });
});

test.each(["0", "999999", "-1", "x", "1e3"])(
  "[MCP-3] there is nothing after an event %s that never was",
  async (id) => {
    const handle = await begin();
    const response = await post(undefined, { handle, method: "GET", headers: { "last-event-id": id } });
    expect(response.status).toBe(400);
  },
);

test("[MCP-4] a tool asks the client's model and the client's user, through main and both objects", async () => {
  const client = await connect(as, { sampling: {}, elicitation: {} });
  client.setRequestHandler(CreateMessageRequestSchema, ({ params }) => {
    const [asked] = params.messages;
    return {
      role: "assistant",
      model: "m",
      content: { type: "text", text: `heard ${JSON.stringify(asked?.content)}` },
    };
  });
  client.setRequestHandler(ElicitRequestSchema, () => ({
    action: "accept",
    content: { username: "ada", email: "ada@example.com" },
  }));
  const sampled = await client.callTool({ name: "test_sampling", arguments: { prompt: "the sea" } });
  expect(JSON.stringify(sampled.content)).toContain("the sea");
  const elicited = await client.callTool({ name: "test_elicitation", arguments: { message: "Who?" } });
  expect(JSON.stringify(elicited.content)).toContain("ada@example.com");
  await client.close();
});

test("[MCP-4] a client that has no model and no user to ask makes the tool fail, not hang", async () => {
  const client = await connect(as);
  expect(await client.callTool({ name: "test_sampling", arguments: { prompt: "x" } })).toMatchObject({ isError: true });
  expect(await client.callTool({ name: "test_elicitation", arguments: { message: "x" } })).toMatchObject({
    isError: true,
  });
  await client.close();
});

test("[MCP-5] fifty clients with the same request ids never get each other's results", async () => {
  const tenants = await Promise.all(Array.from({ length: 5 }, () => house.newTenant()));
  const clients = await Promise.all(Array.from({ length: 50 }, (_, at) => connect(tenants[at % tenants.length] ?? as)));
  const wanted = clients.map((_, at) => Array.from({ length: 4 }, (_unused, round) => `${at}/${round}`));
  const got = await Promise.all(
    clients.map((client, at) =>
      Promise.all(
        (wanted[at] ?? []).map(async (text) => (await client.callTool({ name: "echo", arguments: { text } })).content),
      ),
    ),
  );
  expect(got).toEqual(wanted.map((texts) => texts.map((text) => [{ type: "text", text }])));
  await Promise.all(clients.map((client) => client.close()));
});

test("[MCP-17] the configuration that README.md shows for clients of the protocol is right", async () => {
  const readme = await readFile(join(import.meta.dirname, "../README.md"), "utf8");
  const text = /```json\n(\{\n {2}"mcpServers"[^]*?)```/.exec(readme)?.[1] ?? "";
  const filled = text.replace("http://localhost:8787", house.url.origin).replace("YOUR_KEY", as.apiKey);
  const { basechat } = Configuration.parse(JSON.parse(filled)).mcpServers;
  const client = new Client({ name: "desktop", version: "1.0.0" });
  await client.connect(
    new StreamableHTTPClientTransport(new URL(basechat.url), { requestInit: { headers: basechat.headers } }),
  );
  expect((await client.listTools()).tools.map(({ name }) => name)).toContain("calculator");
  await client.close();
});

const Configuration = z.strictObject({
  mcpServers: z.strictObject({
    basechat: z.strictObject({ type: z.literal("http"), url: z.url(), headers: z.record(z.string(), z.string()) }),
  }),
});

test("[MCP-2] a session that nobody asks for ends by itself, and its storage with it", async () => {
  const brief = await openHouse({ settings: { MCP_SESSION_SECONDS: "1" } });
  const who = await brief.newTenant();
  const headers = { accept: "application/json, text/event-stream" };
  const first = await brief.call("/mcp", { as: who, body: message("initialize", FIRST, 0), headers });
  await first.text();
  const handle = first.headers.get("mcp-session-id") ?? "";
  // A look at its storage is no request of the session's.
  const tables = "SELECT name FROM sqlite_master WHERE name = 'session'";
  while ((await brief.queryObject("McpSessionObject", `${who.id}:${handle}`, tables)).length > 0);
  const late = await brief.call("/mcp", {
    ...{ as: who, body: callOf("echo", { text: "x" }) },
    headers: { ...headers, "mcp-session-id": handle },
  });
  expect(late.status).toBe(404);
  await brief.close();
});
