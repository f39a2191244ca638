/** /history/health: what Postgres says of itself. */
import { HistoryHealth } from "../../../contracts/history.ts";
import { type Route, route } from "../http/route.ts";

export interface HistoryRoutesDeps {
  historyHealth(): Promise<HistoryHealth>;
}

export function historyRoutes({ historyHealth }: HistoryRoutesDeps): Route[] {
  return [
    route(
      {
        ...{
          method: "GET",
          path: "/history/health",
          access: "user",
          answers: { 200: HistoryHealth, 503: HistoryHealth },
        },
        summary: "Postgres: can it be reached, is its schema the one expected, what could not be stored",
      },
      async () => {
        const health = await historyHealth();
        return Response.json(health, { status: health.status === "unhealthy" ? 503 : 200 });
      },
    ),
  ];
}
