/**
 * The events of a turn whose log is gone, as its row and its answer tell them: fewer than there were, and the same answer. Pure but for
 * what it reads.
 */
import { type ChatEvent, encodeEvent } from "../../../contracts/events.ts";
import { terminalEvent } from "./live-turn.ts";
import type { Viewable } from "./log.ts";
import { findMessage, isSettled } from "./messages.ts";
import type { TurnRow } from "./turns.ts";

export function recallLog(sql: SqlStorage, { id, plan, outcome }: TurnRow, sessionId: string): Viewable {
  if (outcome === undefined) throw new Error("the turn has not ended");
  const { messageId: message_id, model, provider, cache, response, usage } = outcome;
  const open = findMessage(sql, message_id)?.details.rounds?.find((round) => !isSettled(round));
  const events: ChatEvent[] = [
    { event: "meta", data: { turn_id: id, session_id: sessionId, message_id, model, provider, cache } },
    ...(response === "" ? [] : [{ event: "delta" as const, data: { content: response } }]),
    ...(open?.calls ?? []).map((call) => ({ event: "tool_call" as const, data: call })),
    { event: "usage", data: usage },
    terminalEvent(outcome, plan.requestId),
  ];
  const frames = events.map((event, at) => encodeEvent(at + 1, event));
  return {
    last: frames.length,
    closed: true,
    beyond: () => Promise.resolve(),
    after: (at) => frames.slice(at).join(""),
  };
}
