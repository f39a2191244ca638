/**
 * The turn rows of a session's object: what was asked and how it ended. A row says "running" from the moment the user's message
 * is durable until the answer is; a row that says so in an object that has just started belongs to a turn that was cut.
 */
import type { Approval } from "../../../contracts/approvals.ts";
import type { CachedRoute } from "../../../contracts/cache.ts";
import type { BilledUsage, CacheVerdict, FinishReason } from "../../../contracts/chat.ts";
import type { Failure } from "../../../contracts/errors.ts";
import { madeAtMs, newTurnId } from "../../../contracts/ids.ts";
import type { AskedResponse } from "../../../contracts/openai-responses.ts";
import type { ToolRound } from "../../../contracts/rounds.ts";
import type { AnswerOptions, ResolvedChat } from "../../../contracts/session.ts";
import type { BranchPoint } from "./branches.ts";
import type { WindowStart } from "./window.ts";

/** What a turn was started with: enough to run it again. */
export interface TurnPlan {
  /** Of the answer to come. */
  messageId: string;
  requestId: string;
  traceparent?: string | undefined;
  /** Left out by an earlier version of this code. */
  route?: CachedRoute;
  chat: AnswerOptions;
  /** Of a response. */
  asked?: AskedResponse;
  /** The message that is answered. */
  parentSeq: number;
  /** Calls of a client's tools, with the results that this turn begins with. One alone: by an earlier version of this code. */
  given?: ToolRound[] | ToolRound;
  /** Nothing of an earlier turn is in the context. */
  firstTurn: boolean;
  /** What the model is shown of the session begins here. Left out by an earlier version of this code. */
  window?: WindowStart;
}

/** How a turn ended, as its JSON reply and its state route tell it. */
export interface StoredOutcome {
  messageId: string;
  response: string;
  model: string;
  provider: string;
  usage: BilledUsage;
  cache: CacheVerdict;
  toolsUsed: string[];
  /** One of the two. */
  finishReason?: FinishReason;
  failure?: Failure;
}

export type TurnState = "running" | "waiting" | "complete" | "interrupted" | "cancelled" | "failed";

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
  /** What it asks a person, and the answer until that is told. */
  approval: Approval | undefined;
  outcome: StoredOutcome | undefined;
  endedAtMs: number | undefined;
}

export interface NewPlan {
  chat: ResolvedChat;
  branch: BranchPoint;
  messageId: string;
  requestId: string;
  traceparent: string | undefined;
  route: CachedRoute;
  asked: AskedResponse | undefined;
}

export function toPlan({ chat, branch, asked, ...ids }: NewPlan): Omit<TurnPlan, "parentSeq"> {
  const { tools, response_format, cache } = chat.request;
  const request = {
    ...(tools !== undefined && { tools }),
    ...(response_format !== undefined && { response_format }),
    ...(cache !== undefined && { cache }),
  };
  const { given, said, leafSeq } = branch;
  // What a tool has told its client is as private as an answer.
  const hasRounds = given !== undefined || said.some(({ before = [] }) => before.some((one) => "round" in one));
  const firstTurn = leafSeq === null && said.length === 1 && !hasRounds;
  return { ...ids, chat: { ...chat, request }, firstTurn, ...(given && { given }), ...(asked && { asked }) };
}

/** A turn's id is its time: no two turns of a session share a millisecond. */
export function nextTurnId(sql: SqlStorage, sessionId: string, nowMs: number): string {
  const candidate = newTurnId(nowMs, sessionId);
  const newest = newestTurn(sql)?.id;
  if (newest === undefined || newest < candidate) return candidate;
  return newTurnId(madeAtMs(newest) + 1, sessionId);
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
  state: Exclude<TurnState, "running" | "waiting">;
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

export function writeApproval(sql: SqlStorage, id: string, state: "running" | "waiting", approval: Approval): void {
  sql.exec("UPDATE turns SET state = ?, approval = ? WHERE id = ?", state, JSON.stringify(approval), id);
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

/** The one turn that has not ended; a session runs one at a time. */
export function openTurn(sql: SqlStorage): TurnRow | undefined {
  const newest = newestTurn(sql);
  return newest?.state === "running" || newest?.state === "waiting" ? newest : undefined;
}

/** The turn is complete, and none before it is. */
export function isFirstComplete(sql: SqlStorage, id: string): boolean {
  const complete = sql
    .exec<{ id: string }>("SELECT id FROM turns WHERE state = 'complete' ORDER BY id LIMIT 1")
    .toArray();
  return complete[0]?.id === id;
}

/** Forgets the event logs of turns that ended before `beforeMs`; their messages stay. */
export function forgetLogs(sql: SqlStorage, beforeMs: number): void {
  sql.exec(
    "DELETE FROM events WHERE turn_id IN (SELECT DISTINCT turn_id FROM events) AND turn_id IN (SELECT id FROM turns WHERE id = events.turn_id AND ended_at < ?)",
    beforeMs,
  );
}

/** Forgets turns that ended before `beforeMs` and of which no message is left, with their logs and their answers' text. */
export function forgetTurns(sql: SqlStorage, beforeMs: number): void {
  sql.exec("DELETE FROM turns WHERE ended_at < ? AND id NOT IN (SELECT turn_id FROM messages)", beforeMs);
  sql.exec("DELETE FROM events WHERE turn_id NOT IN (SELECT id FROM turns)");
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
      approval: row["approval"] === null ? undefined : (JSON.parse(String(row["approval"])) as Approval), // by writeApproval
      outcome: row["outcome"] === null ? undefined : toOutcome(JSON.parse(String(row["outcome"])) as StoredOutcome), // by endTurn
      endedAtMs: row["ended_at"] === null ? undefined : Number(row["ended_at"]),
    }));
}

/** An earlier version of this code wrote no cost. */
function toOutcome(outcome: StoredOutcome): StoredOutcome {
  return { ...outcome, usage: { ...outcome.usage, cost_usd: outcome.usage.cost_usd ?? null } };
}
