import { describe, expect, it } from "vitest";
import { readConfig } from "./env.ts";
import { handleRequest, isHostAllowed, isOriginAllowed } from "./handler.ts";
import type { Snapshots } from "./toolbox/snapshots.ts";
import { createRegistry, type ToolLoaders } from "./registry.ts";
import type { LogLine } from "./run.ts";

const makeRegistry = (loaders: ToolLoaders, snapshots: Snapshots) =>
  createRegistry({ loaders, snapshots, remote: () => undefined });

describe("B69: an Origin", () => {
  const allowed = ["https://app.example.com"];
  it.each([
    [null, "https://api.example.com/mcp", true],
    ["https://app.example.com", "https://api.example.com/mcp", true],
    ["https://api.example.com", "https://api.example.com/mcp", true],
    ["http://localhost:8787", "http://localhost:8787/mcp", true],
    ["http://127.0.0.1:8787", "http://127.0.0.1:8787/mcp", true],
    ["http://localhost:3000", "http://localhost:8787/mcp", false],
    ["http://rebound.example.com:8787", "http://rebound.example.com:8787/mcp", false],
    ["http://app.example.com", "https://api.example.com/mcp", false],
    ["https://app.example.com.evil.com", "https://api.example.com/mcp", false],
    ["null", "https://api.example.com/mcp", false],
    ["", "https://api.example.com/mcp", false],
  ])("%j asking %s: %s", (origin, url, verdict) =>
    expect(isOriginAllowed(origin, new URL(url), allowed)).toBe(verdict),
  );
});

describe("B69: a Host", () => {
  it.each([
    ["https://api.example.com/mcp", true],
    ["http://localhost:8787/mcp", true],
    ["http://127.0.0.1:8787/mcp", true],
    ["http://[::1]:8787/mcp", true],
    ["http://app.example.com/mcp", true],
    ["http://evil.example.com:8787/mcp", false],
    ["http://localhost.evil.example.com/mcp", false],
    ["http://10.0.0.5/mcp", false],
  ])("%s: %s", (url, verdict) => expect(isHostAllowed(new URL(url), ["https://app.example.com"])).toBe(verdict));
});

describe("F36: the settings", () => {
  it.each([
    [{}, []],
    [{ MCP_ALLOWED_ORIGINS: "" }, []],
    [
      { MCP_ALLOWED_ORIGINS: " https://a.example.com, http://localhost:3000 ," },
      ["https://a.example.com", "http://localhost:3000"],
    ],
  ])("%j are read", (env, allowedOrigins) =>
    expect(readConfig(env)).toMatchObject({ ok: true, config: { allowedOrigins, hasFixtures: false } }),
  );

  it.each(["*", "null", "https://a.example.com/", "a.example.com", "https://a.example.com,*", 5])(
    "%j is refused by name",
    (origins) => {
      expect(readConfig({ MCP_ALLOWED_ORIGINS: origins })).toEqual({ ok: false, badKeys: ["MCP_ALLOWED_ORIGINS"] });
    },
  );
});

describe("a bug in a tool's definition", () => {
  it("S17: is an error of the protocol without its cause, and costs no other request", async () => {
    const log: LogLine[] = [];
    const registry = makeRegistry(
      { broken: () => Promise.reject(new Error("canary-2e61 at /src/x.ts")) },
      { fresh: () => ({ revision: 0, disabled: [], servers: [] }), fetch: async () => undefined, put: () => undefined },
    );
    const request = new Request("https://mcp.internal/stateless", {
      method: "POST",
      headers: {
        "x-basechat-user": "u",
        accept: "application/json, text/event-stream",
        "content-type": "application/json",
      },
      body: '{"jsonrpc":"2.0","id":1,"method":"tools/list"}',
    });
    const config = readConfig({});
    if (!config.ok) throw new Error("the defaults are good");
    const run = async () => undefined;
    const offers = { resources: { list: async () => [], templates: [], read: async () => undefined }, prompts: [] };
    const deps = {
      setup: { ...config, parts: { registry, run, offers } },
      session: () => ({ fetch: () => Promise.reject(new Error("there is no session")) }),
      randomBytes: (length: number) => new Uint8Array(length),
      now: () => 0,
      newId: () => "id-1",
      log: (line: LogLine) => log.push(line),
    };
    const text = await (await handleRequest(request, deps)).text();
    expect(JSON.parse(text)).toEqual({
      jsonrpc: "2.0",
      id: 1,
      error: { code: -32603, message: "MCP error -32603: Internal error" },
    });
    expect(log).toMatchObject([{ request_id: "id-1", route: "/stateless", status: 200 }]);
  });
});
