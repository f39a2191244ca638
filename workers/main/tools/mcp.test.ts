import { describe, expect, it } from "vitest";
import { createMcpToolServer, type McpToolServerOptions, type ToolListCache } from "./mcp.ts";

const SECRET = "canary-51bc";
const context = { requestId: "req-1", userId: "user-1" };
const never = new AbortController().signal;
const call = { id: "c1", name: "probe", arguments: { text: SECRET } };

interface Seen {
  method: string;
  headers: Headers;
  body: { id: number; method: string; params?: Record<string, unknown> };
}

type Answer = (seen: Seen, init: RequestInit) => Response | Promise<Response>;

const result =
  (value: unknown): Answer =>
  ({ body }) =>
    Response.json({ jsonrpc: "2.0", id: body.id, result: value });
const rpcError =
  (code: number): Answer =>
  ({ body }) =>
    Response.json({ jsonrpc: "2.0", id: body.id, error: { code, message: SECRET } });

const probe = {
  name: "probe",
  description: "A probe.",
  inputSchema: { type: "object", properties: {} },
  annotations: { readOnlyHint: true, idempotentHint: true },
  _meta: { "basechat/cost": "free", "basechat/private": false },
};
const listOf = (version: string, tools: unknown[] = [probe]) =>
  result({ tools, _meta: { "basechat/version": version } });
const text = (content: string, more: object = {}) => result({ content: [{ type: "text", text: content }], ...more });

/** A tool server whose other side is `answer`; `seen` counts every HTTP request. */
function setUp(answer: Answer, options: Partial<McpToolServerOptions> = {}) {
  const seen: Seen[] = [];
  const clock = { ms: 1_000_000 };
  const behind: Promise<unknown>[] = [];
  const cache: ToolListCache = { fetchedAtMs: 0, nextTryMs: 0 };
  const state = { answer };
  const fetch: McpToolServerOptions["fetch"] = async (_url, init = {}) => {
    const one: Seen = {
      method: init.method ?? "GET",
      headers: new Headers(init.headers),
      body: JSON.parse(String(init.body)),
    };
    seen.push(one);
    return await state.answer(one, init);
  };
  const all = {
    fetch,
    now: () => clock.ms,
    cache,
    waitUntil: (work: Promise<unknown>) => behind.push(work),
    ...options,
  };
  return {
    tools: createMcpToolServer(all),
    another: () => createMcpToolServer(all),
    seen,
    clock,
    behind,
    state,
    cache,
  };
}

/** A response that never comes, and a promise of the abort that its request gets. */
function hanging() {
  const started = Promise.withResolvers<void>();
  const aborted = Promise.withResolvers<void>();
  const answer: Answer = (_seen, init) =>
    new Promise((_resolve, reject) => {
      init.signal?.addEventListener("abort", () => (aborted.resolve(), reject(new DOMException("", "AbortError"))));
      started.resolve();
    });
  return { answer, started: started.promise, aborted: aborted.promise };
}

