/**
 * What an isolate has counted and not yet handed on: plain numbers by series, bounded, so they may outlive a request. Every object and
 * request of the isolate adds to the one table. Refuses series above its bound: a bug in a label must not fill the memory.
 */
import {
  addObserved,
  type Figures,
  type Meter,
  metricOf,
  type Observed,
  type Owed,
  seriesOf as openSeriesOf,
} from "../../../contracts/metrics.ts";

const MODEL_LABELS = ["model", "gen_ai_request_model"];
const MAX_SERIES = 2_000;
const MAX_OWING = 5_000;
/** A session that owes tries again within a minute; one that was not heard of for longer is looked after elsewhere. */
const OWING_KEPT_MS = 150_000;

export interface MeterTable {
  counters: Map<string, number>;
  histograms: Map<string, Observed>;
  gauges: Map<string, number>;
  /** What Analytics Engine is yet to be told: what was added to a series, or how often it was observed and the sum. */
  points: Map<string, [number, number]>;
  streams: number;
  /** By session, with the time it was told. */
  owing: Map<string, Owed & { atMs: number }>;
  /** This isolate, as the shards know it; empty until it first reports. */
  reporter: string;
  /** Somebody reports at this time. */
  dueAtMs: number;
}

export function newTable(): MeterTable {
  const series = { counters: new Map(), histograms: new Map(), gauges: new Map(), points: new Map() };
  return { ...series, owing: new Map(), streams: 0, reporter: "", dueAtMs: 0 };
}

export interface MeterOptions {
  now: () => number;
  flushSoon(): void;
  /** Names of models that may stand in a label: a registry may let users name any. */
  models: ReadonlySet<string>;
}

export function createMeter(table: MeterTable, { now, flushSoon, models }: MeterOptions): Meter {
  const { counters, histograms, gauges, owing } = table;
  const seriesOf: typeof openSeriesOf = (name, labels) => {
    const closed = Object.entries<string>(labels).map(([label, value]) => {
      const isStrange = MODEL_LABELS.includes(label) && !models.has(value);
      return [label, isStrange ? "other" : value];
    });
    return openSeriesOf(name, Object.fromEntries(closed) as typeof labels); // the same labels
  };
  return {
    flushSoon,
    count(name, labels, by = 1) {
      const series = seriesOf(name, labels);
      if (by !== 0 && hasRoom(counters, series)) counters.set(series, (counters.get(series) ?? 0) + by);
    },
    observe(name, labels, value) {
      const series = seriesOf(name, labels);
      const bounds = metricOf(series)?.buckets ?? [];
      const found = bounds.findIndex((bound) => value <= bound);
      const at = found === -1 ? bounds.length : found;
      const counts = Array.from({ length: bounds.length + 1 }, (_, index) => Number(index === at));
      if (hasRoom(histograms, series)) {
        histograms.set(series, addObserved(histograms.get(series), { counts, sum: value }));
      }
    },
    gauge(name, labels, value) {
      const series = seriesOf(name, labels);
      if (hasRoom(gauges, series)) gauges.set(series, value);
    },
    stream(by) {
      Object.assign(table, { streams: Math.max(0, table.streams + by) });
    },
    owes(sessionId, owed) {
      owing.delete(sessionId);
      if (owed !== undefined && owing.size < MAX_OWING) owing.set(sessionId, { ...owed, atMs: now() });
    },
  };
}

export function hasRoom(map: ReadonlyMap<string, unknown>, series: string): boolean {
  return map.has(series) || map.size < MAX_SERIES;
}

/** Takes out what is to be added up, and tells how things stand. */
export function takeFigures(table: MeterTable, nowMs: number): Figures {
  const { counters, histograms, gauges, owing, streams } = table;
  for (const [id, { atMs }] of owing) if (atMs + OWING_KEPT_MS < nowMs) owing.delete(id);
  const owed = [...owing.values()];
  const standing: Figures["gauges"] = [
    ["basechat_active_streams", streams],
    ["basechat_outbox_sessions", owed.length],
    ["basechat_outbox_messages", owed.reduce((sum, { messages }) => sum + messages, 0)],
  ];
  if (owed.length > 0) {
    const oldestMs = Math.min(...owed.map((one) => one.oldestMs));
    standing.push(["basechat_outbox_oldest_age_seconds", oldestMs / 1_000]);
  }
  const figures = { counters: [...counters], histograms: [...histograms], gauges: [...gauges, ...standing] };
  counters.clear();
  histograms.clear();
  return figures;
}
