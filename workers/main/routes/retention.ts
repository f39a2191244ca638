/**
 * /history/retention: what the objects of sessions hold past its time. Counts only; each object deletes its own by its alarm. No state. An
 * admin's alone, since it asks the objects of all users.
 */
import type { HistoryStore } from "../../../contracts/history.ts";
import { orThrow } from "../../../contracts/errors.ts";
import { RetentionPage, RetentionQuery } from "../../../contracts/retention.ts";
import type { CountExpired, ExpiredCounts } from "../../../contracts/session.ts";
import { type Route, route } from "../http/route.ts";
import { NOTHING_EXPIRED } from "../session/expiry.ts";
import type { SendToSession } from "./start-turn.ts";

export interface RetentionRoutesDeps {
  history: Pick<HistoryStore, "usedSessions">;
  send: SendToSession;
  keeps: RetentionPage["keeps"];
  /** Sessions that nobody has used for so long have left their objects. */
  restMs: number;
  now: () => number;
}

/** Objects that one request asks. */
const PAGE = 100;
const AT_A_TIME = 5;
/** A session that could not rest is looked at a day later. */
const LATE_MS = 24 * 3_600_000;

export function retentionRoutes({ history, send, keeps, restMs, now }: RetentionRoutesDeps): Route[] {
  async function ask(sessionId: string, command: CountExpired): Promise<ExpiredCounts | undefined> {
    try {
      const response = await send(sessionId, command);
      if (response.ok) return await response.json<ExpiredCounts>();
      await response.body?.cancel();
      return response.status === 404 ? NOTHING_EXPIRED : undefined; // it is being erased
    } catch {
      return undefined; // an object that cannot be reached now
    }
  }

  return [
    route(
      {
        ...{ method: "GET", path: "/history/retention", access: "admin", query: RetentionQuery },
        ...{ answers: { 200: RetentionPage }, fails: ["db_timeout", "db_unavailable", "not_configured"] },
        summary:
          "How long what is kept, and which turn logs and checkpoints are in objects past that; page by page of the sessions in use",
      },
      async (call) => {
        const { after, turn_log_seconds: seconds = keeps.turn_log_seconds } = call.query;
        const nowMs = now();
        const used = orThrow(await history.usedSessions({ sinceMs: nowMs - restMs - LATE_MS, after, limit: PAGE }));
        const found: (ExpiredCounts | undefined)[] = [];
        for (let at = 0; at < used.length; at += AT_A_TIME) {
          const asked = used.slice(at, at + AT_A_TIME).map(({ id: sessionId, userId }) => {
            const { requestId } = call;
            return ask(sessionId, { kind: "expired", sessionId, userId, requestId, beforeMs: nowMs - seconds * 1_000 });
          });
          found.push(...(await Promise.all(asked)));
        }
        const counted = found.filter((counts) => counts !== undefined);
        const page: RetentionPage = {
          keeps: { ...keeps, turn_log_seconds: seconds },
          sessions: used.length,
          failed: found.length - counted.length,
          turn_logs: counted.reduce((sum, { turnLogs }) => sum + turnLogs, 0),
          checkpoints: counted.reduce((sum, { checkpoints }) => sum + checkpoints, 0),
          next_after: used.length === PAGE ? (used.at(-1)?.newestId ?? null) : null,
        };
        return Response.json(page);
      },
    ),
  ];
}
