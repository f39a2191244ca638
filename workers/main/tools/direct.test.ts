import { expect, test } from "vitest";
import { cacheUse, type CacheUse } from "../../../contracts/cache.ts";
import { fail, ok } from "../../../contracts/errors.ts";
import type { ToolDefinition } from "../../../contracts/tools.ts";
import type { Cache, TurnWrite } from "../cache/cache.ts";
import { callDirectly, type DirectDeps } from "./direct.ts";

const tool: ToolDefinition = {
  ...{ name: "probe", description: "A probe.", inputSchema: { type: "object" } },
  ...{ readOnly: true, idempotent: true, private: false, cost: "metered" },
};
const USE = cacheUse(undefined);
const caller = { requestId: "r", userId: "u", denied: [], isAdmin: false };

interface Scene {
  definition?: Partial<ToolDefinition>;
  enabled?: boolean;
  cached?: string;
  succeeds?: boolean;
  sharesResults?: boolean;
  use?: Partial<CacheUse>;
}

function setUp({ definition = {}, enabled = true, cached, succeeds = true, sharesResults = true, use }: Scene = {}) {
  const seen = { reads: 0, options: undefined as unknown, calls: 0, writes: [] as TurnWrite[], hits: [] as string[] };
  const own = { ...tool, ...definition };
  const cache = {
    slot: (layer: string, scope: object, parts: object) => ({
      layer,
      key: JSON.stringify([scope, parts]),
      scope,
      parts,
    }),
    async read(slots: unknown[], options: unknown) {
      if (slots.length === 0) return { reads: [], since: 7 };
      seen.reads += 1;
      seen.options = options;
      const saves = { calls: 1, ms: 5, tokens: null };
      const hit = { verdict: "hit", value: { ok: true, content: cached }, saves, ageSeconds: 1 };
      return { reads: [cached === undefined ? { verdict: "miss", why: "absent" } : hit], since: 7 };
    },
    write: async (write: TurnWrite) => seen.writes.push(write),
  } as unknown as Cache; // the three methods that are used
  const listed = { ...own, input_schema: {}, read_only: true, server: null, enabled };
  const deps: DirectDeps = {
    ...{ cache, sharesResults },
    list: async () => ({ version: "v", tools: [own] }),
    toolbox: {
      list: async () => ({ version: "v", tools: [listed] }),
      async call({ name }) {
        seen.calls += 1;
        if (name !== "probe") return fail("not_found", "there is no such tool");
        return ok({ ok: succeeds, content: "fresh", failure: succeeds ? null : "tool_error" });
      },
      noteHits: async (names) => void seen.hits.push(...names),
    },
    now: () => 1_000,
    waitUntil: () => undefined,
  };
  const call = (name = "probe") => callDirectly({ name, arguments: { x: 1 }, caller, use: { ...USE, ...use } }, deps);
  return { call, seen };
}

test("[MCP-9] a metered tool's result that is kept is given, and neither the tool is called nor the hit forgotten", async () => {
  const { call, seen } = setUp({ cached: "kept" });
  expect(await call()).toEqual(ok({ ok: true, content: "kept", failure: null, cache: "hit", ageSeconds: 1 }));
  expect(seen).toMatchObject({ reads: 1, calls: 0, hits: ["probe"] });
});

test("[MCP-9] one that is not is kept, as a turn would keep it", async () => {
  const { call, seen } = setUp();
  expect(await call()).toEqual(ok({ ok: true, content: "fresh", failure: null, cache: "miss", why: "absent" }));
  expect(seen.writes).toMatchObject([
    {
      since: 7,
      entries: [
        {
          slot: { scope: { shared: true }, parts: { tool, arguments: { x: 1 } } },
          value: { ok: true, content: "fresh" },
          origin: { userId: "u", route: "mcp-tools-call", tools: ["probe"] },
        },
      ],
    },
  ]);
});

test("[F32] a failure is not kept", async () => {
  const { call, seen } = setUp({ succeeds: false });
  expect(await call()).toEqual(
    ok({ ok: false, content: "fresh", failure: "tool_error", cache: "miss", why: "absent" }),
  );
  expect(seen.writes).toMatchObject([{ entries: [] }]);
});

test.each<[string, Scene]>([
  ["of a private tool", { definition: { private: true } }],
  ["where the deployment keeps all to its users", { sharesResults: false }],
  ["where the request says so", { use: { userScope: true } }],
])("[MCP-9] [S15] a result %s is its user's alone", async (_what, scene) => {
  const { call, seen } = setUp(scene);
  await call();
  expect(seen.writes[0]?.entries[0]?.slot.scope).toEqual({ userId: "u" });
});

test.each<[string, Scene]>([
  ["free", { definition: { cost: "free" } }],
  ["not read-only", { definition: { readOnly: false } }],
  ["not idempotent", { definition: { idempotent: false } }],
  ["closed to the caller", { enabled: false }],
])("[MCP-9] a tool that is %s is asked, not the cache", async (_what, scene) => {
  const { call, seen } = setUp({ ...scene, cached: "kept" });
  expect(await call()).toMatchObject({ ok: true, value: { cache: "bypass" } });
  expect(seen).toMatchObject({ reads: 0, calls: 1, writes: [] });
});

test("[CACHE-5] what the request forbids is neither read nor kept", async () => {
  const unread = setUp({ cached: "kept", use: { read: false } });
  expect(await unread.call()).toMatchObject({ value: { content: "fresh", cache: "bypass", why: "asked" } });
  expect(unread.seen).toMatchObject({ reads: 0, calls: 1, writes: [{ since: 7, entries: [{}] }] });
  const unkept = setUp({ cached: "kept", use: { read: false, write: false } });
  expect(await unkept.call()).toMatchObject({ value: { content: "fresh", cache: "bypass" } });
  expect(unkept.seen).toMatchObject({ reads: 0, calls: 1, writes: [{ since: undefined, entries: [] }] });
  const young = setUp({ use: { maxAgeSeconds: 5, ttlSeconds: 60 } });
  await young.call();
  expect(young.seen).toMatchObject({ options: { maxAgeSeconds: 5 }, writes: [{ entries: [{ ttlSeconds: 60 }] }] });
});

test.each<Scene>([{}, { definition: { cost: "free" } }])(
  "[CACHE-5] only if cached: no tool is called",
  async (scene) => {
    const { call, seen } = setUp({ ...scene, use: { onlyIfCached: true, write: false } });
    expect(await call()).toMatchObject({ ok: false, error: { code: "cache_miss" } });
    expect(seen.calls).toBe(0);
  },
);

test("[MCP-9] an unknown tool is a failure", async () => {
  expect(await setUp().call("nobody")).toMatchObject({ ok: false, error: { code: "not_found" } });
});