describe("the tool list", () => {
  it("P1: takes one request without a handshake, in the newest protocol version, on the user's behalf", async () => {
    const { tools, seen } = setUp(listOf("v1"));
    expect(await tools.list(context)).toEqual({
      version: "v1",
      tools: [
        {
          name: "probe",
          description: "A probe.",
          inputSchema: probe.inputSchema,
          readOnly: true,
          idempotent: true,
          private: false,
          cost: "free",
        },
      ],
    });
    expect(seen.map(({ method, body }) => [method, body.method])).toEqual([["POST", "tools/list"]]);
    expect(seen[0]?.headers.get("mcp-protocol-version")).toBe("2025-11-25");
    expect(seen[0]?.headers.get("x-request-id")).toBe("req-1");
    expect(seen[0]?.headers.get("x-basechat-user")).toBe("user-1");
    expect(seen[0]?.headers.has("mcp-session-id")).toBe(false);
    expect(seen[0]?.headers.has("authorization")).toBe(false);
  });

  it("believes the less trusting answer where a tool says nothing of itself", async () => {
    const { tools } = setUp(listOf("v1", [{ name: "probe", inputSchema: { type: "object" } }]));
    expect((await tools.list(context))?.tools[0]).toMatchObject({
      readOnly: false,
      idempotent: false,
      private: true,
      cost: "metered",
    });
  });

  it("[MCP-21] of too many tools the first 128 are taken", async () => {
    const names = Array.from({ length: 129 }, (_, at) => `probe${at}`);
    const { tools } = setUp(
      listOf(
        "v1",
        names.map((name) => ({ ...probe, name })),
      ),
    );
    expect((await tools.list(context))?.tools.map(({ name }) => name)).toEqual(names.slice(0, 128));
  });

  it("P1: is asked for once in 60 s by all servers of an isolate", async () => {
    const { tools, another, seen, clock } = setUp(listOf("v1"));
    await tools.list(context);
    clock.ms += 59_999;
    expect((await another().list(context))?.version).toBe("v1");
    expect(seen).toHaveLength(1);
  });

  it("older than 60 s is still served, while one request fetches the next", async () => {
    const { tools, seen, clock, behind, state } = setUp(listOf("v1"));
    await tools.list(context);
    state.answer = listOf("v2");
    clock.ms += 60_000;
    const versions = await Promise.all([tools.list(context), tools.list(context), tools.list(context)]);
    expect(versions.map((list) => list?.version)).toEqual(["v1", "v1", "v1"]);
    await Promise.all(behind);
    expect((await tools.list(context))?.version).toBe("v2");
    expect(seen).toHaveLength(2);
  });

  it("[MCP-7] older than two minutes is asked for before it is used, by one, and used if there is none", async () => {
    const { tools, seen, clock, behind, state } = setUp(listOf("v1"));
    await tools.list(context);
    state.answer = () => Promise.reject(new Error("no such binding"));
    clock.ms += 120_000;
    expect((await tools.list(context))?.version).toBe("v1");
    expect((await tools.list(context))?.version).toBe("v1"); // nobody asks again at once
    expect(seen).toHaveLength(2);
    state.answer = listOf("v2");
    clock.ms += 5_000;
    const versions = await Promise.all([tools.list(context), tools.list(context)]);
    expect(versions.map((list) => list?.version)).toEqual(["v2", "v1"]);
    expect(behind).toEqual([]);
    expect(seen).toHaveLength(3);
  });

  it("F33: survives a short outage, is gone after ten minutes, and comes back", async () => {
    const { tools, seen, clock, behind, state } = setUp(listOf("v1"));
    await tools.list(context);
    state.answer = () => Promise.reject(new Error("no such binding"));
    clock.ms += 60_000;
    expect((await tools.list(context))?.version).toBe("v1");
    await Promise.all(behind);
    clock.ms += 600_000;
    expect(await tools.list(context)).toBeUndefined();
    state.answer = listOf("v2");
    expect(await tools.list(context)).toBeUndefined(); // nobody asks again at once
    expect(seen).toHaveLength(3);
    clock.ms += 5_000;
    expect((await tools.list(context))?.version).toBe("v2");
  });

  it.each<[string, Answer]>([
    ["throws", () => Promise.reject(new Error(SECRET))],
    ["answers 500", () => new Response(SECRET, { status: 500 })],
    ["answers 404", () => new Response("", { status: 404 })],
    ["answers with a web page", () => new Response("<html>", { headers: { "content-type": "text/html" } })],
    ["answers with half a JSON", () => new Response('{"jsonrpc"', { headers: { "content-type": "application/json" } })],
    ["answers with a JSON-RPC error", rpcError(-32603)],
    ["sends no version", result({ tools: [probe] })],
    ["sends no tools", result({})],
    ["sends a name no model can say", listOf("v1", [{ ...probe, name: "a b" }])],
    ["sends a huge description", listOf("v1", [{ ...probe, description: "x".repeat(5_000) }])],
    ["never stops sending", () => endless("application/json")],
    [
      "redirects elsewhere",
      () => new Response(null, { status: 302, headers: { location: "https://evil.example.com/" } }),
    ],
  ])("F33: there are no tools when the server %s", async (_what, answer) => {
    const { tools, seen } = setUp(answer);
    expect(await tools.list(context)).toBeUndefined();
    expect(seen).toHaveLength(1);
  });

  it("F33: there are no tools when the server does not answer in time", async () => {
    const { answer, aborted } = hanging();
    const { tools, seen } = setUp(answer, { listTimeoutMs: 5 });
    expect(await tools.list(context)).toBeUndefined();
    await aborted;
    expect(seen).toHaveLength(1);
  });
});

function endless(type: string): Response {
  const chunk = new Uint8Array(64 * 1024).fill(32);
  const body = new ReadableStream({ pull: (controller) => controller.enqueue(chunk) });
  return new Response(body, { headers: { "content-type": type } });
}

