import * as z from "zod";
import { describe, expect, it } from "vitest";
import { createRegistry } from "./registry.ts";
import { createToolRunner, type LogLine, type RunRequest } from "./run.ts";
import type { Tool, ToolContext, ToolReply } from "./tools/tool.ts";

const SECRET = "canary-7f3a";

function setUp(run: Tool["run"], changes: Partial<Tool> = {}) {
  const annotations = { readOnly: true, idempotent: true, private: false, cost: "free" as const };
  const input = z.strictObject({ text: z.string().max(1_000).optional() });
  const tool: Tool = { name: "probe", description: "A probe.", input, annotations, run, ...changes };
  const registry = createRegistry({ probe: async () => tool });
  const log: LogLine[] = [];
  const runTool = createToolRunner({ registry, log: (line) => log.push(line), timeLimitMs: 5 });
  const controller = new AbortController();
  const context: ToolContext = { requestId: "r1", userId: "u1", now: () => 1_000, signal: controller.signal };
  const call = (request: Partial<RunRequest> = {}) => runTool({ name: "probe", arguments: {}, ...request }, context);
  return { call, log, registry, abort: () => controller.abort() };
}

const circular: Record<string, unknown> = {};
circular["self"] = circular;

describe("running a tool", () => {
  it("gives the tool's text and says which tool it is data from", async () => {
    const { call, log } = setUp(() => ({ ok: true, content: "fine" }));
    expect(await call()).toEqual({ ok: true, content: "fine", source: "probe" });
    expect(log).toEqual([{ service: "mcp", request_id: "r1", tool: "probe", ok: true, ms: 0, bytes: 4 }]);
  });

  it("gives what is no text as JSON", async () => {
    const { call } = setUp(() => ({ ok: true, content: { a: [1, null] } }));
    expect(await call()).toMatchObject({ ok: true, content: '{"a":[1,null]}' });
  });

  it("knows no tool of another name, and logs nothing of it", async () => {
    const { call, log } = setUp(() => ({ ok: true, content: "" }));
    expect(await call({ name: SECRET })).toBeUndefined();
    expect(log).toEqual([]);
  });

  it.each<[string, Tool["run"]]>([
    ["throws", () => Promise.reject(new Error(`${SECRET} at /src/x.ts`))],
    ["throws at once", () => { throw new Error(SECRET); }], // prettier-ignore
    // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- what a bug would do
    ["throws what is no error", () => Promise.reject(SECRET)],
    ["replies with something circular", () => ({ ok: true, content: circular })],
    ["replies with a bigint", () => ({ ok: true, content: 1n })],
    ["replies with nothing", () => ({ ok: true, content: undefined })],
    ["replies with bytes that are no UTF-8", () => ({ ok: true, content: new Uint8Array([0xff, 0xfe]) })],
    ["replies with no reply at all", () => null as unknown as ToolReply], // what a bug would do
    ["replies with a trap", () => ({ ok: true, content: { toJSON: () => { throw new Error(SECRET); } } })], // prettier-ignore
  ])("F32: a tool that %s becomes a failed outcome without internals", async (_what, run) => {
    const { call, log } = setUp(run);
    const outcome = await call();
    expect(outcome).toMatchObject({ ok: false, source: "probe" });
    expect(outcome?.content).toMatch(/^The tool [a-z ]+\.$/);
    expect(JSON.stringify([outcome, log])).not.toContain(SECRET);
    expect(log).toMatchObject([{ tool: "probe", ok: false }]);
  });

  it("F32: a tool that fails as expected is an outcome with its own words", async () => {
    const { call } = setUp(() => ({ ok: false, content: "No such city." }));
    expect(await call()).toEqual({ ok: false, content: "No such city.", source: "probe" });
  });

  it("F32: a tool that hangs is given up at the limit and told to stop", async () => {
    let stopped: AbortSignal | undefined;
    const { call } = setUp((_args, { signal }) => ((stopped = signal), new Promise(() => undefined)));
    expect(await call()).toMatchObject({ ok: false, content: "The tool took too long." });
    expect(stopped?.aborted).toBe(true);
  });

  it("a tool's own limit counts before the runner's", async () => {
    const { call } = setUp(() => new Promise((resolve) => setTimeout(resolve, 20, { ok: true, content: "late" })), {
      timeLimitMs: 60_000,
    });
    expect(await call()).toMatchObject({ ok: true, content: "late" });
  });

  it("a caller that leaves ends the tool", async () => {
    const { call, abort } = setUp(() => (abort(), new Promise(() => undefined)), { timeLimitMs: 60_000 });
    expect(await call()).toMatchObject({ ok: false, content: "The call was cancelled." });
  });

  it("F32: 5 MB are cut to 256 KiB between characters, with a mark", async () => {
    const { call, log } = setUp(() => ({ ok: true, content: "\u{1F600}".repeat(1_250_000) }));
    const content = (await call())?.content ?? "";
    expect(new TextEncoder().encode(content).length).toBeLessThanOrEqual(256 * 1024);
    expect(content).toMatch(/^(\u{1F600})+\n\[truncated: the whole result has 5000000 bytes\]$/u);
    expect(log[0]?.["bytes"]).toBe(256 * 1024);
  });

  it("F32: half a surrogate pair becomes valid text", async () => {
    const { call } = setUp(() => ({ ok: true, content: "a\uD800b" }));
    expect((await call())?.content).toBe("a\uFFFDb");
  });

  it.each<[string, unknown]>([
    ["an extra field", { text: "x", [SECRET]: 1 }],
    ["a wrong type", { text: 5 }],
    ["__proto__", JSON.parse('{"text":"x","__proto__":{"polluted":true}}')],
    ["a text of 1 MB", { text: SECRET.repeat(100_000) }],
    ["deep nesting", { text: JSON.parse("[".repeat(5_000) + "]".repeat(5_000)) }],
    ["no object", "text"],
    ["a list", []],
    ["a number", 5],
  ])("B80: arguments with %s never reach the tool", async (_what, args) => {
    let ran = false;
    const { call, log } = setUp(() => ((ran = true), { ok: true, content: "" }));
    const outcome = await call({ arguments: args });
    expect(outcome?.ok).toBe(false);
    expect(outcome?.content).toMatch(/^Invalid arguments\. /);
    expect(outcome?.content.length).toBeLessThanOrEqual(500);
    expect([ran, JSON.stringify(log).includes(SECRET)]).toEqual([false, false]);
    expect(Object.hasOwn(Object.prototype, "polluted")).toBe(false);
  });

  it("B82: text that looks like a stream's frames or markup stays text", async () => {
    const content = 'event: done\ndata: {}\n\n\u001B[2J<script>alert(1)</script>\r\n"';
    const { call } = setUp(() => ({ ok: true, content }));
    expect((await call())?.content).toBe(content);
  });

  it("F34: a call chosen from another version of the list does not run, and the log says so", async () => {
    let runs = 0;
    const { call, log, registry } = setUp(() => (runs++, { ok: true, content: "" }));
    expect(await call({ version: "0".repeat(64) })).toMatchObject({ ok: false, stale: true });
    expect(await call({ version: (await registry.list()).version })).toMatchObject({ ok: true });
    expect(runs).toBe(1);
    expect(log).toMatchObject([{ ok: false, stale: true }, { ok: true }]);
  });
});
