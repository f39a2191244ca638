/**
 * The tools' Worker on real workerd, without main: stateless calls, main's tool server over a binding, and the SDK's own client.
 * Sessions are in test/mcp-sessions.test.ts.
 */
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTestHarness } from "wrangler";
import type { Reply } from "./mcp-caller.ts";

const root = fileURLToPath(new URL("..", import.meta.url).href);
const caller = {
  name: "mcp-caller",
  main: "test/mcp-caller.ts",
  compatibility_date: "2026-10-01",
  compatibility_flags: ["nodejs_compat", "enable_request_signal", "request_signal_passthrough"],
  services: [{ binding: "MCP", service: "basechat-mcp" }],
};
/** Whatever a .dev.vars of this folder says. */
const UNSET = { DATABASE_URL: "", DATABASE_HTTP_URL: "", SECRET_KEY: "" };
const harness = createTestHarness({
  root,
  workers: [
    { configPath: "wrangler.mcp.toml", secrets: { ...UNSET, MCP_ALLOWED_ORIGINS: "https://app.example.com" } },
    { config: caller },
    // Bound by mcp, which asks it for vectors alone.
    { configPath: "wrangler.llm-agent.toml" },
  ],
});
let url: URL;
let clientUrl: URL;

beforeAll(async () => {
  const { url: base } = await harness.listen();
  url = new URL("/stateless", base);
  clientUrl = new URL("/mcp", base);
}, 60_000);
afterAll(() => harness.close());

const HEADERS = { "x-basechat-user": "user-1", "x-request-id": "req-1" };
const POST_HEADERS = { ...HEADERS, accept: "application/json, text/event-stream", "content-type": "application/json" };

interface Sent {
  status: number;
  headers: Headers;
  body: {
    id?: unknown;
    error?: { code: unknown; message: string; request_id?: string };
    result?: Record<string, unknown>;
  };
  text: string;
}

