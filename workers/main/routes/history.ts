/**
 * /history: a session's messages with their branches, and deleting a session. Read from and done by the session's object.
 */
import * as z from "zod";
import { ErasedSession, HistoryHealth, MessagePage } from "../../../contracts/history.ts";
import { count, SessionPath } from "../../../contracts/params.ts";
import { type Route, route } from "../http/route.ts";
import { asker, type SendToSession } from "./chat.ts";

export interface HistoryRoutesDeps {
  send: SendToSession;
  historyHealth(): Promise<HistoryHealth>;
}

const PAGE = 50;
const MAX_PAGE = 200;
const PageQuery = z.strictObject({
  limit: count(1, MAX_PAGE).default(PAGE),
  before: count(1, Number.MAX_SAFE_INTEGER).optional(),
});

export function historyRoutes({ send, historyHealth }: HistoryRoutesDeps): Route[] {
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
    route(
      {
        ...{ method: "GET", path: "/history/sessions/{session_id}/messages", access: "user", params: SessionPath },
        ...{ query: PageQuery, answers: { 200: MessagePage }, fails: ["not_found", "overloaded"] },
        summary: "A session's messages, newest first, of all branches",
      },
      (call) => {
        const { session_id: sessionId } = call.params;
        return send(sessionId, {
          kind: "messages",
          sessionId,
          before: call.query.before,
          limit: call.query.limit,
          ...asker(call),
        });
      },
    ),
    route(
      {
        ...{ method: "DELETE", path: "/history/sessions/{session_id}", access: "user", params: SessionPath },
        ...{ answers: { 200: ErasedSession, 202: ErasedSession }, fails: ["not_found", "overloaded"] },
        summary: "Stops the session's turn and deletes the session",
      },
      (call) => {
        const { session_id: sessionId } = call.params;
        return send(sessionId, { kind: "erase", sessionId, ...asker(call) });
      },
    ),
  ];
}
