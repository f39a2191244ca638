/**
 * The tools by name, and who may use which now. A tool's module loads when it is first wanted; definitions and versions (SHA-256 of the
 * canonical definitions of what a caller may use) are kept as plain data once made. Refuses to list a definition that could mislead its reader.
 */
import { matchesTool } from "../../contracts/approvals.ts";
import type { ToolDefinition, ToolList } from "../../contracts/tools.ts";
import { canonicalJson, define, sha256 } from "./definitions.ts";
import type { Snapshot } from "./toolbox/object.ts";
import type { Snapshots } from "./toolbox/snapshots.ts";
import type { Caller, Tool } from "./tools/tool.ts";

export type ToolLoaders = Record<string, () => Promise<Tool>>;

export interface KnownTool {
  definition: ToolDefinition;
  /** For the one who asks. */
  enabled: boolean;
}

export interface Registry {
  /** What the caller may use, sorted by name, so that the same tools always give the same text. */
  list(caller: Caller): Promise<ToolList>;
  /** Everything that is there, sorted by name. */
  listAll(caller: Caller): Promise<KnownTool[]>;
  /** Undefined when there is no such tool. */
  find(name: string): Promise<Tool | undefined>;
  /** Whether the caller may use it now, and whether the list is still the one that it was chosen from. */
  judge(call: { name: string; version?: string | undefined }, caller: Caller): Judgement;
}

/** `unchecked`: the toolbox cannot be reached. */
export type Verdict = "open" | "disabled" | "stale" | "unchecked";

export interface Judgement {
  /** The verdict is known here: nobody else is asked. */
  isLocal: boolean;
  verdict: Promise<Verdict>;
}

/** A version is made once for each set of tools; of these there are few. */
const MAX_VERSIONS = 100;

export function createRegistry(loaders: ToolLoaders, snapshots: Snapshots): Registry {
  let known: ToolDefinition[] | undefined;
  const versions = new Map<string, string>();

  const definitions = async (): Promise<ToolDefinition[]> => {
    known ??= await Promise.all(
      Object.keys(loaders)
        .sort()
        .map(async (name) => define(name, await loaders[name]?.())),
    );
    return known;
  };
  const current = async (): Promise<Snapshot> => {
    const snapshot = snapshots.fresh() ?? (await snapshots.fetch());
    if (snapshot === undefined) throw new Error("the toolbox cannot be reached");
    return snapshot;
  };
  const versionOf = async (tools: ToolDefinition[]): Promise<string> => {
    const names = tools.map(({ name }) => name).join(" ");
    const version = versions.get(names) ?? (await sha256(canonicalJson(tools)));
    if (versions.size < MAX_VERSIONS) versions.set(names, version);
    return version;
  };

  const openTools = async (snapshot: Snapshot, caller: Caller) =>
    (await definitions()).filter(({ name }) => isOpen(name, snapshot, caller));
  const versionFor = async (snapshot: Snapshot, caller: Caller) => versionOf(await openTools(snapshot, caller));

  return {
    async list(caller) {
      const tools = await openTools(await current(), caller);
      return { version: await versionOf(tools), tools };
    },
    async listAll(caller) {
      const snapshot = await current();
      return (await definitions()).map((definition) => ({
        definition,
        enabled: isOpen(definition.name, snapshot, caller),
      }));
    },
    // own properties only: a name such as "constructor" is nobody's tool
    find: async (name) => (Object.hasOwn(loaders, name) ? await loaders[name]?.() : undefined),
    judge({ name, version }, caller) {
      const fresh = snapshots.fresh();
      const verdict = async (): Promise<Verdict> => {
        const snapshot = fresh ?? (await snapshots.fetch());
        if (snapshot === undefined) return "unchecked";
        if (!isOpen(name, snapshot, caller)) return "disabled";
        return version === undefined || version === (await versionFor(snapshot, caller)) ? "open" : "stale";
      };
      return { isLocal: fresh !== undefined, verdict: verdict() };
    },
  };
}

function isOpen(name: string, { disabled }: Snapshot, { denied }: Caller): boolean {
  return !disabled.includes(name) && !denied.some((glob) => matchesTool(glob, name));
}
