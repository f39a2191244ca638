/**
 * Gives each request its id and writes one JSON line when the reply starts. Ids are ours: a client's is not trusted.
 * Says nothing of bodies, credentials or query values.
 */
import { createMiddleware } from "hono/factory";
import { routePath } from "hono/route";
import type { Log } from "../../../contracts/log.ts";
import type { AppContext } from "./context.ts";

export interface RequestLogOptions {
  newId: () => string;
  now: () => number;
  log: Log;
}

export function logRequests({ newId, now, log }: RequestLogOptions) {
  return createMiddleware<AppContext>(async function logRequest(context, next) {
    const startedAt = now();
    const requestId = newId();
    context.set("requestId", requestId);
    await next();
    context.header("x-request-id", requestId);
    const { status, headers } = context.res;
    log({
      service: "main",
      request_id: requestId,
      method: context.req.method,
      route: routePath(context, -1),
      status,
      ms: now() - startedAt,
      cache: headers.get("x-cache")?.toLowerCase(),
      turn_id: headers.get("x-turn-id") ?? undefined,
    });
  });
}
