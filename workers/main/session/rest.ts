/**
 * Lets a session rest that nobody has used for long: the object deletes all it has, once Postgres says that it holds every message.
 * State: the object's alarm. It never rests a session that owes anything, of which Postgres lacks a message, or that is being used.
 */
import type { HistoryStore } from "../../../contracts/history.ts";
import { oldestEndMs } from "./expiry.ts";
import { claimsEndMs, forgetClaims } from "./idempotency.ts";
import { countMessages, oldestSeq } from "./messages.ts";
import { isOwed, readSession, type Session, updatedAtMs } from "./session.ts";
import { newestTurn } from "./turns.ts";

/** When a session could not rest, it is tried again after this time, or after the time of rest if that is shorter. */
const RETRY_MS = 24 * 3_600_000;

export interface Rest {
  /** When somebody last had it do something, in milliseconds since 1970. */
  lastUsedMs(session: Session): number;
  /** Sees to it that the alarm comes when the session may rest or a turn's log has had its time, unless it comes earlier anyway. */
  plan(): Promise<void>;
  /** Of the alarm: rests the session if it is time. */
  try(): Promise<void>;
}

export interface RestDeps {
  storage: DurableObjectStorage;
  history: HistoryStore;
  now: () => number;
  restMs: number;
  turnLogMs: number;
  isBusy(): boolean;
  /** The session's user is gone from Postgres, and so is to go the session. */
  onOrphaned(): Promise<void>;
}

export function createRest({ storage, history, now, restMs, turnLogMs, isBusy, onOrphaned }: RestDeps): Rest {
  const { sql } = storage;

  function lastUsedMs(session: Session): number {
    return Math.max(updatedAtMs(sql, session), session.heldAtMs, newestTurn(sql)?.endedAtMs ?? 0);
  }

  function restsAtMs(session: Session): number {
    return Math.max(lastUsedMs(session) + restMs, claimsEndMs(sql));
  }

  /** The session, when it is time and nothing speaks against it. */
  function tired(): Session | undefined {
    const session = readSession(sql);
    if (session === undefined || !session.stored || session.erased || isBusy()) return undefined;
    return restsAtMs(session) <= now() && !isOwed(sql, session) ? session : undefined;
  }

  /**
   * A message that Postgres could not take is in the object alone: such a session never rests. One whose user is gone from there was
   * left over by an erasure.
   */
  async function inspect({
    id: sessionId,
    userId,
    forgottenSeq,
  }: Session): Promise<"complete" | "orphaned" | "unsafe"> {
    const from = oldestSeq(sql) ?? forgottenSeq + 1;
    const found = await history.inspectSession({ sessionId, userId, from });
    if (!found.ok) return "unsafe";
    if (!found.value.user) return "orphaned";
    return found.value.session && found.value.messages === countMessages(sql) ? "complete" : "unsafe";
  }

  async function plan(): Promise<void> {
    const session = readSession(sql);
    if (session === undefined || !session.stored) return;
    const dueMs = restsAtMs(session);
    const restAtMs = dueMs > now() ? dueMs : now() + Math.min(restMs, RETRY_MS);
    const endedAtMs = oldestEndMs(sql);
    const atMs = endedAtMs === undefined ? restAtMs : Math.min(restAtMs, endedAtMs + turnLogMs + 1);
    const setMs = await storage.getAlarm();
    if (setMs === null || setMs > atMs) await storage.setAlarm(atMs);
  }

  return {
    ...{ plan, lastUsedMs },
    async try() {
      if (readSession(sql) === undefined) return;
      forgetClaims(sql, now());
      const session = tired();
      const verdict = session === undefined ? "unsafe" : await inspect(session);
      // Looked at once more: somebody may have come while Postgres was asked.
      if (verdict === "unsafe" || tired() === undefined) await plan();
      else if (verdict === "orphaned") await onOrphaned();
      else await storage.deleteAll();
    },
  };
}
