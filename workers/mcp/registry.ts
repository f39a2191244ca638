/**
 * The tools by name, and who may use which now. A tool's module loads when it is first wanted; definitions and versions (SHA-256 of the
 * canonical definitions of what a caller may use) are kept as plain data once made. Refuses to list a definition that could mislead its reader.
 */
import { canonicalJson } from "../../contracts/canonical.ts";
import { matchesTool } from "../../contracts/approvals.ts";
import type { ToolDefinition, ToolList } from "../../contracts/tools.ts";
import { define, sha256 } from "./definitions.ts";
import { type RemoteServer, splitName } from "./gateway/server.ts";
import type { Snapshot } from "./toolbox/object.ts";
import type { Snapshots } from "./toolbox/snapshots.ts";
import type { Caller, Tool } from "./tools/tool.ts";

export type ToolLoaders = Record<string, () => Promise<Tool>>;

export interface KnownTool {
  definition: ToolDefinition;
  /** The remote server that it comes from. */
  server: string | null;
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

/** `changed`: its server says something else of it than was accepted. `unchecked`: the toolbox cannot be reached. */
export type Verdict = "open" | "disabled" | "stale" | "changed" | "unchecked";

export interface Judgement {
  /** The verdict is known here: nobody else is asked. */
  isLocal: boolean;
  verdict: Promise<Verdict>;
}

/** A version is made once for each set of tools; of these there are few. */
const MAX_VERSIONS = 100;

export interface RegistryOptions {
  loaders: ToolLoaders;
  snapshots: Snapshots;
  /** Makes a tool of a remote server's. */
  remote(server: RemoteServer, name: string): Tool | undefined;
}

export function createRegistry({ loaders, snapshots, remote }: RegistryOptions): Registry {
  let known: ToolDefinition[] | undefined;
  const versionOf = createVersions();

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
  const everything = async (snapshot: Snapshot): Promise<ToolDefinition[]> =>
    [...(await definitions()), ...snapshot.servers.flatMap(({ accepted }) => accepted.tools)].sort(byName);

  const openTools = async (snapshot: Snapshot, caller: Caller) =>
    (await everything(snapshot)).filter(({ name }) => judgeName(name, snapshot, caller) === "open");
  const versionFor = async (snapshot: Snapshot, caller: Caller) =>
    versionOf(await openTools(snapshot, caller), snapshot);

  return {
    async list(caller) {
      const snapshot = await current();
      const tools = await openTools(snapshot, caller);
      return { version: await versionOf(tools, snapshot), tools };
    },
    async listAll(caller) {
      const snapshot = await current();
      return (await everything(snapshot)).map((definition) => ({
        definition,
        server: serverOf(definition.name, snapshot)?.name ?? null,
        enabled: judgeName(definition.name, snapshot, caller) === "open",
      }));
    },
    async find(name) {
      // own properties only: a name such as "constructor" is nobody's tool
      if (Object.hasOwn(loaders, name)) return loaders[name]?.();
      if (splitName(name) === undefined) return undefined;
      const server = serverOf(name, await current());
      return server && remote(server, name);
    },
    judge({ name, version }, caller) {
      const fresh = snapshots.fresh();
      const decide = async (): Promise<Verdict> => {
        const snapshot = fresh ?? (await snapshots.fetch());
        if (snapshot === undefined) return "unchecked";
        const verdict = judgeName(name, snapshot, caller);
        if (verdict !== "open") return verdict;
        return version === undefined || version === (await versionFor(snapshot, caller)) ? "open" : "stale";
      };
      return { isLocal: fresh !== undefined, verdict: decide() };
    },
  };
}

function createVersions() {
  const versions = new Map<string, string>();
  return async (tools: ToolDefinition[], { servers }: Snapshot): Promise<string> => {
    // Our own definitions do not change while an isolate lives; a server's do, with its hash or by another registration.
    const lists = servers.map(({ accepted, createdAtMs }) => `${accepted.hash} ${createdAtMs}`);
    const key = [...lists, ...tools.map(({ name }) => name)].join(" ");
    const version = versions.get(key) ?? (await sha256(canonicalJson(tools)));
    if (versions.size >= MAX_VERSIONS) versions.clear();
    versions.set(key, version);
    return version;
  };
}

function judgeName(name: string, snapshot: Snapshot, { denied }: Caller): "open" | "disabled" | "changed" {
  const isOff = snapshot.disabled.includes(name) || denied.some((glob) => matchesTool(glob, name));
  if (isOff) return "disabled";
  return serverOf(name, snapshot)?.pending === undefined ? "open" : "changed";
}

function serverOf(name: string, { servers }: Snapshot): RemoteServer | undefined {
  return servers.find(({ accepted }) => accepted.tools.some((tool) => tool.name === name));
}

function byName(a: ToolDefinition, b: ToolDefinition): number {
  return a.name < b.name ? -1 : 1;
}
