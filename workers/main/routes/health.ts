/**
 * GET /health: each dependency with its latency; never a paid call. 200 while chat can be served, 503 when it cannot.
 * Names of missing settings are told, values never.
 */
import * as z from "zod";
import type { HistoryHealth } from "../../../contracts/history.ts";
import { openRoute, type Route } from "../http/route.ts";

export type Status = "healthy" | "degraded" | "unhealthy";

export interface Probe {
  name: string;
  /** Chat cannot be served without it. */
  essential: boolean;
  check(requestId: string): Promise<Status>;
}

const PROBE_TIMEOUT_MS = 3_000;

const State = z.enum(["healthy", "degraded", "unhealthy"]);
const Health = z.strictObject({
  status: State,
  dependencies: z.record(z.string(), z.strictObject({ status: State, latency_ms: z.number() })),
  /** The number of the last migration found in Postgres (null: it did not say), and the one that this code expects. */
  schema: z.strictObject({ found: z.int().nullable(), expected: z.int() }),
  configuration: z.array(z.string()),
});

export interface HealthRoutesDeps {
  probes: Probe[];
  historyHealth(): Promise<HistoryHealth>;
  /** The number of the migration that this code expects. */
  expectedSchema: number;
  /** Settings that are missing or malformed. */
  problems: string[];
  now: () => number;
}

export function healthRoutes(deps: HealthRoutesDeps): Route[] {
  return [
    openRoute(
      {
        ...{ method: "GET", path: "/health", access: "open", answers: { 200: Health, 503: Health } },
        summary: "Every dependency with its state and latency; never a paid call",
      },
      ({ requestId }) => health(deps, requestId),
    ),
  ];
}

async function health(deps: HealthRoutesDeps, requestId: string): Promise<Response> {
  const { probes, problems, now } = deps;
  const history = bounded(deps.historyHealth(), undefined);
  const postgres: Probe = {
    ...{ name: "postgres", essential: false },
    check: async () => (await history)?.status ?? "unhealthy",
  };
  const dependencies = await Promise.all(
    [...probes, postgres].map(async ({ name, essential, check }) => {
      const startedAt = now();
      const status = await bounded<Status, Status>(check(requestId), "unhealthy");
      return { name, essential, status, latency_ms: now() - startedAt };
    }),
  );
  const down = dependencies.some(({ essential, status }) => essential && status === "unhealthy");
  const degraded = problems.length > 0 || dependencies.some(({ status }) => status !== "healthy");
  const status: Status = down ? "unhealthy" : degraded ? "degraded" : "healthy";
  const shown = Object.fromEntries(
    dependencies.map(({ name, status: state, latency_ms }) => [name, { status: state, latency_ms }]),
  );
  const schema = { found: (await history)?.schema.found ?? null, expected: deps.expectedSchema };
  const body = { status, dependencies: shown, schema, configuration: problems };
  return Response.json(body, { status: down ? 503 : 200 });
}

/** What a check gives; `otherwise` when it fails or takes too long. */
async function bounded<T, U>(check: Promise<T>, otherwise: U): Promise<T | U> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<U>((resolve) => {
    timer = setTimeout(() => resolve(otherwise), PROBE_TIMEOUT_MS);
  });
  return Promise.race([check.catch(() => otherwise), late]).finally(() => clearTimeout(timer));
}
