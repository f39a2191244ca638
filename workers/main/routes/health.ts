/**
 * GET /health: this Worker runs; asks no other part. GET /health/ready: whether chat can be served, and for admins and whoever has the
 * scrape token, what each part says of itself; never a paid call. State: the last answer, which serves everyone else for two seconds, so
 * that nobody can have the parts asked as often as he likes. Names of missing settings are told, values never.
 */
import { overallHealth, viewHealth } from "../../../contracts/direct.ts";
import { Liveness, Readiness, ReadinessDetails } from "../../../contracts/health.ts";
import type { HistoryHealth } from "../../../contracts/history.ts";
import type { Result } from "../../../contracts/errors.ts";
import type { AgentHealth, HealthStatus } from "../../../contracts/llm.ts";
import { type OpenCall, openRoute, type Route } from "../http/route.ts";
import { openBreakers, type Sums } from "../metrics/figures.ts";

export interface HealthRoutesDeps {
  /** Parts without which chat goes on. */
  probes: { name: string; check(requestId: string): Promise<HealthStatus> }[];
  llmHealth(requestId: string): Promise<AgentHealth>;
  historyHealth(): Promise<HistoryHealth>;
  readMetrics(): Promise<Result<Sums>>;
  /** May see the details. */
  isKeeper(authorization: string | undefined): Promise<boolean>;
  /** The number of the migration that this code expects. */
  expectedSchema: number;
  /** Settings that are missing or malformed. */
  problems: string[];
  now: () => number;
}

const PROBE_TIMEOUT_MS = 3_000;
const KEPT_MS = 2_000;
/** What is owed for longer will not go away by itself. */
const OLD_DEBT_SECONDS = 600;

export function healthRoutes(deps: HealthRoutesDeps): Route[] {
  const kept: Kept = { status: "healthy", atMs: Number.NEGATIVE_INFINITY };
  return [
    openRoute(
      {
        ...{ method: "GET", path: "/health", access: "open", answers: { 200: Liveness } },
        summary: "Whether it runs, and which of its settings are missing or malformed; asks no other part",
      },
      () => Response.json({ status: deps.problems.length > 0 ? "degraded" : "healthy", configuration: deps.problems }),
    ),
    openRoute(
      {
        ...{ method: "GET", path: "/health/ready", access: "open" },
        answers: { 200: [ReadinessDetails, Readiness], 503: [ReadinessDetails, Readiness] },
        summary: "Whether chat can be served; for an admin with each dependency; never a paid call",
      },
      (call) => ready(deps, call, kept),
    ),
  ];
}

interface Kept {
  status: HealthStatus;
  atMs: number;
}

async function ready(deps: HealthRoutesDeps, { raw, requestId }: OpenCall<object, object, unknown>, kept: Kept) {
  const authorization = raw.headers.get("authorization") ?? undefined;
  const isKeeper = authorization !== undefined && (await bounded(deps.isKeeper(authorization), false));
  const isFresh = deps.now() - kept.atMs < KEPT_MS;
  const details = isKeeper || !isFresh ? await examine(deps, requestId) : undefined;
  if (details !== undefined) Object.assign(kept, { status: details.status, atMs: deps.now() });
  const { status } = details ?? kept;
  const shown = isKeeper ? details : { status };
  return Response.json(shown, { status: status === "unhealthy" ? 503 : 200 });
}

/** Every part at once, each within its time. */
async function examine(deps: HealthRoutesDeps, requestId: string): Promise<ReadinessDetails> {
  const { probes, now, problems, expectedSchema } = deps;
  const time = async <T>(asked: Promise<T>, toStatus: (told: T) => HealthStatus) => {
    const startedAtMs = now();
    const told = await bounded(asked, undefined);
    const status = told === undefined ? ("unhealthy" as const) : toStatus(told);
    return { told, shown: { status, latency_ms: now() - startedAtMs } };
  };
  const [llm, history, sums, ...others] = await Promise.all([
    time(deps.llmHealth(requestId), ({ providers }) => overallHealth(providers)),
    time(deps.historyHealth(), ({ status }) => status),
    bounded(deps.readMetrics(), undefined),
    ...probes.map(({ check }) => time(check(requestId), (status) => status)),
  ]);
  const agent = viewHealth(llm.told ?? { providers: [], problems: [] });
  const outbox = history.told?.outbox ?? null;
  const dependencies = {
    ...{ llm_agent: llm.shown, postgres: history.shown },
    ...Object.fromEntries(
      probes.map(({ name }, at) => [name, others[at]?.shown ?? { status: "unhealthy", latency_ms: 0 }]),
    ),
  } satisfies ReadinessDetails["dependencies"];
  const configuration = [...problems, ...agent.configuration.map((problem) => `llm-agent: ${problem}`)];
  const isOld = (outbox?.oldest_seconds ?? 0) > OLD_DEBT_SECONDS;
  const isWhole = Object.values(dependencies).every(({ status }) => status === "healthy");
  const isGood = isWhole && configuration.length === 0 && !isOld;
  return {
    status: llm.shown.status === "unhealthy" ? "unhealthy" : isGood ? "healthy" : "degraded",
    ...{ dependencies, outbox, configuration, providers: agent.providers },
    schema: history.told?.schema ?? { found: null, expected: expectedSchema },
    dead_letters: history.told?.dead_letters ?? null,
    breakers: sums?.ok ? openBreakers(sums.value) : null,
  };
}

/** What is asked for; `otherwise` when it fails or takes too long. */
async function bounded<T, U>(asked: Promise<T>, otherwise: U): Promise<T | U> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<U>((resolve) => {
    timer = setTimeout(() => resolve(otherwise), PROBE_TIMEOUT_MS);
  });
  return Promise.race([asked.catch(() => otherwise), late]).finally(() => clearTimeout(timer));
}
