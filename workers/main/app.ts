/**
 * The app factory: middleware in order, routes, and what an unknown path, a wrong method or an error is answered with.
 * Built once per isolate from its dependencies; it holds no request's data.
 */
import { Hono, type MiddlewareHandler } from "hono";
import { methodNotAllowed } from "hono/method-not-allowed";
import { secureHeaders } from "hono/secure-headers";
import type { Log } from "../../contracts/log.ts";
import type { AppContext } from "./http/context.ts";
import { respondToErrors, respondToFailure } from "./http/errors.ts";
import { logRequests } from "./http/request-log.ts";
import { chatRoutes, type ChatRoutesDeps } from "./routes/chat.ts";
import { healthRoutes, type Probe } from "./routes/health.ts";
import { historyRoutes, type HistoryRoutesDeps } from "./routes/history.ts";
import { mcpRoutes, type McpRoutesDeps } from "./routes/mcp.ts";

export interface AppDeps extends ChatRoutesDeps, HistoryRoutesDeps, McpRoutesDeps {
  probes: Probe[];
  /** Settings that are missing or malformed. */
  problems: string[];
  now: () => number;
  log: Log;
}

/** Nothing of the API is for a shared cache. */
const keepPrivate: MiddlewareHandler<AppContext> = async (context, next) => {
  await next();
  if (!context.res.headers.has("cache-control")) context.header("cache-control", "no-store");
};

export function createApp(deps: AppDeps): Hono<AppContext> {
  const app = new Hono<AppContext>();
  app.use(logRequests(deps));
  app.use(secureHeaders({ crossOriginResourcePolicy: "same-origin", xXssProtection: false }));
  app.use(keepPrivate);
  app.use(
    methodNotAllowed({
      app,
      onMethodNotAllowed(context, methods) {
        const response = respondToFailure(
          { code: "method_not_allowed", message: "the route has no such method" },
          context,
        );
        response.headers.set("allow", methods.join(", "));
        return response;
      },
    }),
  );
  app.route("/health", healthRoutes(deps));
  app.route("/chat", chatRoutes(deps));
  app.route("/history", historyRoutes(deps));
  app.route("/mcp", mcpRoutes(deps));
  app.notFound((context) => respondToFailure({ code: "not_found", message: "there is no such route" }, context));
  app.onError(respondToErrors(deps.log));
  return app;
}
