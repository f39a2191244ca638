/**
 * A session's messages as the API shows them, newest first, with the branch that each belongs to. Read from the object, so that a
 * message is there as soon as it is acknowledged.
 */
import type { MessagePage } from "../../../contracts/history.ts";
import type { ListMessages } from "../../../contracts/session.ts";
import { messagesAfter, messagesBefore, newestSeq, pathFrom, readMessage } from "./messages.ts";
import type { Session } from "./session.ts";

export function listMessages(sql: SqlStorage, session: Session, { before, after, limit }: ListMessages): MessagePage {
  const rows = after === undefined ? messagesBefore(sql, before, limit + 1) : messagesAfter(sql, after, limit + 1);
  const shown = rows.slice(0, limit);
  const oldest = shown.at(after === undefined ? -1 : 0)?.seq ?? 0;
  const active = new Set<number>();
  for (const { seq } of pathFrom(sql, newestSeq(sql))) {
    if (seq < oldest) break;
    active.add(seq);
  }
  return {
    session_id: session.id,
    messages: shown.map((message) => ({
      id: message.id,
      seq: message.seq,
      parent_id: message.parentSeq === null ? null : (readMessage(sql, message.parentSeq)?.id ?? null),
      active: active.has(message.seq),
      turn_id: message.turnId,
      role: message.role,
      content: message.content,
      status: message.status,
      tokens_used: message.tokens,
      created_at: new Date(message.createdAtMs).toISOString(),
    })),
    next_before: after === undefined && rows.length > limit ? oldest : null,
    next_after: after !== undefined && rows.length > limit ? (shown.at(-1)?.seq ?? null) : null,
  };
}
