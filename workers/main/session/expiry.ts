/**
 * What a session's object keeps for a while only: the event logs of turns that have ended, and checkpoints that have outlived their turn, as a
 * crash may leave them. State: SQLite. Nothing else of a turn goes with them: its row and its messages stay.
 */
import { deleteCheckpoints, hasTables as hasCheckpoints } from "./checkpoints.ts";
import type { ExpiredCounts } from "../../../contracts/session.ts";
import type { Log } from "../../../contracts/log.ts";
import type { Session } from "./session.ts";
import { forgetLogs } from "./turns.ts";

export interface ExpiryDeps {
  now: () => number;
  /** How long after its turn's end a log is kept. */
  turnLogMs: number;
  log: Log;
}

export const NOTHING_EXPIRED: ExpiredCounts = { turnLogs: 0, checkpoints: 0 };

/** Of turns that ended before `beforeMs`. */
export function countExpired(sql: SqlStorage, beforeMs: number): ExpiredCounts {
  const query = "SELECT count(*) AS logs FROM turns WHERE ended_at < ? AND id IN (SELECT turn_id FROM events)";
  const { logs } = sql.exec<{ logs: number }>(query, beforeMs).one();
  return { turnLogs: logs, checkpoints: outlived(sql, beforeMs).length };
}

/** Of the alarm: deletes what has had its time. */
export function expire(sql: SqlStorage, { id, userId }: Session, { now, turnLogMs, log }: ExpiryDeps): void {
  const nowMs = now();
  const { turnLogs: turn_logs, checkpoints } = countExpired(sql, nowMs - turnLogMs);
  if (turn_logs + checkpoints === 0) return;
  forgetLogs(sql, nowMs - turnLogMs);
  for (const turnId of outlived(sql, nowMs - turnLogMs)) deleteCheckpoints(sql, turnId);
  const line = { service: "session", route: "retention", session_id: id, user_id: userId };
  log({ ...line, turn_logs, checkpoints, ms: now() - nowMs });
}

/** When the turn ended whose log, or whose checkpoints, will be the first to go. */
export function oldestEndMs(sql: SqlStorage): number | undefined {
  const ofLogs = "SELECT min(ended_at) AS at FROM turns WHERE id IN (SELECT turn_id FROM events)";
  const ofCheckpoints = "SELECT min(ended_at) AS at FROM turns WHERE id IN (SELECT thread_id FROM checkpoints)";
  const queries = hasCheckpoints(sql) ? [ofLogs, ofCheckpoints] : [ofLogs];
  const ends = queries.flatMap((query) => sql.exec<{ at: number | null }>(query).one().at ?? []);
  return ends.length === 0 ? undefined : Math.min(...ends);
}

function outlived(sql: SqlStorage, beforeMs: number): string[] {
  if (!hasCheckpoints(sql)) return [];
  const query = "SELECT id FROM turns WHERE ended_at < ? AND id IN (SELECT thread_id FROM checkpoints)";
  return sql
    .exec<{ id: string }>(query, beforeMs)
    .toArray()
    .map(({ id }) => id);
}
