/**
 * The app factory: middleware in order, routes, and what an unknown path, a wrong method or an error is answered with.
 * Built once per isolate from its dependencies; it holds no request's data.
 */
import { Hono, type MiddlewareHandler } from "hono";
import { methodNotAllowed } from "hono/method-not-allowed";
import { secureHeaders } from "hono/secure-headers";
import type { Log } from "../../contracts/log.ts";
import type { Authenticate } from "./http/auth.ts";
import type { AppContext } from "./http/context.ts";
import { respondToErrors, respondToFailure } from "./http/errors.ts";
import { logRequests } from "./http/request-log.ts";
import type { Route } from "./http/route.ts";
import { serveRoutes } from "./http/serve.ts";
import { archiveRoutes, type ArchiveRoutesDeps } from "./routes/archive.ts";
import { authRoutes, type AuthRoutesDeps } from "./routes/auth.ts";
import { chatRoutes, type ChatRoutesDeps } from "./routes/chat.ts";
import { docsRoutes, type DocsRoutesDeps } from "./routes/docs.ts";
import { healthRoutes, type HealthRoutesDeps } from "./routes/health.ts";
import { historyRoutes, type HistoryRoutesDeps } from "./routes/history.ts";
import { llmRoutes, type LlmRoutesDeps } from "./routes/llm.ts";
import { mcpRoutes, type McpRoutesDeps } from "./routes/mcp.ts";
import { transferRoutes, type TransferRoutesDeps } from "./routes/transfer.ts";
import { usersRoutes, type UsersRoutesDeps } from "./routes/users.ts";

export interface RoutesDeps
  extends
    ArchiveRoutesDeps,
    AuthRoutesDeps,
    ChatRoutesDeps,
    DocsRoutesDeps,
    TransferRoutesDeps,
    HealthRoutesDeps,
    HistoryRoutesDeps,
    LlmRoutesDeps,
    McpRoutesDeps,
    UsersRoutesDeps {}

export interface AppDeps extends RoutesDeps {
  authenticate: Authenticate;
  log: Log;
}

/** Every route of the API. */
export function allRoutes(deps: RoutesDeps): Route[] {
  const routes = [
    healthRoutes,
    authRoutes,
    usersRoutes,
    chatRoutes,
    historyRoutes,
    archiveRoutes,
    transferRoutes,
    llmRoutes,
    mcpRoutes,
  ].flatMap((make) => make(deps));
  return [...routes, ...docsRoutes(deps, routes)];
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
  serveRoutes(app, allRoutes(deps), deps.authenticate);
  app.notFound((context) => respondToFailure({ code: "not_found", message: "there is no such route" }, context));
  app.onError(respondToErrors(deps.log));
  return app;
}
