import * as z from "zod";
import { describe, expect, it } from "vitest";
import { ToolDefinition } from "../../contracts/tools.ts";
import { TOOL_LOADERS } from "./catalog.ts";
import { createRegistry, type ToolLoaders } from "./registry.ts";
import type { Snapshots } from "./toolbox/snapshots.ts";
import type { Tool, ToolContext } from "./tools/tool.ts";

const makeRegistry = (loaders: ToolLoaders, snapshots: Snapshots) =>
  createRegistry({ loaders, snapshots, remote: () => undefined });

const context: ToolContext = {
  requestId: "r",
  userId: "u",
  denied: [],
  isAdmin: false,
  now: () => Date.UTC(2026, 0, 2, 3, 4, 5),
  signal: new AbortController().signal,
};

const open: Snapshots = {
  fresh: () => ({ revision: 0, disabled: [], servers: [] }),
  fetch: async () => undefined,
  put: () => undefined,
};

function fakeTool(changes: Partial<Tool> = {}): Tool {
  const annotations = { readOnly: true, idempotent: true, private: false, cost: "free" as const };
  return {
    name: "probe",
    description: "A probe.",
    input: z.strictObject({}),
    annotations,
    run: () => ({ ok: true, content: "" }),
    ...changes,
  };
}

const versionOf = async (changes: Partial<Tool>) =>
  (await makeRegistry({ probe: async () => fakeTool(changes) }, open).list(context)).version;

describe("the registry", () => {
  it("lists every tool with the JSON Schema of its arguments, sorted by name", async () => {
    const { tools } = await makeRegistry(TOOL_LOADERS, open).list(context);
    expect(tools.map((tool) => tool.name)).toEqual(["calculator", "current_time", "echo"]);
    for (const tool of tools) {
      expect(ToolDefinition.parse(tool)).toEqual(tool);
      expect(tool.inputSchema).toMatchObject({ type: "object", additionalProperties: false });
    }
  });

  it("F34: gives the same version for the same definitions, and another for any change of them", async () => {
    const version = await versionOf({});
    expect(version).toMatch(/^[0-9a-f]{64}$/);
    expect(await versionOf({})).toBe(version);
    const others = await Promise.all([
      versionOf({ description: "Another probe." }),
      versionOf({ input: z.strictObject({ x: z.string() }) }),
      versionOf({ annotations: { ...fakeTool().annotations, readOnly: false } }),
    ]);
    expect(new Set([version, ...others]).size).toBe(4);
  });

  it("[MCP-7] lists only what is neither switched off nor closed to the caller, as another version", async () => {
    const registryOf = (disabled: string[]) =>
      makeRegistry(TOOL_LOADERS, { ...open, fresh: () => ({ revision: 1, disabled, servers: [] }) });
    const all = await registryOf([]).list(context);
    const fewer = await registryOf(["echo"]).list(context);
    const fewest = await registryOf(["echo"]).list({ ...context, denied: ["calc*"] });
    expect([fewer, fewest].map(({ tools }) => tools.map(({ name }) => name))).toEqual([
      ["calculator", "current_time"],
      ["current_time"],
    ]);
    expect(new Set([all, fewer, fewest].map(({ version }) => version)).size).toBe(3);
    const known = await registryOf(["echo"]).listAll({ ...context, denied: ["calc*"] });
    expect(known.map(({ definition, enabled }) => [definition.name, enabled])).toEqual([
      ["calculator", false],
      ["current_time", true],
      ["echo", false],
    ]);
  });

  it("[MCP-7] asks the toolbox only when what it knows is old, and says so", async () => {
    let asked = 0;
    const old: Snapshots = {
      ...open,
      fresh: () => undefined,
      fetch: async () => ((asked += 1), { revision: 2, disabled: ["echo"], servers: [] }),
    };
    const judge = (snapshots: Snapshots) => makeRegistry(TOOL_LOADERS, snapshots).judge({ name: "echo" }, context);
    const [known, unknown] = [judge(open), judge(old)];
    expect([known.isLocal, await known.verdict]).toEqual([true, "open"]);
    expect([unknown.isLocal, await unknown.verdict]).toEqual([false, "disabled"]);
    expect(asked).toBe(1);
    expect(await judge({ ...old, fetch: async () => undefined }).verdict).toBe("unchecked");
  });

  it("loads a tool only when it is wanted", async () => {
    const loaded: string[] = [];
    const load = (name: string) => async () => {
      loaded.push(name);
      return fakeTool({ name });
    };
    const registry = makeRegistry({ a: load("a"), b: load("b") }, open);
    expect(loaded).toEqual([]);
    await registry.find("b");
    expect(loaded).toEqual(["b"]);
  });

  it.each(["", "nobody", "constructor", "__proto__", "toString"])("finds no tool named %j", async (name) => {
    expect(await makeRegistry(TOOL_LOADERS, open).find(name)).toBeUndefined();
  });

  it.each([
    ["is too long", { description: "x".repeat(1_025) }],
    ["holds invisible text", { description: "Fine.\u{E0041}\u{E0042}" }],
    ["holds a text-direction mark", { description: "Fine.\u202E" }],
    ["hides text in a field's description", { input: z.strictObject({ x: z.string().describe("a\u200Bb") }) }],
    ["has another name than its key", { name: "other" }],
  ])("S23: refuses a definition that %s", async (_why, changes) => {
    await expect(versionOf(changes)).rejects.toThrow("tool's");
  });
});

describe("the tools", () => {
  const run = async (name: string, args: unknown) => {
    const tool = await makeRegistry(TOOL_LOADERS, open).find(name);
    return tool?.run(tool.input.parse(args), context);
  };

  it.each([
    ["17*23", "391"],
    ["0.1+0.2", "0.3"],
    ["1/3", "0.333333333333333"],
    ["0 * -1", "0"],
    ["2^53 - 1", "9007199254740991"],
    ["2^60", "1.15292150460685e+18"],
    ["5 > 3", "true"],
  ])("the calculator answers %s with %s", async (expression, content) => {
    expect(await run("calculator", { expression })).toEqual({ ok: true, content });
  });

  it("the calculator refuses what it cannot compute, as an outcome", async () => {
    expect(await run("calculator", { expression: "9^9^9^9" })).toEqual({
      ok: false,
      content: "The result is not a finite number.",
    });
    await expect(run("calculator", { expression: "1".repeat(501) })).rejects.toThrow(z.ZodError);
  });

  it.each([
    [{}, "2026-01-02T03:04:05+00:00 (Friday, UTC)"],
    [{ timezone: "Asia/Kolkata" }, "2026-01-02T08:34:05+05:30 (Friday, Asia/Kolkata)"],
    [{ timezone: "America/New_York" }, "2026-01-01T22:04:05-05:00 (Thursday, America/New_York)"],
  ])("the time for %j is %s", async (args, content) => {
    expect(await run("current_time", args)).toEqual({ ok: true, content });
  });

  it("there is no time in a zone that does not exist", async () => {
    expect(await run("current_time", { timezone: "Mars/Olympus" })).toMatchObject({ ok: false });
  });

  it("echo gives its text back byte for byte", async () => {
    const text = "a\u202E 'x' <b> \u{1F600}\n";
    expect(await run("echo", { text })).toEqual({ ok: true, content: text });
  });
});
