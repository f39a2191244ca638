/**
 * The Durable Object that counts calls of tools, told of each behind its reply. State: its SQLite, one row a tool and hour, kept for a week.
 * Holds no arguments, no results and no users.
 */
import { DurableObject } from "cloudflare:workers";
import { ToolFailure, type ToolFigures, type ToolRecord } from "../../../contracts/toolbox.ts";
import { addBuckets, addTime, type Buckets, NO_TIMES, percentile } from "./histogram.ts";

const HOUR_MS = 3_600_000;
const KEPT_HOURS = 7 * 24;

interface HourRow {
  calls: number;
  failures: number;
  hits: number;
  bytes: number;
  times: Buckets;
}

const NOTHING: HourRow = { calls: 0, failures: 0, hits: 0, bytes: 0, times: NO_TIMES };

export class MonitorObject<Env = unknown> extends DurableObject<Env> {
  readonly #sql: SqlStorage;
  readonly #now: () => number;

  constructor(state: DurableObjectState, env: Env, now: () => number) {
    super(state, env);
    this.#sql = state.storage.sql;
    this.#now = now;
    this.#sql.exec(`CREATE TABLE IF NOT EXISTS hours (
      tool TEXT NOT NULL, hour INTEGER NOT NULL, calls INTEGER NOT NULL, failures INTEGER NOT NULL,
      hits INTEGER NOT NULL, bytes INTEGER NOT NULL, times TEXT NOT NULL, PRIMARY KEY (tool, hour)) WITHOUT ROWID`);
    this.#sql.exec(
      "CREATE TABLE IF NOT EXISTS errors (tool TEXT PRIMARY KEY, code TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID",
    );
  }

  record({ tool, atMs, ms, bytes, failure }: ToolRecord): void {
    const hour = Math.floor(atMs / HOUR_MS);
    const row = this.#read(tool, hour);
    this.#write(tool, hour, {
      ...{ calls: row.calls + 1, failures: row.failures + Number(failure !== null), hits: row.hits },
      ...{ bytes: row.bytes + bytes, times: addTime(row.times, ms) },
    });
    if (failure === null) return;
    this.#sql.exec(
      "INSERT INTO errors (tool, code, at) VALUES (?, ?, ?) ON CONFLICT (tool) DO UPDATE SET code = excluded.code, at = excluded.at",
      ...[tool, failure, atMs],
    );
  }

  /** The cache stood in for a call of each. */
  noteHits(tools: string[]): void {
    const hour = Math.floor(this.#now() / HOUR_MS);
    for (const tool of tools) {
      const row = this.#read(tool, hour);
      this.#write(tool, hour, { ...row, calls: row.calls + 1, hits: row.hits + 1 });
    }
  }

  stats(hours: number): ToolFigures[] {
    const since = Math.floor(this.#now() / HOUR_MS) - hours;
    const rows = this.#sql.exec("SELECT * FROM hours WHERE hour > ? ORDER BY tool", since).toArray();
    const byTool = Map.groupBy(rows, (row) => String(row["tool"]));
    return [...byTool].map(([tool, own]) => this.#figures(tool, own.map(toRow).reduce(add, NOTHING)));
  }

  override async alarm(): Promise<void> {
    this.#sql.exec("DELETE FROM hours WHERE hour <= ?", Math.floor(this.#now() / HOUR_MS) - KEPT_HOURS);
    const [left] = this.#sql.exec("SELECT 1 FROM hours LIMIT 1").toArray();
    if (left !== undefined) await this.ctx.storage.setAlarm(this.#now() + 24 * HOUR_MS);
  }

  #figures(tool: string, { calls, failures, hits, bytes, times }: HourRow): ToolFigures {
    const [error] = this.#sql.exec("SELECT code, at FROM errors WHERE tool = ?", tool).toArray();
    const code = ToolFailure.safeParse(error?.["code"]);
    return {
      ...{ tool_name: tool, executions: calls, failures, cache_hits: hits, bytes },
      ...{ p50_ms: percentile(times, 0.5), p95_ms: percentile(times, 0.95) },
      last_error: code.success ? { code: code.data, at: new Date(Number(error?.["at"])).toISOString() } : null,
    };
  }

  #read(tool: string, hour: number): HourRow {
    const [row] = this.#sql.exec("SELECT * FROM hours WHERE tool = ? AND hour = ?", tool, hour).toArray();
    return row ? toRow(row) : NOTHING;
  }

  #write(tool: string, hour: number, { calls, failures, hits, bytes, times }: HourRow): void {
    if (calls === 1) void this.#forgetLater();
    this.#sql.exec(
      "INSERT OR REPLACE INTO hours (tool, hour, calls, failures, hits, bytes, times) VALUES (?, ?, ?, ?, ?, ?, ?)",
      ...[tool, hour, calls, failures, hits, bytes, JSON.stringify(times)],
    );
  }

  async #forgetLater(): Promise<void> {
    const alarm = await this.ctx.storage.getAlarm();
    if (alarm === null) await this.ctx.storage.setAlarm(this.#now() + 24 * HOUR_MS);
  }
}

function toRow(row: Record<string, SqlStorageValue>): HourRow {
  return {
    ...{ calls: Number(row["calls"]), failures: Number(row["failures"]), hits: Number(row["hits"]) },
    bytes: Number(row["bytes"]),
    times: JSON.parse(String(row["times"])) as Buckets, // as it was written
  };
}

function add(a: HourRow, b: HourRow): HourRow {
  return {
    ...{ calls: a.calls + b.calls, failures: a.failures + b.failures, hits: a.hits + b.hits },
    ...{ bytes: a.bytes + b.bytes, times: addBuckets(a.times, b.times) },
  };
}
