/**
 * GET /health: each dependency with its latency; never a paid call. 200 while chat can be served, 503 when it cannot.
 * Names of missing settings are told, values never.
 */
import * as z from "zod";
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
  configuration: z.array(z.string()),
});

export interface HealthRoutesDeps {
  probes: Probe[];
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

async function health({ probes, problems, now }: HealthRoutesDeps, requestId: string): Promise<Response> {
  const dependencies = await Promise.all(
    probes.map(async ({ name, essential, check }) => {
      const startedAt = now();
      const status = await bounded(check(requestId));
      return { name, essential, status, latency_ms: now() - startedAt };
    }),
  );
  const down = dependencies.some(({ essential, status }) => essential && status === "unhealthy");
  const degraded = problems.length > 0 || dependencies.some(({ status }) => status !== "healthy");
  const status: Status = down ? "unhealthy" : degraded ? "degraded" : "healthy";
  const shown = Object.fromEntries(
    dependencies.map(({ name, status: state, latency_ms }) => [name, { status: state, latency_ms }]),
  );
  return Response.json({ status, dependencies: shown, configuration: problems }, { status: down ? 503 : 200 });
}

async function bounded(check: Promise<Status>): Promise<Status> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<Status>((resolve) => {
    timer = setTimeout(() => resolve("unhealthy"), PROBE_TIMEOUT_MS);
  });
  return Promise.race([check.catch(() => "unhealthy" as const), late]).finally(() => clearTimeout(timer));
}
