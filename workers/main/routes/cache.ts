/**
 * /cache: health, figures, purging by tags, and why a request is a hit or a miss. A user may purge what came of their own turns;
 * everything else is the admin's. Nobody is shown what an entry holds.
 */
import * as z from "zod";
import {
  CachedRoute,
  CacheExplanation,
  CacheFilter,
  CacheHealth,
  CacheStats,
  EntryList,
  PurgeReply,
} from "../../../contracts/cache.ts";
import { ChatRequest } from "../../../contracts/chat.ts";
import { AppError, type ErrorCode, type Result, orThrow } from "../../../contracts/errors.ts";
import { count } from "../../../contracts/params.ts";
import type { CacheAdmin } from "../cache/admin.ts";
import { type FindLimiter, take } from "../http/limits.ts";
import { asker, type Call, type Route, route } from "../http/route.ts";
import { takeAttachments } from "../media/take.ts";
import { type SendToSession, withoutInput } from "./start-turn.ts";

export interface CacheRoutesDeps {
  attachmentHosts: readonly string[];
  cache: CacheAdmin;
  findLimiter: FindLimiter;
  send: SendToSession;
  newId: () => string;
  now: () => number;
}

const MAX_DAYS = 100;
const MAX_PAGE = 500;
/** Of one user: each purge is work for Redis and a line of the audit. */
const PURGES = { burst: 100, everyMs: 1_000 };
const FAILS: ErrorCode[] = ["upstream_error", "not_configured"];
const EXPLAIN_FAILS: ErrorCode[] = [
  ...FAILS,
  ...(["not_found", "model_not_found", "unsupported_modality", "context_length_exceeded", "overloaded"] as const),
];
const PURGE_FAILS: ErrorCode[] = [...FAILS, "rate_limited", "overloaded"];

const Flag = z
  .enum(["true", "false"])
  .default("false")
  .transform((text) => text === "true");
const DryRun = z.strictObject({ dry_run: Flag });
const { tool: ToolName } = CacheFilter.shape;

export function cacheRoutes(deps: CacheRoutesDeps): Route[] {
  return [...readRoutes(deps), explainRoute(deps), explainRequestRoute(deps), ...purgeRoutes(deps)];
}

function readRoutes({ cache }: CacheRoutesDeps): Route[] {
  const shared = { method: "GET", access: "admin", fails: FAILS } as const;
  return [
    route(
      {
        ...{ ...shared, path: "/cache/health", access: "user", answers: { 200: CacheHealth, 503: CacheHealth } },
        summary: "Redis: does it answer, and is the cache switched on",
      },
      async () => {
        const health = await cache.health();
        return Response.json(health, { status: health.status === "healthy" ? 200 : 503 });
      },
    ),
    route(
      {
        ...{ ...shared, path: "/cache/stats", answers: { 200: CacheStats } },
        query: z.strictObject({ days: count(1, MAX_DAYS).default(7) }),
        summary: "Hits, misses, entries and what was saved, of all Workers together, by layer and day",
      },
      async (call) => toReply(await cache.stats(call.query.days)),
    ),
    route(
      {
        ...{ ...shared, path: "/cache/keys", answers: { 200: EntryList } },
        query: CacheFilter.extend({
          limit: count(1, MAX_PAGE).default(100),
          offset: count(0, Number.MAX_SAFE_INTEGER).default(0),
        }),
        summary: "Entries by tag, without what they hold; those that end last come first",
      },
      async (call) => {
        const { limit, offset, ...filter } = call.query;
        return toReply(await cache.list(filter, { limit, offset }));
      },
    ),
  ];
}

const { prompt: Prompt, session_id: SessionId, model: Model, model_type: ModelType } = ChatRequest.shape;
const Question = z.strictObject({
  prompt: Prompt.unwrap(),
  session_id: SessionId,
  model: Model,
  model_type: ModelType,
  temperature: z
    .string()
    .regex(/^\d{1,2}(\.\d{1,9})?$/)
    .transform(Number)
    .pipe(z.number().min(0).max(2))
    .optional(),
  max_tokens: count(1, 128_000).optional(),
  tools: z.enum(["auto", "none"]).optional(),
  scope: z.enum(["user"]).optional(),
});

