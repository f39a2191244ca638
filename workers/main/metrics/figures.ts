/**
 * The figures of all shards as one, and as Prometheus reads them (text exposition format 0.0.4). State lives in the shards. Refuses to
 * show a part: a shard that does not answer would look like counters that fell.
 */
import { fail, ok, type Result } from "../../../contracts/errors.ts";
import {
  addObserved,
  type Figures,
  METRICS,
  type MetricName,
  metricOf,
  type MetricsShard,
  type Observed,
} from "../../../contracts/metrics.ts";

import type { OutboxHealth } from "../../../contracts/history.ts";
import { type Reporter, SHARDS } from "./reporter.ts";

export const EXPOSITION = "text/plain; version=0.0.4; charset=utf-8";

export interface Sums {
  counters: Map<string, number>;
  histograms: Map<string, Observed>;
  gauges: Map<string, number>;
}

/** One request to each shard, all at once. */
async function readSums(shards: MetricsShard[]): Promise<Result<Sums>> {
  try {
    return ok(addUp(await Promise.all(shards.map((shard) => shard.read()))));
  } catch {
    return fail("overloaded", "the figures cannot be read now", { retryAfterSeconds: 5 });
  }
}

function addUp(all: Figures[]): Sums {
  const sums: Sums = { counters: new Map(), histograms: new Map(), gauges: new Map() };
  for (const { counters, histograms, gauges } of all) {
    for (const [series, by] of counters) sums.counters.set(series, (sums.counters.get(series) ?? 0) + by);
    for (const [series, one] of histograms) sums.histograms.set(series, addObserved(sums.histograms.get(series), one));
    for (const [series, value] of gauges) {
      const before = sums.gauges.get(series);
      const isOldest = metricOf(series)?.type === "oldest";
      sums.gauges.set(series, isOldest ? Math.min(before ?? Infinity, value) : (before ?? 0) + value);
    }
  }
  return sums;
}

/** Of all shards, after what this isolate has not yet told. */
export async function readFigures(reporter: Reporter, shard: (at: number) => MetricsShard): Promise<Result<Sums>> {
  await reporter.flush();
  return readSums(Array.from({ length: SHARDS }, (_, at) => shard(at)));
}

/** null: the figures cannot be read. */
export async function readOutbox(read: () => Promise<Result<Sums>>, now: () => number): Promise<OutboxHealth | null> {
  const sums = await read();
  return sums.ok ? outboxOf(sums.value, now()) : null;
}

/** What sessions owe to Postgres, as far as isolates have told. */
function outboxOf({ gauges }: Sums, nowMs: number): OutboxHealth {
  const oldest = gauges.get("basechat_outbox_oldest_age_seconds");
  return {
    sessions: gauges.get("basechat_outbox_sessions") ?? 0,
    messages: gauges.get("basechat_outbox_messages") ?? 0,
    oldest_seconds: oldest === undefined ? 0 : ageSeconds(oldest, nowMs),
  };
}

/** By what they guard. */
export function openBreakers({ gauges }: Sums): Record<string, number> {
  const named = [...gauges].flatMap(([series, value]) => {
    const [, breaker] = /^basechat_breaker_open\{breaker="(.*)"\}$/.exec(series) ?? [];
    return breaker === undefined ? [] : [[breaker, value] as const];
  });
  return Object.fromEntries(named);
}

/** Every metric is named, also those of which nothing is known yet. */
export function toExposition(sums: Sums, nowMs: number): string {
  const all: Record<string, string[]> = Object.fromEntries(Object.keys(METRICS).map((name) => [name, []]));
  const tell = (series: string, lines: string[]): void => void all[metricOf(series)?.name ?? ""]?.push(...lines);
  for (const [series, value] of sorted(sums.counters)) tell(series, [`${series} ${value}`]);
  for (const [series, value] of sorted(sums.gauges)) {
    tell(series, [`${series} ${metricOf(series)?.type === "oldest" ? ageSeconds(value, nowMs) : value}`]);
  }
  for (const [series, observed] of sorted(sums.histograms)) tell(series, bucketLines(series, observed));
  return Object.entries(all)
    .map(([name, lines]) => {
      const { help, type, labels } = METRICS[name as MetricName]; // its own keys
      const told = lines.length === 0 && labels.length === 0 ? [`${name} 0`] : lines;
      const head = `# HELP ${name} ${help}\n# TYPE ${name} ${type === "oldest" ? "gauge" : type}\n`;
      return head + told.map((line) => `${line}\n`).join("");
    })
    .join("");
}

function sorted<T>(series: ReadonlyMap<string, T>): [string, T][] {
  return [...series].sort(([a], [b]) => (a < b ? -1 : 1));
}

function bucketLines(series: string, { counts, sum }: Observed): string[] {
  const metric = metricOf(series);
  const labels = series.slice(metric?.name.length).slice(1, -1);
  const named = (suffix: string, more = ""): string => {
    const pairs = [labels, more].filter((pair) => pair !== "").join(",");
    return `${metric?.name}${suffix}${pairs === "" ? "" : `{${pairs}}`}`;
  };
  let below = 0;
  const buckets = counts.map((count, at) => {
    below += count;
    return `${named("_bucket", `le="${metric?.buckets?.[at] ?? "+Inf"}"`)} ${below}`;
  });
  return [...buckets, `${named("_sum")} ${sum}`, `${named("_count")} ${below}`];
}

function ageSeconds(sinceSeconds: number, nowMs: number): number {
  return Math.max(0, Math.round(nowMs / 1_000 - sinceSeconds));
}
