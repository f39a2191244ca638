/**
 * What the parts of main tell of themselves, put together: the log, the figures, and the looks at what chat goes on without. Used by deps.ts
 * alone, which knows the settings. State: as their rooms say.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { createHash } from "node:crypto";
import { createLog, type Log, type LogLevel, type OnBehalfOf, type Served } from "../../contracts/log.ts";
import type { MetricsShard } from "../../contracts/metrics.ts";
import type { RedisStore } from "./cache/redis.ts";
import { createReporter, pause, type Reporter, type ReporterOptions } from "./metrics/reporter.ts";
import type { HealthRoutesDeps } from "./routes/health.ts";
import { createMcpToolServer } from "./tools/mcp.ts";

/** Holds nothing itself: a request's id goes with its own calls, however many run at once. */
const asking = new AsyncLocalStorage<Served>();
export const onBehalfOf: OnBehalfOf = ({ requestId, traceparent }, work) =>
  asking.run({ requestId, traceparent }, work);
export const servedRequest = (): Served | undefined => asking.getStore();

interface LogSettings {
  LOG_LEVEL: LogLevel;
  LOG_SAMPLE: number;
  modelNames: ReadonlySet<string>;
}

export function makeLog(
  { LOG_LEVEL: level, LOG_SAMPLE: sample, modelNames: models }: LogSettings,
  write: (text: string) => void,
): Log {
  const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
  return createLog({ level, sample, models, served: servedRequest, sha256, write });
}

interface Figures {
  METRICS: DurableObjectNamespace;
  /** Where a deployment binds it. */
  ANALYTICS?: AnalyticsEngineDataset;
}

export function makeReporter(env: Figures, options: Omit<ReporterOptions, "shard" | "dataset" | "wait">): Reporter {
  return createReporter({ ...options, shard: (at) => shardOf(env, at), dataset: env.ANALYTICS, wait: pause });
}

export function shardOf({ METRICS: objects }: Pick<Figures, "METRICS">, at: number): MetricsShard {
  // A stub answers its object's methods by RPC; its type is made from a class, which is more than is needed here.
  return objects.get(objects.idFromName(`shard-${at}`)) as unknown as MetricsShard;
}

/** Parts without which chat goes on. */
export function makeProbes(
  { MCP: mcp }: { MCP: Fetcher },
  redis: RedisStore | undefined,
  now: () => number,
): HealthRoutesDeps["probes"] {
  return [
    {
      name: "mcp",
      async check(requestId) {
        const cache = { fetchedAtMs: 0, nextTryMs: 0 }; // what was told before says nothing of now
        const tools = createMcpToolServer({ fetch: (url, init) => mcp.fetch(url, init), now, cache });
        return (await tools.list({ requestId, userId: "health" })) === undefined ? "unhealthy" : "healthy";
      },
    },
    { name: "redis", check: async () => ((await redis?.ping())?.ok ? "healthy" : "unhealthy") },
  ];
}
