/**
 * Gives each request its ids and its clock, writes one JSON line once the reply has begun, and tells in the reply where the time went. The
 * request's id is ours: a client's is not trusted; of a client only the trace is taken over. Says nothing of bodies, credentials or query
 * values.
 */
import type { Context } from "hono";
import { createMiddleware } from "hono/factory";
import { routePath } from "hono/route";
import { CODE_HEADER } from "../../../contracts/errors.ts";
import type { Log, OnBehalfOf } from "../../../contracts/log.ts";
import type { InSpan } from "../../../contracts/spans.ts";
import type { Meter } from "../../../contracts/metrics.ts";
import { nextTask } from "../../../contracts/tasks.ts";
import { readServerTiming, StageClock, type Stages, toServerTiming } from "../../../contracts/timing.ts";
import { continueTrace, traceIdOf } from "../../../contracts/trace.ts";
import type { AppContext } from "./context.ts";

export interface RequestLogOptions {
  newId: () => string;
  randomBytes: (length: number) => Uint8Array;
  now: () => number;
  log: Log;
  waitUntil(work: Promise<unknown>): void;
  onBehalfOf: OnBehalfOf;
  meter: Meter;
  inSpan: InSpan;
}

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

export function logRequests(options: RequestLogOptions) {
  return createMiddleware<AppContext>(async function logRequest(context, next) {
    const { newId, randomBytes, now, log, waitUntil, onBehalfOf, meter, inSpan } = options;
    const stages = new StageClock(now, "other", inSpan);
    context.set("stages", stages);
    context.set("requestId", newId());
    context.set("traceparent", continueTrace(context.req.header("traceparent"), randomBytes));
    await onBehalfOf(context.var, next);
    const ms = now() - stages.startedAtMs;
    const timed = tellStages(context, stages.read(), ms);
    // Not by the context: of a reply that is made it makes another one for every header.
    const { headers } = context.res;
    headers.set("x-request-id", context.var.requestId);
    headers.set("traceparent", context.var.traceparent);
    const line = lineOf(context);
    const tell = () => {
      count(meter, { ...line, ms });
      log({ ...line, ms, stages: timed });
    };
    waitUntil(nextTask().then(tell)); // the reply goes first
  });
}

/** What another part has told of its own stages is taken out of ours, so that all of them add up to the whole. */
function tellStages(context: Context<AppContext>, own: Stages, ms: number): Stages {
  const header = context.res.headers.get("server-timing");
  const inner = readServerTiming(header);
  const within = Object.values(inner).reduce((sum, one) => sum + one, 0);
  const outer = { ...own, handler: Math.max(0, (own["handler"] ?? 0) - within) };
  const parts = [toServerTiming(outer), ...(header === null ? [] : [header]), `total;dur=${ms}`];
  context.res.headers.set("server-timing", parts.join(", "));
  return { ...outer, ...inner };
}

function lineOf(context: Context<AppContext>) {
  const { requestId, traceparent, userId } = context.var;
  const { status, headers } = context.res;
  const code = context.var.code ?? headers.get(CODE_HEADER) ?? undefined;
  headers.delete(CODE_HEADER);
  return {
    ...{ service: "main", request_id: requestId, trace_id: traceIdOf(traceparent), user_id: userId },
    ...{ method: context.req.method, route: routePath(context, -1), status, code },
    cache: headers.get("x-cache")?.toLowerCase(),
    turn_id: headers.get("x-turn-id") ?? undefined,
  };
}

interface Counted {
  method: string;
  route: string;
  status: number;
  code: string | undefined;
  ms: number;
}

function count(meter: Meter, { method, route, status, code, ms }: Counted): void {
  const known = METHODS.includes(method) ? method : "other";
  // Whoever asks for a cached answer alone, and there is none, is told 504: nothing of ours has failed.
  const family = code === "cache_miss" ? "4xx" : `${Math.floor(status / 100)}xx`;
  meter.count("basechat_requests_total", { method: known, route, status: family });
  meter.observe("basechat_request_duration_seconds", { route }, ms / 1_000);
  meter.flushSoon();
}
