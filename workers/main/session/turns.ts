/**
 * The turn rows of a session's object: what was asked and how it ended. A row says "running" from the moment the user's message
 * is durable until the answer is; a row that says so in an object that has just started belongs to a turn that was cut.
 */
import type { CacheVerdict, FinishReason, Usage } from "../../../contracts/chat.ts";
import type { Failure } from "../../../contracts/errors.ts";
import type { ResolvedChat } from "../../../contracts/session.ts";

/** What a turn was started with: enough to run it again. */
export interface TurnPlan {
  /** Of the answer to come. */
  messageId: string;
  requestId: string;
  chat: ResolvedChat;
  /** The message that is answered. */
  parentSeq: number;
  /** Nothing of an earlier turn is in the context. */
  firstTurn: boolean;
}

/** How a turn ended, as its JSON reply and its state route tell it. */
export interface StoredOutcome {
  messageId: string;
  response: string;
  model: string;
  provider: string;
  usage: Usage;
  cache: CacheVerdict;
  toolsUsed: string[];
  /** One of the two. */
  finishReason?: FinishReason;
  failure?: Failure;
}

export type TurnState = "running" | "complete" | "interrupted" | "cancelled" | "failed";

export interface TurnRow {
  id: string;
  state: TurnState;
  plan: TurnPlan;
  startedAtMs: number;
  /** How often it was taken up again after a cut. */
  resumed: number;
  cancelRequested: boolean;
  /** The number of the last event that was saved when the turn was cut for good: viewers may have seen later ones. */
  cutAfter: number | undefined;
  outcome: StoredOutcome | undefined;
  endedAtMs: number | undefined;
}

export function insertTurn(sql: SqlStorage, turn: { id: string; plan: TurnPlan; startedAtMs: number }): void {
  sql.exec(
    "INSERT INTO turns (id, state, command, started_at) VALUES (?, 'running', ?, ?)",
    turn.id,
    JSON.stringify(turn.plan),
    turn.startedAtMs,
  );
}

export interface TurnEnd {
  state: Exclude<TurnState, "running">;
  outcome: StoredOutcome;
  endedAtMs: number;
  cutAfter?: number;
}

export function endTurn(sql: SqlStorage, id: string, end: TurnEnd): void {
  sql.exec(
    "UPDATE turns SET state = ?, outcome = ?, ended_at = ?, cut_after = ? WHERE id = ?",
    end.state,
    JSON.stringify(end.outcome),
    end.endedAtMs,
    end.cutAfter ?? null,
    id,
  );
}

/** The wish outlives this object's memory: a turn that is taken up again finds it. */
export function requestCancel(sql: SqlStorage, id: string): void {
  sql.exec("UPDATE turns SET cancel_requested = 1 WHERE id = ?", id);
}

export function countResume(sql: SqlStorage, id: string): void {
  sql.exec("UPDATE turns SET resumed = resumed + 1 WHERE id = ?", id);
}

export function readTurn(sql: SqlStorage, id: string): TurnRow | undefined {
  return selectTurns(sql, "WHERE id = ?", id)[0];
}

/** Ids rise with time. */
export function newestTurn(sql: SqlStorage): TurnRow | undefined {
  return selectTurns(sql, "ORDER BY id DESC LIMIT 1")[0];
}

/** The one turn that still says so; a session runs one at a time. */
export function runningTurn(sql: SqlStorage): TurnRow | undefined {
  const newest = newestTurn(sql);
  return newest?.state === "running" ? newest : undefined;
}

/** Forgets the event logs of turns that ended before `beforeMs`; their messages stay. */
export function forgetLogs(sql: SqlStorage, beforeMs: number): void {
  sql.exec(
    "DELETE FROM events WHERE turn_id IN (SELECT DISTINCT turn_id FROM events) AND turn_id IN (SELECT id FROM turns WHERE id = events.turn_id AND ended_at < ?)",
    beforeMs,
  );
}

function selectTurns(sql: SqlStorage, where: string, ...bindings: string[]): TurnRow[] {
  return sql
    .exec(`SELECT * FROM turns ${where}`, ...bindings)
    .toArray()
    .map((row) => ({
      id: String(row["id"]),
      state: row["state"] as TurnState, // written by this file
      plan: JSON.parse(String(row["command"])) as TurnPlan, // by insertTurn
      startedAtMs: Number(row["started_at"]),
      resumed: Number(row["resumed"]),
      cancelRequested: row["cancel_requested"] === 1,
      cutAfter: row["cut_after"] === null ? undefined : Number(row["cut_after"]),
      outcome: row["outcome"] === null ? undefined : (JSON.parse(String(row["outcome"])) as StoredOutcome), // by endTurn
      endedAtMs: row["ended_at"] === null ? undefined : Number(row["ended_at"]),
    }));
}
