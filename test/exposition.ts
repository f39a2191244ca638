/**
 * Reads GET /metrics with a Prometheus parser that is not ours. No state. Refuses text that the parser does not take, and a histogram whose
 * buckets do not rise to its count.
 */
import parsePrometheusTextFormat from "parse-prometheus-text-format";
import * as z from "zod";
import type { House, Tenant } from "./house.ts";

const Samples = z.array(
  z.object({
    labels: z.record(z.string(), z.string()).default({}),
    value: z.string().transform(Number).pipe(z.number()),
  }),
);
type Samples = z.infer<typeof Samples>;
const Families = z.array(
  z.object({ name: z.string(), help: z.string(), type: z.string(), metrics: z.array(z.unknown()) }),
);

type Labels = Record<string, string>;

export interface Figures {
  text: string;
  names: string[];
  samples: Map<string, Samples>;
  /** Of a counter or a gauge with these labels, or how often a histogram was observed. */
  sum(name: string, labels?: Labels): number;
  /** What a histogram has observed, added up. */
  total(name: string, labels?: Labels): number;
}

export function readExposition(text: string): Figures {
  const families = Families.parse(parsePrometheusTextFormat(text));
  // The parser makes one of all series of a histogram: it is given the parts, as samples of their own.
  const parts = Families.parse(parsePrometheusTextFormat(text.replaceAll(/^(# TYPE \S+) histogram$/gm, "$1 untyped")));
  const samples = new Map<string, Samples>();
  for (const { name, metrics } of parts) samples.set(name, [...(samples.get(name) ?? []), ...Samples.parse(metrics)]);
  const add = (name: string, labels: Labels = {}): number =>
    (samples.get(name) ?? [])
      .filter((sample) => Object.entries(labels).every(([label, value]) => sample.labels[label] === value))
      .reduce((sum, { value }) => sum + value, 0);
  const histograms = families.filter(({ type }) => type === "HISTOGRAM").map(({ name }) => name);
  for (const name of histograms) checkBuckets(samples, name);
  const known = new Set(families.map(({ name }) => name));
  const require = (name: string): string => {
    if (!known.has(name)) throw new Error(`there is no metric ${name}`);
    return name;
  };
  return {
    ...{ text, samples, names: [...known] },
    sum: (name, labels) => add(histograms.includes(require(name)) ? `${name}_count` : name, labels),
    total: (name, labels) => add(`${require(name)}_sum`, labels),
  };
}

function checkBuckets(samples: Map<string, Samples>, name: string): void {
  const keyOf = (labels: Labels): string => JSON.stringify({ ...labels, le: "" });
  const series = Map.groupBy(samples.get(`${name}_bucket`) ?? [], ({ labels }) => keyOf(labels));
  for (const [key, buckets] of series) {
    const counts = buckets.map(({ value }) => value);
    const count = samples.get(`${name}_count`)?.find(({ labels }) => keyOf(labels) === key)?.value;
    const isRising = counts.every((value, at) => value >= (counts[at - 1] ?? 0));
    if (!isRising || counts.at(-1) !== count || buckets.at(-1)?.labels["le"] !== "+Inf") {
      throw new Error(`the buckets of ${name} do not fit: ${key}`);
    }
  }
}

export async function scrape(house: House, as: Tenant): Promise<Figures> {
  const response = await house.call("/metrics", { as });
  if (response.status !== 200) throw new Error(`/metrics answered ${response.status}`);
  return readExposition(await response.text());
}

/** Scrapes until what is written behind a reply has been counted. */
export async function scrapeUntil(house: House, as: Tenant, isThere: (figures: Figures) => boolean): Promise<Figures> {
  for (;;) {
    const figures = await scrape(house, as);
    if (isThere(figures)) return figures;
  }
}
