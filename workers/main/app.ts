/**
 * The app factory: middleware in order, routes, and what an unknown path, a wrong method or an error is answered with.
 * Built once per isolate from its dependencies; it holds no request's data.
 */
import { Hono, type MiddlewareHandler } from "hono";
import { methodNotAllowed } from "hono/method-not-allowed";
import { secureHeaders } from "hono/secure-headers";
import type { Log, OnBehalfOf } from "../../contracts/log.ts";
import type { InSpan } from "../../contracts/spans.ts";
import type { Meter } from "../../contracts/metrics.ts";
import type { Authenticate } from "./http/auth.ts";
import type { AppContext } from "./http/context.ts";
import { respondToErrors, respondToFailure } from "./http/errors.ts";
import { allowListedPages, refuseForeignPages } from "./http/origins.ts";
import { logRequests } from "./http/request-log.ts";
import type { Route } from "./http/route.ts";
import { serveRoutes } from "./http/serve.ts";
import { refuseLongUris } from "./http/uri.ts";
import { archiveRoutes, type ArchiveRoutesDeps } from "./routes/archive.ts";
import { attachmentRoutes } from "./routes/attachments.ts";
import { authRoutes, type AuthRoutesDeps } from "./routes/auth.ts";
import { cacheRoutes, type CacheRoutesDeps } from "./routes/cache.ts";
import { chatUiRoutes } from "./routes/chat-ui.ts";
import { chatRoutes } from "./routes/chat.ts";
import { docsRoutes, type DocsRoutesDeps } from "./routes/docs.ts";
import { embeddingsRoutes, type EmbeddingsRoutesDeps } from "./routes/embeddings.ts";
import { healthRoutes, type HealthRoutesDeps } from "./routes/health.ts";
import { historyRoutes, type HistoryRoutesDeps } from "./routes/history.ts";
import { llmRoutes, type LlmRoutesDeps } from "./routes/llm.ts";
import { metricsRoutes, type MetricsRoutesDeps } from "./routes/metrics.ts";
import { openAiRoutes, type OpenAiRoutesDeps } from "./routes/openai.ts";
import { mcpRoutes, type McpRoutesDeps } from "./routes/mcp.ts";
import { responsesRoutes, type ResponsesRoutesDeps } from "./routes/responses.ts";
import { sessionRoutes } from "./routes/sessions.ts";
import { retentionRoutes, type RetentionRoutesDeps } from "./routes/retention.ts";
import { resourceMetadataRoutes } from "./routes/resource-metadata.ts";
import { serversRoutes, type ServersRoutesDeps } from "./routes/servers.ts";
import { toolsRoutes, type ToolsRoutesDeps } from "./routes/tools.ts";
import type { StartDeps } from "./routes/start-turn.ts";
import { transferRoutes, type TransferRoutesDeps } from "./routes/transfer.ts";
import { usersRoutes, type UsersRoutesDeps } from "./routes/users.ts";

export interface RoutesDeps
  extends
    ArchiveRoutesDeps,
    AuthRoutesDeps,
    CacheRoutesDeps,
    StartDeps,
    DocsRoutesDeps,
    EmbeddingsRoutesDeps,
    TransferRoutesDeps,
    HealthRoutesDeps,
    HistoryRoutesDeps,
    RetentionRoutesDeps,
    LlmRoutesDeps,
    OpenAiRoutesDeps,
    ResponsesRoutesDeps,
    McpRoutesDeps,
    MetricsRoutesDeps,
    ToolsRoutesDeps,
    ServersRoutesDeps,
    UsersRoutesDeps {}

export interface AppDeps extends RoutesDeps {
  authenticate: Authenticate;
  /** Pages of these may call from a browser. */
  corsOrigins: readonly string[];
  log: Log;
  waitUntil(work: Promise<unknown>): void;
  onBehalfOf: OnBehalfOf;
  meter: Meter;
  randomBytes: (length: number) => Uint8Array;
  inSpan: InSpan;
}

/** Every route of the API. */
export function allRoutes(deps: RoutesDeps): Route[] {
  const routes = [
    healthRoutes,
    metricsRoutes,
    authRoutes,
    usersRoutes,
    chatRoutes,
    chatUiRoutes,
    sessionRoutes,
    attachmentRoutes,
    historyRoutes,
    retentionRoutes,
    archiveRoutes,
    transferRoutes,
    cacheRoutes,
    llmRoutes,
    embeddingsRoutes,
    openAiRoutes,
    responsesRoutes,
    mcpRoutes,
    toolsRoutes,
    serversRoutes,
    resourceMetadataRoutes,
  ].flatMap((make) => make(deps));
  return [...routes, ...docsRoutes(deps, routes)];
}

/** What a reply does not say itself: nothing of the API is for a shared cache, and nothing of it is a page. */
const DEFAULTS = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
};

const setDefaults: MiddlewareHandler<AppContext> = async (context, next) => {
  await next();
  for (const [name, value] of Object.entries(DEFAULTS)) {
    if (!context.res.headers.has(name)) context.res.headers.set(name, value);
  }
};

export function createApp(deps: AppDeps): Hono<AppContext> {
  const app = new Hono<AppContext>();
  const routes = allRoutes(deps);
  app.use(logRequests(deps));
  app.use(secureHeaders({ xFrameOptions: "DENY", xXssProtection: false }));
  app.use(setDefaults);
  app.use(refuseForeignPages(deps.corsOrigins));
  app.use(allowListedPages(deps.corsOrigins, routes));
  app.use(refuseLongUris);
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
  serveRoutes(app, routes, deps.authenticate);
  app.notFound((context) => respondToFailure({ code: "not_found", message: "there is no such route" }, context));
  app.onError(respondToErrors(deps.log));
  return app;
}
