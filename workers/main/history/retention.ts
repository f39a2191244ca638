/**
 * Deletes sessions that nobody has used for as long as the deployment keeps them. State: none; Postgres says which are that old, and each one's
 * object, which knows of every use, decides. Refuses nothing: what cannot be deleted now is tried at a later run. A run asks 1,000 sessions:
 * half of them from the oldest on, half from a place that differs from run to run, so that old ones that stay hold up none behind them.
 */
import type { HistoryStore } from "../../../contracts/history.ts";
import { newId } from "../../../contracts/ids.ts";
import type { Log } from "../../../contracts/log.ts";
import type { EraseSession } from "../../../contracts/session.ts";

const DAY_MS = 24 * 3_600_000;
const PAGE = 50;
/** Of one run. */
const PAGES = 20;
const AT_A_TIME = 5;

export interface RetentionDeps {
  days: number;
  history: Pick<HistoryStore, "idleSessions">;
  /** To the session's object. Each is one request of the Worker, whose number is bounded. */
  send(sessionId: string, command: EraseSession): Promise<Response>;
  requestId: string;
  /** From 0 to below 1. */
  random: () => number;
  now: () => number;
  log: Log;
}

export interface RetentionReport {
  deleted: number;
  /** They have been used since, or are gone already. */
  kept: number;
  failed: number;
}

export async function expireIdle(deps: RetentionDeps): Promise<void> {
  const { history, requestId, log, days } = deps;
  const report: RetentionReport = { deleted: 0, kept: 0, failed: 0 };
  const line = { service: "main", request_id: requestId, route: "retention", audit: "retention" };
  const beforeMs = deps.now() - days * DAY_MS;
  let after: string | undefined;
  for (let page = 0; page < PAGES; page += 1) {
    const idle = await history.idleSessions({ beforeMs, after, limit: PAGE });
    if (!idle.ok) {
      log({ ...line, ...report, error: idle.error.code });
      return;
    }
    for (let at = 0; at < idle.value.length; at += AT_A_TIME) {
      const some = idle.value.slice(at, at + AT_A_TIME);
      for (const outcome of await Promise.all(some.map((session) => expire(session, beforeMs, deps))))
        report[outcome] += 1;
    }
    after = idle.value.at(-1)?.id;
    if (idle.value.length < PAGE) break;
    if (after !== undefined && page === PAGES / 2 - 1) after = placeBetween(after, beforeMs, deps.random());
  }
  log({ ...line, ...report });
}

/** An id begins with the time of its making. */
function placeBetween(after: string, beforeMs: number, share: number): string {
  const fromMs = Number.parseInt(after.replace("-", "").slice(0, 12), 16);
  const place = newId(Math.floor(fromMs + share * (beforeMs - fromMs)), (length) => new Uint8Array(length));
  return place > after ? place : after;
}

async function expire(
  { id: sessionId, userId }: { id: string; userId: string },
  unusedSinceMs: number,
  { send, requestId }: RetentionDeps,
): Promise<keyof RetentionReport> {
  try {
    const response = await send(sessionId, { kind: "erase", sessionId, userId, requestId, unusedSinceMs });
    await response.body?.cancel();
    if (response.ok) return "deleted";
    return response.status === 409 || response.status === 404 ? "kept" : "failed";
  } catch {
    return "failed"; // an object that cannot be reached now
  }
}
