/**
 * GET /metrics: the figures of the whole deployment as Prometheus reads them, for admins and for whoever has the scrape token. The token
 * is looked for in the Authorization header alone.
 */
import { orThrow, type Result } from "../../../contracts/errors.ts";
import { type Route, route } from "../http/route.ts";
import { holdsToken } from "../http/scrape-token.ts";
import { EXPOSITION, type Sums, toExposition } from "../metrics/figures.ts";

export interface MetricsRoutesDeps {
  /** Of all isolates, as far as they have told. */
  readMetrics(): Promise<Result<Sums>>;
  /** Left out: only admins may read. */
  metricsToken: string | undefined;
  now: () => number;
}

export function metricsRoutes({ readMetrics, metricsToken, now }: MetricsRoutesDeps): Route[] {
  return [
    route(
      {
        ...{
          method: "GET",
          path: "/metrics",
          access: "admin",
          scope: "admin",
          tag: "health",
          answers: { 200: "text/plain" },
        },
        summary: "Figures of the whole deployment, as Prometheus reads them",
        description: "For an admin, or with the scrape token of the deployment as the bearer credential.",
        fails: ["overloaded"],
        opens: (authorization) => holdsToken(authorization, metricsToken),
      },
      async () => {
        const text = toExposition(orThrow(await readMetrics()), now());
        return new Response(text, { headers: { "content-type": EXPOSITION } });
      },
    ),
  ];
}
