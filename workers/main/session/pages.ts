/**
 * A session's messages as the API shows them, with the branch that each belongs to. Read from the object, so that a message is there
 * as soon as it is acknowledged; from Postgres what the object does not hold: all of a session that rests or was imported, and the
 * older part of one that was taken up again. A page is read from one of the two.
 */
import { readBranch } from "../../../contracts/branches.ts";
import { AppError } from "../../../contracts/errors.ts";
import type { HistoryStore, MessageRow } from "../../../contracts/history.ts";
import type { MessagePage, MessageView } from "../../../contracts/sessions.ts";
import type { ListMessages } from "../../../contracts/session.ts";
import { toDetails, unreadable } from "./hold.ts";
import { readSession } from "./session.ts";
import {
  branchStarts,
  type Message,
  messagesAfter,
  messagesBefore,
  newestSeq,
  oldestSeq,
  parentId,
} from "./messages.ts";

export interface Pages {
  /** `held`: the object has the session. Throws not_found for a session that neither has, and where Postgres fails. */
  list(query: ListMessages, held: boolean): Promise<MessagePage>;
}

export function createPages(sql: SqlStorage, history: HistoryStore): Pages {
  async function fromPostgres(query: ListMessages, floor?: number, first = 1): Promise<MessagePage> {
    const { sessionId, userId, limit } = query;
    // What was forgotten here may still be there.
    const after = query.after === undefined ? undefined : Math.max(query.after, first - 1);
    // What the object holds is read there.
    const before = floor === undefined ? query.before : Math.min(query.before ?? floor, floor);
    const read = await history.readMessages({ sessionId, userId, before, after, limit: limit + 1 });
    if (!read.ok) throw unreadable(read.error);
    if (read.value === undefined) throw new AppError("not_found", "there is no such session");
    const { starts, newestSeq: newest } = read.value;
    const messages = read.value.messages
      .filter(({ seq }) => seq >= first)
      .map((row) => ((row.branchFrom ?? row.seq - 1) < first ? { ...row, parentId: null } : row));
    const end =
      floor === undefined ? newest : readBranch(newestSeq(sql) ?? 0, branchStarts(sql, floor - 1)).below(floor);
    const branch = readBranch(end, starts);
    const shown = messages.slice(0, limit).map((row) => viewRow(row, branch.holds(row.seq)));
    const page = pageOf(query, shown, messages.length > limit);
    // The rest is in the object.
    if (after !== undefined && floor !== undefined) page.next_after ??= floor - 1;
    return page;
  }

  function fromObject(query: ListMessages, floor: number, first: number): MessagePage {
    const { before, after, limit } = query;
    const rows = after === undefined ? messagesBefore(sql, before, limit + 1) : messagesAfter(sql, after, limit + 1);
    const shown = rows.slice(0, limit);
    const oldest = shown.at(after === undefined ? -1 : 0)?.seq ?? 0;
    const branch = readBranch(newestSeq(sql) ?? 0, branchStarts(sql, oldest));
    const views = shown.map((message) => viewMessage(sql, message, branch.holds(message.seq)));
    const page = pageOf(query, views, rows.length > limit);
    // Older ones are in Postgres.
    if (after === undefined && floor > first) page.next_before ??= floor;
    return page;
  }

  return {
    async list(query, held) {
      if (!held) return fromPostgres(query);
      // Nothing is before it, here or there.
      const first = (readSession(sql)?.forgottenSeq ?? 0) + 1;
      const floor = oldestSeq(sql) ?? first;
      const isOlder = query.after === undefined ? (query.before ?? Infinity) <= floor : query.after < floor - 1;
      return isOlder && floor > first ? fromPostgres(query, floor, first) : fromObject(query, floor, first);
    },
  };
}

function pageOf({ sessionId, after }: ListMessages, messages: MessageView[], isMore: boolean): MessagePage {
  const last = isMore ? (messages.at(-1)?.seq ?? null) : null;
  const next = after === undefined ? { next_before: last, next_after: null } : { next_before: null, next_after: last };
  return { session_id: sessionId, messages, ...next };
}

/** A message as it stands on the branches now. */
export function viewNow(sql: SqlStorage, message: Message): MessageView {
  const branch = readBranch(newestSeq(sql) ?? 0, branchStarts(sql, message.seq));
  return viewMessage(sql, message, branch.holds(message.seq));
}

function viewMessage(sql: SqlStorage, message: Message, active: boolean): MessageView {
  const { id, seq, turnId, role, content, status, tokens, createdAtMs, details } = message;
  return {
    ...{ id, seq, parent_id: parentId(sql, message), active, turn_id: turnId, role, content, status },
    ...(details.attachments && { attachments: details.attachments }),
    tokens_used: tokens,
    created_at: new Date(createdAtMs).toISOString(),
  };
}

function viewRow(row: MessageRow, active: boolean): MessageView {
  const { id, seq, parentId: parent_id, turnId: turn_id, content, status, tokensUsed: tokens_used } = row;
  // The store gives those of users and models only.
  const role = row.role === "user" ? "user" : "assistant";
  const created_at = new Date(row.createdAtMs).toISOString();
  const { attachments } = toDetails(row);
  return {
    ...{ id, seq, parent_id, active, turn_id, role, content, status, tokens_used, created_at },
    ...(attachments && { attachments }),
  };
}
