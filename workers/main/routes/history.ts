/**
 * /history: a session's messages with their branches, and deleting a session. Read from and done by the session's object.
 */
import { Hono, type MiddlewareHandler } from "hono";
import type { HistoryHealth } from "../../../contracts/history.ts";
import type { AppContext } from "../http/context.ts";
import { parseCount, parseId } from "../http/params.ts";
import { callOf, type SendToSession } from "./chat.ts";

export interface HistoryRoutesDeps {
  requireUser: MiddlewareHandler<AppContext>;
  send: SendToSession;
  historyHealth(): Promise<HistoryHealth>;
}

const PAGE = 50;
const MAX_PAGE = 200;

export function historyRoutes({ requireUser, send, historyHealth }: HistoryRoutesDeps) {
  return new Hono<AppContext>()
    .use(requireUser)
    .get("/health", async (context) => {
      const health = await historyHealth();
      return context.json(health, health.status === "unhealthy" ? 503 : 200);
    })
    .get("/sessions/:session_id/messages", (context) => {
      const sessionId = parseId(context.req.param("session_id"), "session_id");
      const limit = parseCount(context.req.query("limit"), { name: "limit", max: MAX_PAGE, fallback: PAGE }) ?? PAGE;
      const place = { name: "before", max: Number.MAX_SAFE_INTEGER, fallback: undefined };
      const before = parseCount(context.req.query("before"), place);
      const { userId, requestId } = callOf(context.req, context.var);
      return send(sessionId, { kind: "messages", sessionId, before, limit, userId, requestId });
    })
    .delete("/sessions/:session_id", (context) => {
      const sessionId = parseId(context.req.param("session_id"), "session_id");
      const { userId, requestId } = callOf(context.req, context.var);
      return send(sessionId, { kind: "erase", sessionId, userId, requestId });
    });
}
