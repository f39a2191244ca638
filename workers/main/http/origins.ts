/**
 * Which pages a browser may call from: ours and those that the deployment lists. Listed ones may read the replies (CORS); never with
 * cookies, which nothing here reads. No state. Refuses every other page's request before its credential is looked at.
 */
import type { Context, MiddlewareHandler } from "hono";
import { cors } from "hono/cors";
import { AppError } from "../../../contracts/errors.ts";
import { isOwnOrigin } from "../../../contracts/origins.ts";
import type { AppContext } from "./context.ts";
import type { Route } from "./route.ts";

const EXPOSED = [
  ...["X-Request-Id", "X-Turn-Id", "X-Session-Id", "X-Cache", "Idempotent-Replayed", "Server-Timing", "Traceparent"],
  ...["Age", "Retry-After", "X-Should-Retry", "RateLimit", "RateLimit-Policy", "Mcp-Session-Id", "WWW-Authenticate"],
  ...["limit", "remaining", "reset"].flatMap((what) => [`X-RateLimit-${what}-Requests`, `X-RateLimit-${what}-Tokens`]),
];
const PREFLIGHT_SECONDS = 3_600;
/** What OpenAI's own client and the AI SDK say of themselves, and we pass over. */
const CLIENT_HEADER = /^(user-agent|x-stainless-[a-z-]{1,64}|openai-(organization|project|beta))$/i;

/** Lets through: our own pages, listed ones, whatever is no page, preflights, and a link that somebody follows to here. */
export function refuseForeignPages(listed: readonly string[]): MiddlewareHandler<AppContext> {
  return async (context, next) => {
    const origin = context.req.header("origin");
    const isForeign = origin === undefined ? isCrossSite(context) : !isOwnOrigin(origin, new URL(context.req.url));
    const isKnown = origin !== undefined && listed.includes(origin);
    if (isForeign && !isKnown && !isPreflight(context)) {
      throw new AppError("forbidden", "pages of this origin may not call the API");
    }
    await next();
  };
}

/** Tells browsers which pages may read a reply. Only a preflight is answered here: a plain OPTIONS is a method that no route has. */
export function allowListedPages(listed: readonly string[], routes: Route[]): MiddlewareHandler<AppContext> {
  const allowMethods = [...new Set(routes.map(({ method }) => method))];
  const known = new Set([
    "Authorization",
    "Content-Type",
    ...routes.flatMap(({ headers = {} }) => Object.keys(headers)),
  ]);
  return (context, next) => {
    const isListed = listed.includes(context.req.header("origin") ?? "");
    if (!isPreflight(context) && !(isListed && context.req.method !== "OPTIONS")) return next();
    const allow = cors({
      origin: (origin) => (listed.includes(origin) ? origin : null),
      ...{ allowMethods, allowHeaders: [...known, ...clientHeaders(context)], exposeHeaders: EXPOSED },
      maxAge: PREFLIGHT_SECONDS,
    });
    return allow(context, next);
  };
}

function clientHeaders({ req }: Context): string[] {
  const asked = req.header("access-control-request-headers") ?? "";
  return asked.split(",").flatMap((name) => (CLIENT_HEADER.test(name.trim()) ? [name.trim()] : []));
}

function isPreflight({ req }: Context): boolean {
  return (
    req.method === "OPTIONS" &&
    req.header("origin") !== undefined &&
    req.header("access-control-request-method") !== undefined
  );
}

/** Without an Origin a browser may still tell that another site's page asks. A followed link carries no credential. */
function isCrossSite({ req }: Context): boolean {
  if (req.header("sec-fetch-site") !== "cross-site") return false;
  const isLink = req.header("sec-fetch-mode") === "navigate" && req.header("sec-fetch-dest") === "document";
  return !(isLink && req.method === "GET");
}
