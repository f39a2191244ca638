/**
 * /history: a session's messages with their branches, and deleting a session. Read from and done by the session's object.
 */
import * as z from "zod";
import type { ErrorCode } from "../../../contracts/errors.ts";
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
/** Places are 32-bit numbers in Postgres. */
const MAX_PLACE = 2 ** 31 - 1;
const PageQuery = z
  .strictObject({
    limit: count(1, MAX_PAGE).default(PAGE),
    before: count(1, MAX_PLACE).optional(),
    after: count(0, MAX_PLACE).optional(),
  })
  .refine(({ before, after }) => before === undefined || after === undefined, "give before or after, not both");

/** What the session's object does not hold is read from Postgres. */
const PAGE_FAILS: ErrorCode[] = ["not_found", "overloaded", "db_timeout", "db_unavailable"];

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
        ...{ query: PageQuery, answers: { 200: MessagePage }, fails: PAGE_FAILS },
        summary: "A session's messages of all branches: newest first, or oldest first with `after`",
      },
      (call) => {
        const { session_id: sessionId } = call.params;
        return send(sessionId, {
          kind: "messages",
          sessionId,
          ...call.query,
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