describe("a tool call", () => {
  it("P1: takes one request and gives the text", async () => {
    const { tools, seen } = setUp(text("391"));
    expect(await tools.call(call, context, never)).toEqual({ ok: true, content: "391" });
    expect(seen.map(({ method, body }) => [method, body.method, body.params])).toEqual([
      ["POST", "tools/call", { name: "probe", arguments: { text: SECRET } }],
    ]);
    expect(seen[0]?.headers.get("x-basechat-user")).toBe("user-1");
  });

  it("reads an answer that comes as a stream of events", async () => {
    const { tools } = setUp(({ body }) => {
      const message = JSON.stringify({
        jsonrpc: "2.0",
        id: body.id,
        result: { content: [{ type: "text", text: "ok" }] },
      });
      return new Response(`event: message\ndata: ${message}\n\n`, { headers: { "content-type": "text/event-stream" } });
    });
    expect(await tools.call(call, context, never)).toEqual({ ok: true, content: "ok" });
  });

  it("joins texts and names what is none", async () => {
    const { tools } = setUp(
      result({
        content: [
          { type: "text", text: "a" },
          { type: "image", data: "AAAA", mimeType: "image/png" },
          { type: "resource_link", uri: "https://example.com/x", name: "x" },
          { type: "resource", resource: { uri: "file:///x", text: "inside" } },
          { type: "resource", resource: { uri: "file:///y", blob: "AAAA" } },
        ],
      }),
    );
    const content = "a\n[image, image/png]\n[link to https://example.com/x]\ninside\n[resource file:///y]";
    expect(await tools.call(call, context, never)).toEqual({ ok: true, content });
  });

  it("gives structured content where there is no other", async () => {
    const { tools } = setUp(result({ content: [], structuredContent: { sum: 3 } }));
    expect(await tools.call(call, context, never)).toEqual({ ok: true, content: '{"sum":3}' });
  });

  it("F32: keeps a failed tool's words", async () => {
    const { tools } = setUp(text("No such city.", { isError: true }));
    expect(await tools.call(call, context, never)).toEqual({ ok: false, content: "No such city." });
  });

  it("F32: cuts what is larger than 256 KiB", async () => {
    const { tools } = setUp(text("\u{1F600}".repeat(100_000)));
    const { content } = await tools.call(call, context, never);
    expect(new TextEncoder().encode(content).length).toBeLessThanOrEqual(256 * 1024);
    expect(content).toMatch(/\u{1F600}\n\[truncated: the whole result has 400000 bytes\]$/u);
  });

  it.each<[string, Answer, string]>([
    ["knows no such tool", rpcError(-32602), "There is no such tool."],
    ["fails inside", rpcError(-32603), "The tool could not be reached."],
    ["throws", () => Promise.reject(new Error(SECRET)), "The tool could not be reached."],
    ["answers 401", () => new Response(SECRET, { status: 401 }), "The tool could not be reached."],
    ["answers 500", () => new Response(SECRET, { status: 500 }), "The tool could not be reached."],
    ["sends no content", result({ content: SECRET }), "The tool could not be reached."],
    ["never stops sending", () => endless("application/json"), "The tool could not be reached."],
  ])("F33: is an outcome in our words when the server %s", async (_what, answer, content) => {
    const { tools, seen } = setUp(answer);
    expect(await tools.call(call, context, never)).toEqual({ ok: false, content });
    expect(seen).toHaveLength(1);
  });

  it("F33: is given up in time, and its request ends", async () => {
    const { answer, aborted } = hanging();
    const { tools, seen } = setUp(answer, { callTimeoutMs: 5 });
    expect(await tools.call(call, context, never)).toEqual({ ok: false, content: "The tool did not answer in time." });
    await aborted;
    expect(seen).toHaveLength(1);
  });

  it("an abort ends its request, without a second one", async () => {
    const { answer, started, aborted } = hanging();
    const { tools, seen } = setUp(answer);
    const controller = new AbortController();
    const outcome = tools.call(call, context, controller.signal);
    await started;
    controller.abort();
    expect(await outcome).toEqual({ ok: false, content: "The tool call was cancelled." });
    await aborted;
    expect(seen).toHaveLength(1);
  });

  it("already aborted, it makes no request", async () => {
    const { tools, seen } = setUp(text("no"));
    expect(await tools.call(call, context, AbortSignal.abort())).toEqual({
      ok: false,
      content: "The tool call was cancelled.",
    });
    expect(seen).toHaveLength(0);
  });

  it("calls at the same time keep their own answers", async () => {
    const { tools } = setUp(async (seen, init) => {
      const { arguments: args } = seen.body.params as { arguments: { n: number } }; // this test's own calls
      return await text(String(args.n))(seen, init);
    });
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, (_, n) => tools.call({ id: "c", name: "probe", arguments: { n } }, context, never)),
    );
    expect(outcomes.map(({ content }) => content)).toEqual(Array.from({ length: 50 }, (_, n) => String(n)));
  });

  it("F34: says which list it was chosen from, and asks for a new one when that has changed", async () => {
    const { tools, seen, state } = setUp(listOf("v1"));
    await tools.list(context);
    state.answer = text("changed", { isError: true, _meta: { "basechat/failure": "stale" } });
    expect(await tools.call(call, { ...context, listVersion: "v1" }, never)).toEqual({ ok: false, content: "changed" });
    expect(seen[1]?.body.params?.["_meta"]).toEqual({ "basechat/version": "v1" });
    state.answer = listOf("v2");
    expect((await tools.list(context))?.version).toBe("v2");
  });
});
