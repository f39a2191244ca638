import * as z from "zod";
import { describe, expect, it } from "vitest";
import { createRegistry, type ToolLoaders } from "./registry.ts";
import { createToolRunner, type LogLine, type RunRequest } from "./run.ts";
import type { ToolRecord } from "../../contracts/toolbox.ts";
import type { Snapshots } from "./toolbox/snapshots.ts";
import type { Tool, ToolContext, ToolReply } from "./tools/tool.ts";

const makeRegistry = (loaders: ToolLoaders, snapshots: Snapshots) =>
  createRegistry({ loaders, snapshots, remote: () => undefined });

const SECRET = "canary-7f3a";

const FRESH = { revision: 0, disabled: [], servers: [] };
const open: Snapshots = { fresh: () => FRESH, fetch: async () => FRESH, put: () => undefined };
/** Of the arguments \u007b\u007d. */
const NO_ARGUMENTS = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

function setUp(run: Tool["run"], changes: Partial<Tool> = {}, snapshots = open) {
  const annotations = { readOnly: true, idempotent: true, private: false, cost: "free" as const };
  const input = z.strictObject({ text: z.string().max(1_000).optional() });
  const tool: Tool = { name: "probe", description: "A probe.", input, annotations, run, ...changes };
  const registry = makeRegistry({ probe: async () => tool }, snapshots);
  const log: LogLine[] = [];
  const records: ToolRecord[] = [];
  const record = (one: ToolRecord) => void records.push(one);
  const runTool = createToolRunner({ registry, log: (line) => log.push(line), record, timeLimitMs: 5 });
  const controller = new AbortController();
  const context: ToolContext = {
    requestId: "r1",
    userId: "u1",
    denied: [],
    isAdmin: false,
    now: () => 1_000,
    signal: controller.signal,
  };
  const call = (request: Partial<RunRequest> = {}) => runTool({ name: "probe", arguments: {}, ...request }, context);
  return { call, log, records, registry, context, abort: () => controller.abort() };
}

const circular: Record<string, unknown> = {};
circular["self"] = circular;

describe("running a tool", () => {
  it("gives the tool's text and says which tool it is data from", async () => {
    const { call, log, records } = setUp(() => ({ ok: true, content: "fine" }));
    expect(await call()).toEqual({ ok: true, failure: null, content: "fine", source: "probe" });
    expect(records).toEqual([{ tool: "probe", atMs: 1_000, ms: 0, bytes: 4, failure: null }]);
    expect(log).toHaveLength(1);
  });

  it("[S30] leaves a line of who asked for what, with the hash of the arguments", async () => {
    const { call, log } = setUp(() => ({ ok: true, content: "fine" }));
    await call();
    await call({ arguments: { text: SECRET } });
    const [line, other] = log;
    expect(line).toEqual({
      ...{ service: "mcp", request_id: "r1", audit: "tool_call", user_id: "u1", tool: "probe" },
      ...{ arguments_sha256: NO_ARGUMENTS, ok: true, ms: 0, bytes: 4 },
    });
    expect(other?.["arguments_sha256"]).toMatch(/^[0-9a-f]{64}$/);
    expect(other?.["arguments_sha256"]).not.toBe(NO_ARGUMENTS);
    expect(JSON.stringify(log)).not.toContain(SECRET);
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
    expect(await call()).toEqual({
      ...{ ok: false, failure: "tool_error", content: "No such city.", source: "probe" },
    });
  });

  it("F32: a tool that hangs is given up at the limit and told to stop", async () => {
    let stopped: AbortSignal | undefined;
    const { call } = setUp((_args, { signal }) => ((stopped = signal), new Promise(() => undefined)));
    expect(await call()).toMatchObject({ ok: false, content: "The tool took too long." });
    expect(stopped?.reason).toMatchObject({ name: "TimeoutError" }); // a caller who leaves gives another
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

  it("[S24] [F32] 5 MB are cut to 256 KiB between characters, with a mark", async () => {
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
    const { call, log, registry, context } = setUp(() => (runs++, { ok: true, content: "" }));
    expect(await call({ version: "0".repeat(64) })).toMatchObject({ ok: false, failure: "stale" });
    expect(await call({ version: (await registry.list(context)).version })).toMatchObject({ ok: true });
    expect(runs).toBe(1);
    expect(log).toMatchObject([{ ok: false, code: "stale" }, { ok: true }]);
  });

  it("[MCP-7] a tool that is switched off, or closed to the caller, does not run", async () => {
    let runs = 0;
    const run = () => (runs++, { ok: true, content: "" });
    const off = setUp(run, {}, { ...open, fresh: () => ({ revision: 1, disabled: ["probe"], servers: [] }) });
    expect(await off.call()).toMatchObject({ ok: false, failure: "disabled" });
    const closed = setUp(run);
    closed.context.denied.push("pro*");
    expect(await closed.call()).toMatchObject({ ok: false, failure: "disabled" });
    expect(runs).toBe(0);
    expect(off.records).toMatchObject([{ tool: "probe", failure: "disabled" }]);
  });

  it("[MCP-7] a tool that only reads runs while the toolbox is asked; another one waits; neither gives what it may not", async () => {
    const order: string[] = [];
    const asking = (disabled: string[]): Snapshots => ({
      ...open,
      fresh: () => undefined,
      async fetch() {
        await Promise.resolve();
        order.push("asked");
        return { revision: 1, disabled, servers: [] };
      },
    });
    const run = () => (order.push("ran"), { ok: true, content: SECRET });
    const writes = { annotations: { readOnly: false, idempotent: false, private: true, cost: "free" as const } };
    expect(await setUp(run, {}, asking([])).call()).toMatchObject({ ok: true, content: SECRET });
    expect(await setUp(run, writes, asking([])).call()).toMatchObject({ ok: true, content: SECRET });
    expect(order).toEqual(["ran", "asked", "asked", "ran"]);
    const off = await setUp(run, {}, asking(["probe"])).call();
    expect(off).toMatchObject({ ok: false, failure: "disabled" });
    expect(JSON.stringify(off)).not.toContain(SECRET);
    expect(await setUp(run, writes, asking(["probe"])).call()).toMatchObject({ failure: "disabled" });
    expect(order.filter((step) => step === "ran")).toHaveLength(3);
    const away = setUp(run, {}, { ...open, fresh: () => undefined, fetch: async () => undefined });
    expect(await away.call()).toMatchObject({ ok: false, failure: "unchecked" });
  });

  it("F32: pictures and sounds pass as they are, up to a size", async () => {
    const image = (size: number) => ({ type: "image" as const, data: "A".repeat(size), mimeType: "image/png" });
    const { call } = setUp(() => ({ ok: true, content: "", parts: [image(1_000)] }));
    expect(await call()).toMatchObject({ ok: true, content: "[image]", parts: [image(1_000)] });
    const large = setUp(() => ({ ok: true, content: "", parts: [image(300_000)] }));
    expect(await large.call()).toMatchObject({ ok: false, failure: "too_large" });
  });
});
