/**
 * Gives each request its id and writes one JSON line when the reply starts. Ids are ours: a client's is not trusted.
 * Says nothing of bodies, credentials or query values.
 */
import { createMiddleware } from "hono/factory";
import { routePath } from "hono/route";
import type { Log } from "../../../contracts/log.ts";
import type { Meter } from "../../../contracts/metrics.ts";
import type { AppContext } from "./context.ts";

export interface RequestLogOptions {
  newId: () => string;
  now: () => number;
  log: Log;
  meter: Meter;
}

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

export function logRequests({ newId, now, log, meter }: RequestLogOptions) {
  return createMiddleware<AppContext>(async function logRequest(context, next) {
    const startedAt = now();
    const requestId = newId();
    context.set("requestId", requestId);
    await next();
    context.header("x-request-id", requestId);
    const { status, headers } = context.res;
    const [route, ms] = [routePath(context, -1), now() - startedAt];
    const method = METHODS.includes(context.req.method) ? context.req.method : "other";
    meter.count("basechat_requests_total", { method, route, status: `${Math.floor(status / 100)}xx` });
    meter.observe("basechat_request_duration_seconds", { route }, ms / 1_000);
    meter.flushSoon();
    log({
      service: "main",
      request_id: requestId,
      method: context.req.method,
      route,
      status,
      ms,
      cache: headers.get("x-cache")?.toLowerCase(),
      turn_id: headers.get("x-turn-id") ?? undefined,
    });
  });
}
