/**
 * /history from Postgres: a user's sessions, the search through their messages, statistics. A message comes there behind its reply, so
 * what was said a moment ago may be missing here. Shows nobody's but the caller's own.
 */
import type { Archive } from "../../../contracts/archive.ts";
import { AppError, type ErrorCode, orThrow } from "../../../contracts/errors.ts";
import { SearchQuery, SearchResults, SessionList, SessionListQuery } from "../../../contracts/lists.ts";
import { UserPath } from "../../../contracts/params.ts";
import { StatsQuery, UserStats } from "../../../contracts/stats.ts";
import type { Cursors } from "../http/cursor.ts";
import { asker, type Call, type Route, route } from "../http/route.ts";
import type { SendToSession } from "./start-turn.ts";

export interface ArchiveRoutesDeps {
  archive: Archive;
  cursors: Cursors;
  send: SendToSession;
  now: () => number;
}

const FAILS: ErrorCode[] = ["not_configured", "db_timeout", "db_unavailable"];
const DAY_MS = 24 * 3_600_000;

export function archiveRoutes(deps: ArchiveRoutesDeps): Route[] {
  return [sessionsRoute(deps), searchRoute(deps), statsRoute(deps)];
}

function sessionsRoute({ archive, cursors }: ArchiveRoutesDeps): Route {
  return route(
    {
      ...{ method: "GET", path: "/history/users/{user_id}/sessions", access: "user", others: "nobody" },
      ...{ params: UserPath, query: SessionListQuery, answers: { 200: SessionList }, fails: ["not_found", ...FAILS] },
      summary: "A user's sessions, newest first; archived ones if asked for",
    },
    async ({ user, query: { limit, archived, cursor } }) => {
      const list = ["sessions", user.id, archived];
      const after = cursors.read(list, cursor);
      const page = orThrow(await archive.listSessions({ userId: user.id, after, limit, archived }));
      return Response.json({ sessions: page.items, next_cursor: cursors.write(list, page.next) });
    },
  );
}

function searchRoute(deps: ArchiveRoutesDeps): Route {
  return route(
    {
      ...{ method: "GET", path: "/history/search", access: "user", query: SearchQuery },
      ...{ answers: { 200: SearchResults }, fails: ["not_found", "overloaded", ...FAILS] },
      summary: "Full text over one's own messages, newest first",
      description:
        'Words must all occur; `"a phrase"`, `or` and `-without` work as in a search engine, and something must occur. ' +
        "Words are taken as they are, in any language. The first 100,000 characters of a message are searched.",
    },
    async (call) => {
      const { q: text, limit, cursor, session_id: sessionId, role, from, to } = call.query;
      const [fromMs, toMs] = [from, to].map((instant) => (instant === undefined ? undefined : Date.parse(instant)));
      const userId = call.user.id;
      const list = ["search", userId, text, sessionId, role, fromMs, toMs];
      const after = deps.cursors.read(list, cursor);
      const search = { userId, text, after, limit, sessionId, role, fromMs, toMs };
      const found = orThrow(await deps.archive.search(search));
      if (found === undefined) await requireSession(deps, call, sessionId ?? "");
      return Response.json({ results: found?.items ?? [], next_cursor: deps.cursors.write(list, found?.next) });
    },
  );
}

/** A session that Postgres does not know may be a new one, or one that is kept out of it: its object knows whose it is. */
async function requireSession({ send }: ArchiveRoutesDeps, call: Call, sessionId: string): Promise<void> {
  const asked = await send(sessionId, { kind: "messages", sessionId, limit: 1, ...asker(call) });
  await asked.body?.cancel();
  if (asked.status === 404) throw new AppError("not_found", "there is no such session");
  if (!asked.ok) throw new AppError("overloaded", "the session cannot be reached now", { retryAfterSeconds: 2 });
}

function statsRoute(deps: ArchiveRoutesDeps): Route {
  const { archive, now } = deps;
  return route(
    {
      ...{ method: "GET", path: "/history/users/{user_id}/stats", access: "user", others: "nobody" },
      ...{ params: UserPath, query: StatsQuery, answers: { 200: UserStats } },
      fails: ["not_found", "overloaded", ...FAILS],
      summary: "What a user's chats took and saved: messages, tokens by model, cost, activity by day",
      description: "Of the last `days` days in UTC, today included; of all chats and calls, or of one session.",
    },
    async (call) => {
      const { days, session_id: sessionId } = call.query;
      const toMs = now();
      const fromMs = toMs - (toMs % DAY_MS) - (days - 1) * DAY_MS;
      const stats = orThrow(await archive.readStats(call.user.id, { fromMs, toMs, sessionId }));
      const isKnown = stats.sessions.total > 0 || stats.models.length > 0;
      if (sessionId !== undefined && !isKnown) await requireSession(deps, call, sessionId);
      return Response.json(stats);
    },
  );
}
