/**
 * Hands on what an isolate has counted: to one shard, behind whatever goes on, once in five seconds at most however much is counted, and
 * to Analytics Engine where it is bound. State: the isolate's table. A batch that no shard takes is lost and counted as such: sent again,
 * it could be counted twice.
 */
import type { Figures, Meter, MetricsShard } from "../../../contracts/metrics.ts";
import { createMeter, hasRoom, type MeterTable, newTable, takeFigures } from "./table.ts";

/** How many objects share the counting. Fewer would need a reader of the ones left out. */
export const SHARDS = 8;
const EVERY_MS = 5_000;
/** Analytics Engine takes 250 points of one invocation. */
const MAX_POINTS = 250;

/** Of an isolate: bounded plain data. */
const isolateTable = newTable();

export interface ReporterOptions {
  shard(at: number): MetricsShard;
  /** Left out: nothing is written there. */
  dataset?: AnalyticsEngineDataset | undefined;
  now: () => number;
  newId: () => string;
  models: ReadonlySet<string>;
  wait(ms: number): Promise<void>;
  /** Keeps the Worker or the object alive behind its reply. */
  waitUntil(work: Promise<unknown>): void;
  table?: MeterTable;
}

export interface Reporter extends Meter {
  /** At once; settles when the shard has taken it. Never throws. */
  flush(): Promise<void>;
}

export function createReporter(options: ReporterOptions): Reporter {
  const { now, wait, waitUntil, models, table = isolateTable } = options;
  const flush = (): Promise<void> => handOn(options, table);
  const flushSoon = (): void => {
    // One waits for all: whoever comes meanwhile only adds. If its context ends before, the next one waits.
    if (now() < table.dueAtMs) return;
    table.dueAtMs = now() + EVERY_MS;
    waitUntil(wait(EVERY_MS).then(flush));
  };
  const meter = createMeter(table, { now, flushSoon, models });
  return { ...meter, flush };
}

async function handOn({ shard, dataset, now, newId }: ReporterOptions, table: MeterTable): Promise<void> {
  if (table.reporter === "") Object.assign(table, { reporter: newId() });
  const figures = takeFigures(table, now());
  writePoints(dataset, figures, table.points);
  try {
    // One isolate, one shard: its gauges are where it told them last.
    await shard(Number.parseInt(table.reporter.slice(-6), 16) % SHARDS).add(figures, table.reporter);
  } catch {
    const lost = "basechat_metrics_lost_total";
    table.counters.set(lost, (table.counters.get(lost) ?? 0) + 1);
  }
}

/** A point a series. Those that one invocation may not write are added to the next batch's. */
function writePoints(
  dataset: AnalyticsEngineDataset | undefined,
  { counters, histograms }: Figures,
  points: MeterTable["points"],
): void {
  if (dataset === undefined) return;
  for (const [series, by] of counters) addPoint(points, series, [by, 0]);
  for (const [series, { counts, sum }] of histograms) {
    addPoint(points, series, [counts.reduce((all, count) => all + count, 0), sum]);
  }
  for (const [series, doubles] of [...points].slice(0, MAX_POINTS)) {
    points.delete(series);
    const [name = ""] = series.split("{", 1);
    dataset.writeDataPoint({ indexes: [name], blobs: [name, series], doubles });
  }
}

function addPoint(points: MeterTable["points"], series: string, [first, second]: [number, number]): void {
  if (!hasRoom(points, series)) return;
  const [before, sum] = points.get(series) ?? [0, 0];
  points.set(series, [before + first, sum + second]);
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms));
}
