/**
 * The Durable Object that adds up one share of the figures. State: its SQLite, one row for all counters and histograms, written once a
 * batch before it is answered for, so that no figure that was shown ever falls; gauges in memory, since each isolate tells its own again.
 */
import { DurableObject } from "cloudflare:workers";
import { addObserved, type Figures, metricOf, type MetricsShard, type Observed } from "../../../contracts/metrics.ts";

/** With labels of 64 characters the row stays below its 2 MB. */
const MAX_SERIES = 3_000;
const MAX_REPORTERS = 2_000;
/** An isolate that has not reported for so long is gone, or has nothing to tell. */
const GAUGES_KEPT_MS = 120_000;

interface Told {
  atMs: number;
  gauges: Figures["gauges"];
}

export class MetricsObject<Env = unknown> extends DurableObject<Env> implements MetricsShard {
  readonly #sql: SqlStorage;
  readonly #now: () => number;
  readonly #counters: Map<string, number>;
  readonly #histograms: Map<string, Observed>;
  readonly #reporters = new Map<string, Told>();

  constructor(state: DurableObjectState, env: Env, now: () => number) {
    super(state, env);
    this.#sql = state.storage.sql;
    this.#now = now;
    this.#sql.exec("CREATE TABLE IF NOT EXISTS figures (id INTEGER PRIMARY KEY CHECK (id = 1), sums TEXT NOT NULL)");
    const row = this.#sql.exec<{ sums: string }>("SELECT sums FROM figures").toArray()[0];
    const sums = JSON.parse(row?.sums ?? '{"counters":[],"histograms":[]}') as Omit<Figures, "gauges">; // as it was written
    // What an earlier version counted and this one does not know ends here.
    this.#counters = new Map(sums.counters.filter(([series]) => metricOf(series) !== undefined));
    this.#histograms = new Map(sums.histograms.filter(([series]) => metricOf(series) !== undefined));
  }

  async add({ counters, histograms, gauges }: Figures, reporter: string): Promise<void> {
    this.#reporters.delete(reporter);
    if (this.#reporters.size < MAX_REPORTERS) this.#reporters.set(reporter, { atMs: this.#now(), gauges });
    if (counters.length === 0 && histograms.length === 0) return;
    for (const [series, by] of counters) {
      if (this.#hasRoom(series)) this.#counters.set(series, (this.#counters.get(series) ?? 0) + by);
    }
    for (const [series, observed] of histograms) {
      if (this.#hasRoom(series)) this.#histograms.set(series, addObserved(this.#histograms.get(series), observed));
    }
    const sums = JSON.stringify({ counters: [...this.#counters], histograms: [...this.#histograms] });
    this.#sql.exec("INSERT OR REPLACE INTO figures (id, sums) VALUES (1, ?)", sums);
  }

  async read(): Promise<Figures> {
    const sinceMs = this.#now() - GAUGES_KEPT_MS;
    for (const [reporter, { atMs }] of this.#reporters) if (atMs < sinceMs) this.#reporters.delete(reporter);
    const gauges = [...this.#reporters.values()].flatMap((told) => told.gauges);
    return { counters: [...this.#counters], histograms: [...this.#histograms], gauges };
  }

  #hasRoom(series: string): boolean {
    const known = this.#counters.has(series) || this.#histograms.has(series);
    return known || this.#counters.size + this.#histograms.size < MAX_SERIES;
  }
}