function explainRoute({ send, newId }: CacheRoutesDeps): Route {
  return route(
    {
      ...{
        method: "GET",
        path: "/cache/explain",
        access: "admin",
        query: Question,
        answers: { 200: CacheExplanation },
      },
      fails: EXPLAIN_FAILS,
      summary:
        "Whether a message of one's own would be answered from the cache now, and if not, which part of its key is in the way",
    },
    (call) => {
      const { scope, ...asked } = call.query;
      const request = { ...asked, ...(scope && { cache: { mode: "default" as const, scope } }) };
      const { preferences } = call.user;
      const sessionId = asked.session_id ?? newId();
      const create = asked.session_id === undefined;
      return send(sessionId, { kind: "explain", sessionId, create, request, preferences, ...asker(call) });
    },
  );
}

/** Any request of /chat: what is attached to it counts by its hash, and is not kept. */
function explainRequestRoute({ send, newId, attachmentHosts }: CacheRoutesDeps): Route {
  return route(
    {
      ...{ method: "POST", path: "/cache/explain", access: "admin", body: ChatRequest, takesAttachments: true },
      answers: { 200: CacheExplanation },
      fails: EXPLAIN_FAILS,
      summary: "The same of a whole request of /chat: with messages, parts, response_format",
    },
    (call) => {
      const { session_id: named } = call.body;
      const said = takeAttachments(call.body, attachmentHosts)?.said;
      const request = said === undefined ? call.body : withoutInput(call.body, said);
      const command = { kind: "explain" as const, create: named === undefined, request, ...(said && { said }) };
      const sessionId = named ?? newId();
      return send(sessionId, { ...command, sessionId, preferences: call.user.preferences, ...asker(call) });
    },
  );
}

function purgeRoutes(deps: CacheRoutesDeps): Route[] {
  const shared = {
    method: "DELETE",
    access: "admin",
    query: DryRun,
    answers: { 200: PurgeReply },
    fails: PURGE_FAILS,
  } as const;
  const path = "/cache/invalidate";
  return [
    route({ ...shared, path: `${path}/llm`, summary: "Purges the answers" }, (call) =>
      purge(deps, call, { layer: "llm" }),
    ),
    route({ ...shared, path: `${path}/intent`, summary: "Purges the intents" }, (call) =>
      purge(deps, call, { layer: "intent" }),
    ),
    route(
      {
        ...{ ...shared, path: `${path}/mcp`, query: DryRun.extend({ tool_name: ToolName }) },
        summary: "Purges the results of tools, or of one",
      },
      (call) => purge(deps, call, { layer: "mcp", ...(call.query.tool_name && { tool: call.query.tool_name }) }),
    ),
    route({ ...shared, path: `${path}/all`, summary: "Purges everything" }, (call) => purge(deps, call, {})),
    route(
      {
        ...{ ...shared, path: `${path}/route/{route}`, params: z.strictObject({ route: CachedRoute }) },
        summary: "Purges what turns of one route have made",
      },
      (call) => purge(deps, call, { route: call.params.route }),
    ),
    route(
      {
        ...{ ...shared, path, access: "user", query: DryRun.extend(CacheFilter.shape) },
        summary:
          "Purges what carries all of the tags; of a user without the admin role only what came of their own turns",
        fails: [...PURGE_FAILS, "forbidden"],
      },
      (call) => {
        const { dry_run: _, ...filter } = call.query;
        return purge(deps, call, ownFilter(filter, call));
      },
    ),
  ];
}

/** What the caller may purge of it. */
function ownFilter(filter: CacheFilter, { user }: Call): CacheFilter {
  if (user.role === "admin") return filter;
  if (filter.user !== undefined && filter.user !== user.id) {
    throw new AppError("forbidden", "this needs the admin role");
  }
  return { ...filter, user: user.id };
}

async function purge(
  { cache, findLimiter, now }: CacheRoutesDeps,
  call: Call<unknown, { dry_run: boolean }>,
  filter: CacheFilter,
): Promise<Response> {
  const { dry_run: dryRun } = call.query;
  await take(findLimiter(`purges by ${call.user.id}`), PURGES);
  const { deletedCount: deleted_count } = orThrow(await cache.purge(filter, { ...asker(call), dryRun }));
  const entries = `${deleted_count} ${deleted_count === 1 ? "entry" : "entries"}`;
  const message = dryRun ? `${entries} would be deleted` : `${entries} deleted`;
  return Response.json({ message, deleted_count, dry_run: dryRun, purged_at: new Date(now()).toISOString() });
}

function toReply<T>(result: Result<T>): Response {
  return Response.json(orThrow(result));
}
