/**
 * The Durable Object that holds what is switched on and off, and which remote servers have joined, while the deployment runs: one for all.
 * State: its SQLite. Isolates keep a copy for seconds (snapshots.ts), so it is asked seldom, and never once for each call.
 */
import { DurableObject } from "cloudflare:workers";
import type { OfferedList, RemoteServer } from "../gateway/server.ts";

/** All that an isolate needs of it; `revision` rises with each change. */
export interface Snapshot {
  revision: number;
  disabled: string[];
  servers: RemoteServer[];
}

const MAX_SERVERS = 32;
/** Of all servers together: with our own ones they fit into one list of main's. */
const MAX_TOOLS = 96;

export type ServerChange =
  | { ok: true; snapshot: Snapshot }
  | { ok: false; why: "taken" | "too_many" | "missing" | "other" };

export class ToolboxObject<Env = unknown> extends DurableObject<Env> {
  readonly #sql: SqlStorage;

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    this.#sql = state.storage.sql;
    for (const statement of [
      "CREATE TABLE IF NOT EXISTS revision (id INTEGER PRIMARY KEY CHECK (id = 1), number INTEGER NOT NULL)",
      "CREATE TABLE IF NOT EXISTS disabled (tool TEXT PRIMARY KEY)",
      "CREATE TABLE IF NOT EXISTS servers (name TEXT PRIMARY KEY, server TEXT NOT NULL)",
    ]) {
      this.#sql.exec(statement);
    }
  }

  snapshot(): Snapshot {
    const [row] = this.#sql.exec("SELECT number FROM revision").toArray();
    const disabled = this.#sql.exec("SELECT tool FROM disabled ORDER BY tool").toArray();
    const servers = this.#sql.exec("SELECT server FROM servers ORDER BY name").toArray();
    return {
      revision: Number(row?.["number"] ?? 0),
      disabled: disabled.map(({ tool }) => String(tool)),
      servers: servers.map(({ server }) => JSON.parse(String(server)) as RemoteServer), // as it was stored
    };
  }

  setEnabled(tool: string, enabled: boolean): Snapshot {
    const { rowsWritten } = enabled
      ? this.#sql.exec("DELETE FROM disabled WHERE tool = ?", tool)
      : this.#sql.exec("INSERT INTO disabled (tool) VALUES (?) ON CONFLICT DO NOTHING", tool);
    if (rowsWritten > 0) this.#revise();
    return this.snapshot();
  }

  addServer(server: RemoteServer): ServerChange {
    const { servers } = this.snapshot();
    if (servers.some(({ name }) => name === server.name)) return { ok: false, why: "taken" };
    if (servers.length >= MAX_SERVERS) return { ok: false, why: "too_many" };
    if (!this.#hasRoomFor(server)) return { ok: false, why: "too_many" };
    return this.#store(server);
  }

  /** A list that differs from the accepted one closes the server's tools; the accepted one again opens them. */
  setPending(name: string, list: OfferedList): ServerChange {
    const server = this.#find(name);
    if (server === undefined) return { ok: false, why: "missing" };
    const { pending: _, ...rest } = server;
    return this.#store(list.hash === server.accepted.hash ? rest : { ...rest, pending: list });
  }

  accept(name: string, hash: string): ServerChange {
    const server = this.#find(name);
    if (server === undefined) return { ok: false, why: "missing" };
    const { pending, ...rest } = server;
    if (pending?.hash !== hash) return { ok: false, why: "other" };
    const changed = { ...rest, accepted: pending };
    return this.#hasRoomFor(changed) ? this.#store(changed) : { ok: false, why: "too_many" };
  }

  removeServer(name: string): ServerChange {
    const { rowsWritten } = this.#sql.exec("DELETE FROM servers WHERE name = ?", name);
    if (rowsWritten === 0) return { ok: false, why: "missing" };
    this.#revise();
    return { ok: true, snapshot: this.snapshot() };
  }

  /** Beside the tools of the other servers. */
  #hasRoomFor({ name, accepted }: RemoteServer): boolean {
    const others = this.snapshot().servers.filter((server) => server.name !== name);
    const count = others.reduce((sum, server) => sum + server.accepted.tools.length, accepted.tools.length);
    return count <= MAX_TOOLS;
  }

  #find(name: string): RemoteServer | undefined {
    return this.snapshot().servers.find((server) => server.name === name);
  }

  #store(server: RemoteServer): ServerChange {
    this.#sql.exec("INSERT OR REPLACE INTO servers (name, server) VALUES (?, ?)", server.name, JSON.stringify(server));
    this.#revise();
    return { ok: true, snapshot: this.snapshot() };
  }

  #revise(): void {
    this.#sql.exec(
      "INSERT INTO revision (id, number) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET number = number + 1",
    );
  }
}
