/**
 * GET /health: each dependency with its latency; never a paid call. 200 while chat can be served, 503 when it cannot.
 * Names of missing settings are told, values never.
 */
import { Hono } from "hono";
import type { AppContext } from "../http/context.ts";

export type Status = "healthy" | "degraded" | "unhealthy";

export interface Probe {
  name: string;
  /** Chat cannot be served without it. */
  essential: boolean;
  check(requestId: string): Promise<Status>;
}

const PROBE_TIMEOUT_MS = 3_000;

export function healthRoutes({ probes, problems, now }: { probes: Probe[]; problems: string[]; now: () => number }) {
  return new Hono<AppContext>().get("/", async (context) => {
    const dependencies = await Promise.all(
      probes.map(async ({ name, essential, check }) => {
        const startedAt = now();
        const status = await bounded(check(context.var.requestId));
        return { name, essential, status, latency_ms: now() - startedAt };
      }),
    );
    const down = dependencies.some(({ essential, status }) => essential && status === "unhealthy");
    const degraded = problems.length > 0 || dependencies.some(({ status }) => status !== "healthy");
    const status: Status = down ? "unhealthy" : degraded ? "degraded" : "healthy";
    const shown = Object.fromEntries(
      dependencies.map(({ name, status: state, latency_ms }) => [name, { status: state, latency_ms }]),
    );
    return context.json({ status, dependencies: shown, configuration: problems }, down ? 503 : 200);
  });
}

async function bounded(check: Promise<Status>): Promise<Status> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<Status>((resolve) => {
    timer = setTimeout(() => resolve("unhealthy"), PROBE_TIMEOUT_MS);
  });
  return Promise.race([check.catch(() => "unhealthy" as const), late]).finally(() => clearTimeout(timer));
}
