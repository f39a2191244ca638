/**
 * What is counted and measured: names, labels and buckets, and the form in which a Worker hands it on. Pure. Values of labels come from
 * closed sets alone (routes, models of the registry, tools of the list, codes): never an id, and nothing that a client has made up.
 */

interface Metric {
  /** `oldest`: a point in time, shown as its age; of several the oldest counts. */
  type: "counter" | "gauge" | "oldest" | "histogram";
  help: string;
  labels: readonly string[];
  /** Upper bounds; what is above the last is in one more bucket. */
  buckets?: readonly number[];
}

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
/** As the semantic conventions for generative AI have them. */
const CALL_SECONDS = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
const TOKENS = [1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576];

const CALL_LABELS = ["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model"] as const;

type Names = readonly string[];
const counter = <const L extends Names>(help: string, labels: L) => ({ type: "counter", help, labels }) as const;
const gauge = <const L extends Names>(help: string, labels: L) => ({ type: "gauge", help, labels }) as const;
const histogram = <const L extends Names>(help: string, labels: L, buckets: readonly number[]) =>
  ({ type: "histogram", help, labels, buckets }) as const;

export const METRICS = {
  basechat_requests_total: counter("Requests, by the class of their status", ["method", "route", "status"]),
  basechat_request_duration_seconds: histogram("From a request to its reply's headers", ["route"], SECONDS),
  basechat_first_token_seconds: histogram(
    "From the start of a turn or a direct stream to its first words",
    ["cache"],
    SECONDS,
  ),
  basechat_turn_duration_seconds: histogram("From a turn's start to its stored end", ["cache", "outcome"], SECONDS),
  gen_ai_client_operation_duration_seconds: histogram(
    "Calls of a model, with their retries and fail-overs; error_type is empty where it answered",
    [...CALL_LABELS, "error_type"],
    CALL_SECONDS,
  ),
  gen_ai_client_token_usage: histogram("Tokens of a model call", [...CALL_LABELS, "gen_ai_token_type"], TOKENS),
  basechat_model_attempts_total: counter("Requests to a node; code: ok, or why it failed", ["provider", "code"]),
  basechat_model_retries_total: counter("Requests sent once more to the node that had failed", ["provider"]),
  basechat_model_failovers_total: counter("Requests sent to another node after one had failed", ["provider"]),
  basechat_model_restarts_total: counter("Answers that broke off and were begun again", []),
  basechat_cost_usd_total: counter("What calls of models have cost, at the prices of the registry", ["model"]),
  basechat_tool_calls_total: counter("Calls of tools; cached: the cache stood in for it", ["tool", "outcome"]),
  basechat_tool_duration_seconds: histogram("Calls of tools that ran", ["tool"], SECONDS),
  basechat_cache_lookups_total: counter("Look-ups; joined: shared while it was made", ["layer", "result"]),
  basechat_cache_writes_failed_total: counter("Writes to the cache that Redis did not take", []),
  basechat_purges_total: counter("Purges of the cache", ["outcome"]),
  basechat_purged_entries_total: counter("Entries that were purged", []),
  basechat_outbox_drains_total: counter("Attempts to bring a session's messages to Postgres", ["outcome"]),
  basechat_outbox_messages: gauge("Messages that are owed to Postgres after a failed attempt", []),
  basechat_outbox_sessions: gauge("Sessions that owe something after a failed attempt", []),
  basechat_outbox_oldest_age_seconds: { type: "oldest", help: "Age of what has been owed for longest", labels: [] },
  basechat_active_streams: gauge("Clients that watch a turn or read a direct stream", []),
  basechat_breaker_open: gauge("Isolates for which a breaker is open", ["breaker"]),
  basechat_metrics_lost_total: counter("Batches of figures that could not be handed on", []),
} as const satisfies Record<string, Metric>;

export type MetricName = keyof typeof METRICS;
type NamesOf<Type> = {
  [Name in MetricName]: (typeof METRICS)[Name]["type"] extends Type ? Name : never;
}[MetricName];
export type LabelsOf<Name extends MetricName> = Record<(typeof METRICS)[Name]["labels"][number], string>;

/** What a session owes to Postgres. */
export interface Owed {
  messages: number;
  oldestMs: number;
}

/** Gathers in memory: none of these waits for anything. */
export interface Meter {
  count<Name extends NamesOf<"counter">>(name: Name, labels: LabelsOf<Name>, by?: number): void;
  observe<Name extends NamesOf<"histogram">>(name: Name, labels: LabelsOf<Name>, value: number): void;
  /** Sets what this isolate adds to the sum. */
  gauge<Name extends NamesOf<"gauge">>(name: Name, labels: LabelsOf<Name>, value: number): void;
  /** A viewer came (1) or left (-1). */
  stream(by: 1 | -1): void;
  /** After an attempt to drain: what a session still owes; undefined: nothing. */
  owes(sessionId: string, owed: Owed | undefined): void;
  /** Hands on what was gathered, within seconds and behind whatever goes on. */
  flushSoon(): void;
}

/** Counts in buckets, and the sum of what was observed. */
export interface Observed {
  counts: number[];
  sum: number;
}

/** By series: `name{label="value",…}`, with the labels in the order of `METRICS`. */
export interface Figures {
  counters: [series: string, value: number][];
  histograms: [series: string, observed: Observed][];
  gauges: [series: string, value: number][];
}

/** Takes in what isolates gather, and adds it up. */
export interface MetricsShard {
  /** Counters and histograms are added; the gauges take the place of those that the reporter has told before. */
  add(figures: Figures, reporter: string): Promise<void>;
  read(): Promise<Figures>;
}

const LONGEST_VALUE = 64;

/** The name of a series; whatever is unusual in a label's value becomes `_`. */
export function seriesOf<Name extends MetricName>(name: Name, labels: LabelsOf<Name>): string {
  const given: Record<string, string> = labels;
  const pairs = METRICS[name].labels.map((label) => {
    const value = (given[label] ?? "").slice(0, LONGEST_VALUE).replaceAll(/[^\w ./:{}*@+-]/g, "_");
    return `${label}="${value}"`;
  });
  return pairs.length === 0 ? name : `${name}{${pairs.join(",")}}`;
}

/** The metric of a series; undefined of one that this version does not know. */
export function metricOf(series: string): (Metric & { name: MetricName }) | undefined {
  const name = series.split("{", 1)[0] ?? "";
  return Object.hasOwn(METRICS, name) ? { name: name as MetricName, ...METRICS[name as MetricName] } : undefined; // as was just seen
}

/** Adds two rows of buckets; a row of other buckets is as good as none. */
export function addObserved(a: Observed | undefined, b: Observed): Observed {
  if (a?.counts.length !== b.counts.length) return { counts: [...b.counts], sum: b.sum };
  return { counts: a.counts.map((count, at) => count + (b.counts[at] ?? 0)), sum: a.sum + b.sum };
}
