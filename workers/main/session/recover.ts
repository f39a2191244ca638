/**
 * What a session's object does about a turn that was cut: the object was evicted or the runtime died while it ran.
 * What had been saved of the answer is kept as an interrupted message, and the log gets its terminal event.
 */
import { createEventDecoder, encodeEvent } from "../../../contracts/events.ts";
import { readSavedLog, writeFrames } from "./log.ts";
import { terminalEvent } from "./live-turn.ts";
import { appendMessage, lastMessage } from "./messages.ts";
import { endTurn, runningTurns, type StoredOutcome, type TurnRow } from "./turns.ts";

/** Ends every turn that still says "running". Call it only when none is live: as the object starts. */
export function interruptCutTurns(storage: DurableObjectStorage, nowMs: number): void {
  for (const turn of runningTurns(storage.sql)) {
    storage.transactionSync(() => interrupt(storage.sql, turn, nowMs));
  }
}

function interrupt(sql: SqlStorage, turn: TurnRow, nowMs: number): void {
  const log = readSavedLog(sql, turn.id);
  const events = createEventDecoder().push(log.after(0));
  const response = events.flatMap((event) => (event.event === "delta" ? [event.data.content] : [])).join("");
  const meta = events.find((event) => event.event === "meta")?.data;
  const outcome: StoredOutcome = {
    messageId: turn.messageId,
    response,
    model: meta?.model ?? "",
    provider: meta?.provider ?? "",
    usage: { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0, estimated: true },
    cache: meta?.cache ?? "bypass",
    toolsUsed: [],
    failure: { code: "interrupted", message: "the turn was cut off by a restart" },
  };
  const state = response === "" ? "failed" : "interrupted";
  if (state === "interrupted") {
    appendMessage(sql, {
      ...{ id: turn.messageId, parentId: lastMessage(sql).id, turnId: turn.id, role: "assistant", content: response },
      ...{ status: "interrupted", tokens: 0, createdAtMs: nowMs },
      details: { model: outcome.model, provider: outcome.provider, usage: outcome.usage, cache: outcome.cache },
    });
  }
  const frame = encodeEvent(log.last + 1, terminalEvent(outcome, turn.requestId));
  writeFrames(sql, turn.id, log.last + 1, frame);
  endTurn(sql, turn.id, { state, outcome, endedAtMs: nowMs });
}