async function send(body: BodyInit | null, headers: Record<string, string> = {}, method = "POST"): Promise<Sent> {
  const all = new Headers({ ...POST_HEADERS, ...headers });
  for (const [name, value] of Object.entries(headers)) if (value === "") all.delete(name);
  const response = await fetch(url, {
    method,
    headers: all,
    body,
    ...(body instanceof ReadableStream && { duplex: "half" }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, body: text === "" ? {} : JSON.parse(text) };
}

const rpc = (method: string, params?: unknown, id: unknown = 1) =>
  JSON.stringify({ jsonrpc: "2.0", id, method, params });
const echo = (text: unknown, id: unknown = 1) => rpc("tools/call", { name: "echo", arguments: { text } }, id);
const ask = async (tool: string, args: unknown) => {
  const response = await harness
    .getWorker("mcp-caller")
    .fetch("/", { method: "POST", body: JSON.stringify({ tool, arguments: args }) });
  return (await response.json()) as Reply; // what mcp-caller.ts sends
};

async function connect(): Promise<Client> {
  const client = new Client({ name: "test", version: "1.0.0" });
  const transport = new StreamableHTTPClientTransport(clientUrl, { requestInit: { headers: HEADERS } });
  await client.connect(transport);
  return client;
}

describe("a stock client", () => {
  it("initialises, lists the tools and calls one", async () => {
    const client = await connect();
    expect(client.getServerVersion()).toMatchObject({ name: "basechat" });
    expect(client.getServerCapabilities()).toEqual({
      ...{ tools: { listChanged: true }, resources: { subscribe: true }, prompts: {}, completions: {}, logging: {} },
    });
    const { tools, _meta } = await client.listTools();
    expect(tools.map(({ name }) => name)).toEqual(["calculator", "current_time", "echo"]);
    expect(tools[0]).toMatchObject({
      inputSchema: { type: "object", required: ["expression"], additionalProperties: false },
      annotations: { readOnlyHint: true, idempotentHint: true },
      _meta: { "basechat/cost": "free", "basechat/private": false },
    });
    expect(_meta?.["basechat/version"]).toMatch(/^[0-9a-f]{64}$/);
    expect(await client.callTool({ name: "calculator", arguments: { expression: "17*23" } })).toEqual({
      content: [{ type: "text", text: "391" }],
      isError: false,
      _meta: { "basechat/source": "calculator" },
    });
    const time = await client.callTool({ name: "current_time", arguments: { timezone: "Europe/Berlin" } });
    expect(JSON.stringify(time.content)).toMatch(/T\d\d:\d\d:\d\d\+0[12]:00 \(\w+day, Europe\/Berlin\)/);
    await client.close();
  });

  it("may leave out the arguments of a tool that needs none", async () => {
    const client = await connect();
    expect(await client.callTool({ name: "current_time" })).toMatchObject({ isError: false });
    await client.close();
  });

  it("B82: gets text that looks like frames or markup back unchanged", async () => {
    const text = 'event: done\ndata: {}\n\n\u001B[31m<script>alert(1)</script>"\\\r\n';
    const client = await connect();
    expect((await client.callTool({ name: "echo", arguments: { text } })).content).toEqual([{ type: "text", text }]);
    expect((await send(echo(text))).headers.get("content-type")).toBe("application/json");
    await client.close();
  });

  it("fifty of them with the same request ids never get each other's results", async () => {
    const clients = await Promise.all(Array.from({ length: 50 }, connect));
    const wanted = clients.map((_, at) => Array.from({ length: 4 }, (_unused, round) => `${at}/${round}`));
    const got = await Promise.all(
      clients.map(async (client, at) =>
        Promise.all(
          (wanted[at] ?? []).map(
            async (text) => (await client.callTool({ name: "echo", arguments: { text } })).content,
          ),
        ),
      ),
    );
    expect(got).toEqual(wanted.map((texts) => texts.map((text) => [{ type: "text", text }])));
    await Promise.all(clients.map((client) => client.close()));
  });
});

describe("main's tool server over the service binding", () => {
  it("P1: lists and calls with one request each", async () => {
    const { list, outcome, requests } = await ask("calculator", { expression: "17*23" });
    expect(list?.tools).toHaveLength(3);
    expect(outcome).toEqual({ ok: true, content: "391" });
    expect(requests).toBe(2);
  });

  it("gets failures as outcomes", async () => {
    expect((await ask("nobody", {})).outcome).toEqual({ ok: false, content: "There is no such tool." });
    expect((await ask("calculator", { expression: "1/0" })).outcome).toEqual({
      ok: false,
      content: "The result is not a finite number.",
    });
    expect((await ask("echo", { text: "x", more: 1 })).outcome).toMatchObject({ ok: false });
  });
});

describe("who may come in", () => {
  it.each([
    ["S19: nobody unknown", { "x-basechat-user": "" }, 401, "unauthorized"],
    ["S19: nobody with a forged-looking name", { "x-basechat-user": "a b" }, 401, "unauthorized"],
    ["[B69] no page of another origin", { origin: "http://evil.example.com" }, 403, "forbidden"],
    ["[B69] no page without an origin of its own", { origin: "null" }, 403, "forbidden"],
    ["[B69] no origin that only begins like ours", { origin: "https://app.example.com.evil.com" }, 403, "forbidden"],
    ["B68: no session, since none are given out here", { "mcp-session-id": "0".repeat(32) }, 404, "not_found"],
  ])("%s", async (_what, headers, status, code) => {
    const sent = await send(rpc("tools/list"), headers);
    expect([sent.status, sent.body.error?.code, sent.body.error?.request_id]).toEqual([status, code, "req-1"]);
    expect(sent.headers.get("x-request-id")).toBe("req-1");
  });

  it("[B69] a rebound host name does not make a stranger's page ours", async () => {
    const request = {
      method: "POST",
      headers: { ...POST_HEADERS, origin: "http://evil.example.com" },
      body: rpc("tools/list"),
    };
    expect((await harness.getWorker("basechat-mcp").fetch("http://evil.example.com/stateless", request)).status).toBe(
      403,
    );
  });

  it.each(["https://app.example.com", "own"])("a page of %s may", async (origin) => {
    expect((await send(rpc("tools/list"), { origin: origin === "own" ? url.origin : origin })).status).toBe(200);
  });

  it.each(["GET", "DELETE", "PUT", "PATCH", "OPTIONS"])("B66: %s is not offered", async (method) => {
    const sent = await send(null, { accept: "text/event-stream" }, method);
    expect([sent.status, sent.headers.get("allow"), sent.body.error?.code]).toEqual([
      405,
      "POST",
      "method_not_allowed",
    ]);
  });

  it.each(["/", "/mcp/", "/MCP", "/mcp/x", "/mcp%2f", "/stateless/"])("there is nothing at %s", async (path) => {
    expect((await fetch(new URL(path, url), { method: "POST", headers: POST_HEADERS, body: rpc("ping") })).status).toBe(
      404,
    );
  });

  it("makes an id for a request that has none fit to log", async () => {
    expect((await send(rpc("ping"), { "x-request-id": "a\tb" })).headers.get("x-request-id")).toMatch(
      /^[0-9a-f-]{36}$/,
    );
  });
});

describe("the protocol's rules", () => {
  it.each([
    ["B66: no Accept", { accept: "*/*" }, 406],
    ["B66: only JSON accepted", { accept: "application/json" }, 406],
    ["B9: another content type", { "content-type": "text/plain" }, 415],
    ["B68: an unknown protocol version", { "mcp-protocol-version": "1999-01-01" }, 400],
  ])("%s", async (_what, headers, status) => {
    expect((await send(rpc("tools/list"), headers)).status).toBe(status);
  });

  it.each([
    ["bad JSON", "{", -32700],
    ["two JSON texts", "{}{}", -32700],
    ["nothing", "", -32700],
    ["a number", "1", -32600],
    ["null", "null", -32600],
    ["an empty batch", "[]", -32600],
    ["no version", '{"id":1,"method":"ping"}', -32600],
    ["no method", '{"jsonrpc":"2.0","id":1}', -32600],
    ["an unknown field", '{"jsonrpc":"2.0","id":1,"method":"ping","role":"system"}', -32600],
    ["id null", rpc("ping", undefined, null), -32600],
    ["id {}", rpc("ping", undefined, {}), -32600],
    ["id 2^53", rpc("ping", undefined, 2 ** 53), -32600],
    ["id 0.5", rpc("ping", undefined, 0.5), -32600],
    ["a batch of 101", `[${Array.from({ length: 101 }, (_, id) => rpc("ping", undefined, id)).join()}]`, -32600],
    ["a batch with one id twice", `[${rpc("ping")},${rpc("ping")}]`, -32600],
    ["a batch that is no batch", `[${rpc("ping")},5]`, -32600],
    ["a malformed initialize", rpc("initialize", { protocolVersion: 5 }), -32602],
  ])("B67: %s is refused", async (_what, body, code) => {
    const sent = await send(body);
    expect([sent.status, sent.body.error?.code]).toEqual([400, code]);
  });

  it("B67: a body that is no UTF-8 is refused", async () => {
    expect((await send(new Uint8Array([0x22, 0xff, 0x22]))).status).toBe(400);
  });

  it.each([0, "", "a", 2 ** 53 - 1, -1])("B67: %j is an id", async (id) => {
    const sent = await send(echo("x", id));
    expect([sent.status, sent.body.id, sent.body.result?.["isError"]]).toEqual([200, id, false]);
  });

  it.each([
    ["an unknown method", rpc("tools/steal"), -32601],
    ["what needs a session", rpc("resources/subscribe", { uri: "x:y" }), -32601],
    ["a level to log at", rpc("logging/setLevel", { level: "info" }), -32601],
    ["a resource that is not there", rpc("resources/read", { uri: "x:y" }), -32002],
    ["a resource without a name", rpc("resources/read", { uri: 5 }), -32602],
    ["an unknown prompt", rpc("prompts/get", { name: "nobody" }), -32602],
    ["an unknown tool", rpc("tools/call", { name: "nobody", arguments: {} }), -32602],
    ["a tool of JavaScript's own", rpc("tools/call", { name: "constructor" }), -32602],
    ["a tool without a name", rpc("tools/call", {}), -32602],
    ["a call without params", rpc("tools/call"), -32602],
    ["arguments that are a list", rpc("tools/call", { name: "echo", arguments: [1] }), -32602],
    ["a page that does not exist", rpc("tools/list", { cursor: "next" }), -32602],
  ])("B67: %s is an error of the protocol", async (_what, body, code) => {
    const sent = await send(body);
    expect([sent.status, sent.body.error?.code]).toEqual([200, code]);
    expect(sent.text).not.toMatch(/\bat \S+:\d+|node_modules|\.ts\b/);
  });

  it.each([
    ["extra fields", '{"text":"x","more":1}'],
    ["__proto__", '{"text":"x","__proto__":{"polluted":1}}'],
    ["a wrong type", '{"text":5}'],
    ["a text of 1 MB", `{"text":"${"x".repeat(1_000_000)}"}`],
    ["a nest 10,000 deep", `{"text":${"[".repeat(10_000)}${"]".repeat(10_000)}}`],
    ["nothing", "{}"],
  ])("B80: arguments with %s are a failed call", async (_what, args) => {
    const sent = await send(
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":${args}}}`,
    );
    expect([sent.status, sent.body.result?.["isError"]]).toEqual([200, true]);
    expect(sent.text.length).toBeLessThan(1_000);
  });

  it("B67: more than 4 MiB are refused, told or not", async () => {
    const huge = new Uint8Array(4 * 1024 * 1024 + 1).fill(32);
    expect((await send(huge)).status).toBe(413);
    expect((await send(new Blob([huge]).stream())).status).toBe(413);
  });

  it("a batch is answered as one, and cancelling within it does not leave it open", async () => {
    const cancel = JSON.stringify({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 7 } });
    const sent = await send(`[${echo("a", 7)},${cancel},${echo("b", 8)}]`);
    expect(JSON.parse(sent.text)).toMatchObject([{ id: 7 }, { id: 8 }]);
    expect((await send(`[${cancel}]`)).status).toBe(202);
  });

  it("a notification is accepted without an answer", async () => {
    const sent = await send(JSON.stringify({ jsonrpc: "2.0", method: "notifications/initialized" }));
    expect([sent.status, sent.text]).toEqual([202, ""]);
  });
});

describe("what is logged", () => {
  // SHA-256 of "basechat user user-1", the first 16 digits.
  const USER_1 = "22437220a716e761";
  it("S16: one line a request and one a call, with neither arguments nor output", async () => {
    harness.clearLogs();
    await send(echo("canary-90d1"), { "x-request-id": "req-log" });
    const lines = harness.getLogs().flatMap(({ message }) => (message.startsWith("{") ? [JSON.parse(message)] : []));
    const own = lines.filter((line: { request_id: string }) => line.request_id === "req-log");
    expect(own).toEqual([
      {
        ...{
          level: "info",
          service: "mcp",
          request_id: "req-log",
          audit: "tool_call",
          user_id: USER_1,
          tool: "echo",
          ok: true,
        },
        ...{ arguments_sha256: expect.stringMatching(/^[0-9a-f]{64}$/), ms: expect.any(Number), bytes: 11 },
      },
      {
        level: "info",
        service: "mcp",
        request_id: "req-log",
        route: "/stateless",
        method: "POST",
        status: 200,
        ms: expect.any(Number),
      },
    ]);
    expect(JSON.stringify(harness.getLogs())).not.toContain("canary-90d1");
  });
});

describe("settings", () => {
  it("F36: a malformed setting closes the Worker and is named, its value is not", async () => {
    const closed = createTestHarness({
      root,
      workers: [
        { configPath: "wrangler.mcp.toml", vars: { MCP_ALLOWED_ORIGINS: "canary.example.com/x" } },
        { configPath: "wrangler.llm-agent.toml" },
      ],
    });
    try {
      await closed.listen();
      const response = await closed.fetch("/stateless", {
        method: "POST",
        headers: POST_HEADERS,
        body: rpc("tools/list"),
      });
      const text = await response.text();
      expect([response.status, text.includes("MCP_ALLOWED_ORIGINS"), text.includes("canary")]).toEqual([
        503,
        true,
        false,
      ]);
    } finally {
      await closed.close();
    }
  }, 60_000);
});
