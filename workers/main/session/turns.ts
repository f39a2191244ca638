/**
 * The turn rows of a session's object: what was asked and how it ended. A row says "running" from the moment the user's message
 * is durable until the answer is; a row that says so in an object that has just started belongs to a turn that was cut.
 */
import type { CacheVerdict, FinishReason, Usage } from "../../../contracts/chat.ts";
import type { Failure } from "../../../contracts/errors.ts";

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

export interface TurnRow {
  id: string;
  /** "running" or how it ended. */
  state: "running" | "complete" | "interrupted" | "cancelled" | "failed";
  messageId: string;
  requestId: string;
  outcome: StoredOutcome | undefined;
  endedAtMs: number | undefined;
}

export function insertTurn(sql: SqlStorage, turn: Pick<TurnRow, "id" | "messageId" | "requestId">): void {
  const { id, messageId, requestId } = turn;
  sql.exec(
    "INSERT INTO turns (id, state, command) VALUES (?, 'running', ?)",
    id,
    JSON.stringify({ messageId, requestId }),
  );
}

export function endTurn(
  sql: SqlStorage,
  id: string,
  end: { state: TurnRow["state"]; outcome: StoredOutcome; endedAtMs: number },
): void {
  sql.exec(
    "UPDATE turns SET state = ?, outcome = ?, ended_at = ? WHERE id = ?",
    end.state,
    JSON.stringify(end.outcome),
    end.endedAtMs,
    id,
  );
}

export function readTurn(sql: SqlStorage, id: string): TurnRow | undefined {
  return selectTurns(sql, "WHERE id = ?", id)[0];
}

/** The id of the newest turn: ids rise with time. */
export function newestTurnId(sql: SqlStorage): string | undefined {
  return sql.exec<{ id: string }>("SELECT id FROM turns ORDER BY id DESC LIMIT 1").toArray()[0]?.id;
}

export function runningTurns(sql: SqlStorage): TurnRow[] {
  return selectTurns(sql, "WHERE state = 'running'");
}

/** Forgets the event logs of turns that ended before `beforeMs`; their messages stay. */
export function forgetLogs(sql: SqlStorage, beforeMs: number): void {
  sql.exec(
    "DELETE FROM events WHERE turn_id IN (SELECT id FROM turns WHERE ended_at < ? ORDER BY id DESC LIMIT 16)",
    beforeMs,
  );
}

function selectTurns(sql: SqlStorage, where: string, ...bindings: string[]): TurnRow[] {
  return sql
    .exec(`SELECT id, state, command, outcome, ended_at FROM turns ${where}`, ...bindings)
    .toArray()
    .map((row) => {
      const command = JSON.parse(String(row["command"])) as Pick<TurnRow, "messageId" | "requestId">; // by insertTurn
      return {
        ...command,
        id: String(row["id"]),
        state: row["state"] as TurnRow["state"], // written by this file
        outcome: row["outcome"] === null ? undefined : (JSON.parse(String(row["outcome"])) as StoredOutcome), // by endTurn
        endedAtMs: row["ended_at"] === null ? undefined : Number(row["ended_at"]),
      };
    });
}
