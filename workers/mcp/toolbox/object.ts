/**
 * The Durable Object that holds what is switched on and off while the deployment runs: one for all. State: its SQLite. Isolates keep a copy
 * for seconds (snapshots.ts), so it is asked seldom, and never once for each call.
 */
import { DurableObject } from "cloudflare:workers";

/** All that an isolate needs of it; `revision` rises with each change. */
export interface Snapshot {
  revision: number;
  disabled: string[];
}

export class ToolboxObject<Env = unknown> extends DurableObject<Env> {
  readonly #sql: SqlStorage;

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    this.#sql = state.storage.sql;
    this.#sql.exec(
      "CREATE TABLE IF NOT EXISTS revision (id INTEGER PRIMARY KEY CHECK (id = 1), number INTEGER NOT NULL)",
    );
    this.#sql.exec("CREATE TABLE IF NOT EXISTS disabled (tool TEXT PRIMARY KEY)");
  }

  snapshot(): Snapshot {
    const [row] = this.#sql.exec("SELECT number FROM revision").toArray();
    const disabled = this.#sql.exec("SELECT tool FROM disabled ORDER BY tool").toArray();
    return { revision: Number(row?.["number"] ?? 0), disabled: disabled.map(({ tool }) => String(tool)) };
  }

  setEnabled(tool: string, enabled: boolean): Snapshot {
    const { rowsWritten } = enabled
      ? this.#sql.exec("DELETE FROM disabled WHERE tool = ?", tool)
      : this.#sql.exec("INSERT INTO disabled (tool) VALUES (?) ON CONFLICT DO NOTHING", tool);
    if (rowsWritten > 0) this.#revise();
    return this.snapshot();
  }

  #revise(): void {
    this.#sql.exec(
      "INSERT INTO revision (id, number) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET number = number + 1",
    );
  }
}
