/**
 * What there is of a turn now, from the best that is left of it: its log, its row, its answer here or in Postgres. Fewer events than there were,
 * and the same answer. No state; what rests is read where it is, and fills nothing. Refuses anyone but the session's owner.
 */
import { FinishReason } from "../../../contracts/chat.ts";
import { AppError } from "../../../contracts/errors.ts";
import { type ChatEvent, encodeEvent } from "../../../contracts/events.ts";
import type { HistoryStore } from "../../../contracts/history.ts";
import { NO_USAGE } from "../../../contracts/rounds.ts";
import type { RecalledTurn, RecallTurn } from "../../../contracts/session.ts";
import { toDetails, unreadable } from "./hold.ts";
import { terminalEvent } from "./live-turn.ts";
import { isSaved, openSavedLog } from "./log.ts";
import { findMessage, isSettled, type Message, newestOfTurn } from "./messages.ts";
import { readSession, requireOwner } from "./session.ts";
import { readTurn, type StoredOutcome, type TurnRow } from "./turns.ts";

interface RecallDeps {
  sql: SqlStorage;
  history: Pick<HistoryStore, "findTurn">;
  now: () => number;
  turnLogMs: number;
}

/** A turn that has ended. */
export async function recallEnded(command: RecallTurn, deps: RecallDeps): Promise<RecalledTurn> {
  const { sql } = deps;
  const { turnId, userId } = command;
  const here = readSession(sql);
  const session = here && requireOwner(here, userId);
  const turn = session && readTurn(sql, turnId);
  if (session !== undefined && turn !== undefined) return recallRow(turn, session.id, deps);
  const message = session && newestOfTurn(sql, turnId);
  if (session !== undefined && message !== undefined) return recallMessage(message, session.id, command);
  const found = await deps.history.findTurn({ turnId, userId });
  if (!found.ok) throw unreadable(found.error);
  if (found.value === undefined) throw missing();
  const { message: row, sessionId } = found.value;
  return recallMessage({ ...row, details: toDetails(row) }, sessionId, command);
}

/** Its events can still be read one by one. */
export function hasLog({ id, endedAtMs }: TurnRow, { sql, now, turnLogMs }: Omit<RecallDeps, "history">): boolean {
  return endedAtMs !== undefined && endedAtMs >= now() - turnLogMs && isSaved(sql, id);
}

/** What its client asked, as far as the turn's row has it. */
export function requestOf({ plan }: TurnRow): Pick<RecalledTurn, "asked" | "client" | "format"> {
  const { asked, chat } = plan;
  const { response_format: format } = chat.request;
  return { ...(asked && { asked }), ...(chat.client && { client: chat.client }), ...(format && { format }) };
}

function recallRow(turn: TurnRow, sessionId: string, deps: RecallDeps): RecalledTurn {
  const { id: turnId, plan, outcome } = turn;
  const areWhole = hasLog(turn, deps);
  if (areWhole) {
    return { sessionId, ...requestOf(turn), areWhole, events: openSavedLog(deps.sql, turnId).after(0) };
  }
  if (outcome === undefined) throw new Error("the turn has not ended");
  const rounds = findMessage(deps.sql, outcome.messageId)?.details.rounds;
  const { requestId } = plan;
  return {
    sessionId,
    ...requestOf(turn),
    areWhole,
    events: toEvents({ turnId, sessionId, requestId, outcome, rounds }),
  };
}

type Kept = Pick<Message, "id" | "content" | "status" | "details"> & { role: string };

/** Of a turn without an answer nothing is left that could be told. */
function recallMessage(message: Kept, sessionId: string, { turnId, requestId }: RecallTurn): RecalledTurn {
  if (message.role !== "assistant") throw missing();
  const { asked, rounds } = message.details;
  const outcome = outcomeOf(message);
  const events = toEvents({ turnId, sessionId, requestId, outcome, rounds });
  return { sessionId, ...(asked && { asked }), areWhole: false, events };
}

function outcomeOf({ id: messageId, content: response, status, details }: Kept): StoredOutcome {
  const { model = "", provider = "", usage = NO_USAGE, cache = "miss", finish_reason: reason } = details;
  const billed = { cost_usd: null, ...usage };
  const outcome = { messageId, response, model, provider, usage: billed, cache, toolsUsed: [] };
  if (status === "complete") return { ...outcome, finishReason: FinishReason.safeParse(reason).data ?? "stop" };
  if (status === "cancelled") return { ...outcome, failure: { code: "cancelled", message: "the turn was stopped" } };
  return { ...outcome, failure: { code: "interrupted", message: "the model's answer was cut off" } };
}

interface Told {
  turnId: string;
  sessionId: string;
  requestId: string;
  outcome: StoredOutcome;
  rounds: Message["details"]["rounds"];
}

function toEvents({ turnId: turn_id, sessionId: session_id, requestId, outcome, rounds }: Told): string {
  const { messageId: message_id, model, provider, cache, response, usage } = outcome;
  const open = rounds?.find((round) => !isSettled(round));
  const events: ChatEvent[] = [
    { event: "meta", data: { turn_id, session_id, message_id, model, provider, cache } },
    ...(response === "" ? [] : [{ event: "delta" as const, data: { content: response } }]),
    ...(open?.calls ?? []).map((call) => ({ event: "tool_call" as const, data: call })),
    { event: "usage", data: usage },
    terminalEvent(outcome, requestId),
  ];
  return events.map((event, at) => encodeEvent(at + 1, event)).join("");
}

function missing(): AppError {
  return new AppError("not_found", "there is no such session");
}
