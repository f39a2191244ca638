/**
 * What a session owes to Postgres. The message log is the outbox: messages above `drained_seq` are owed, so a message and its
 * outbox entry are one row and one write. Drained in order, in batches; safe to repeat, since rows go by id and (session, seq).
 * A row that Postgres can never take is set aside in dead_letters, and the rest goes on.
 */
import type { HistoryStore, MessageRow } from "../../../contracts/history.ts";
import { lastMessage, type Message, messagesAfter } from "./messages.ts";
import { readSession, type Session } from "./session.ts";

const BATCH = 100;

/** "drained": nothing is owed. "waiting": Postgres could not be reached; try again later. */
export type DrainOutcome = "drained" | "waiting";

export async function drainOutbox(sql: SqlStorage, store: HistoryStore, now: () => number): Promise<DrainOutcome> {
  for (;;) {
    const session = readSession(sql);
    if (session === undefined || !session.stored) return "drained";
    const owed = messagesAfter(sql, session.drainedSeq, BATCH);
    if (owed.length === 0) return "drained";
    const saved = await saveOrSplit(sql, store, session, owed, now);
    if (!saved) return "waiting";
  }
}

/** Messages that Postgres does not have yet. */
export function outboxDepth(sql: SqlStorage, session: Session): number {
  return session.stored ? lastMessage(sql).seq - session.drainedSeq : 0;
}

/** Saves the messages in one round trip; one by one when a row among them can never be saved. False: try again later. */
async function saveOrSplit(
  sql: SqlStorage,
  store: HistoryStore,
  session: Session,
  messages: Message[],
  now: () => number,
): Promise<boolean> {
  const saved = await store.saveBatch({ session: toSessionRow(session, messages), messages: messages.map(toRow) });
  if (!saved.ok) return false;
  if (saved.value.poison && messages.length > 1) {
    for (const message of messages) {
      if (!(await saveOrSplit(sql, store, session, [message], now))) return false;
    }
    return true;
  }
  const report = saved.value;
  for (const message of messages) {
    const reason = report.poison ? report.reason : report.conflicts.includes(message.id) ? "conflict" : undefined;
    if (reason !== undefined) setAside(sql, message.seq, reason, now());
  }
  // The newest of them: a session erased meanwhile has no row left to move.
  sql.exec("UPDATE session SET drained_seq = ? WHERE drained_seq < ?", messages.at(-1)?.seq ?? 0, messages.at(-1)?.seq ?? 0);
  return true;
}

function setAside(sql: SqlStorage, seq: number, code: string, failedAtMs: number): void {
  sql.exec("INSERT OR REPLACE INTO dead_letters (seq, code, failed_at) VALUES (?, ?, ?)", seq, code, failedAtMs);
  console.error(JSON.stringify({ service: "main", route: "outbox", code, seq }));
}

function toSessionRow(session: Session, messages: Message[]) {
  const { id, userId, title, modelType, modelName, createdAtMs } = session;
  return { id, userId, title, modelType, modelName, createdAtMs, updatedAtMs: messages.at(-1)?.createdAtMs ?? createdAtMs };
}

function toRow(message: Message): MessageRow {
  const { id, seq, parentId, role, content, status, tokens, turnId, createdAtMs, details } = message;
  const { model, provider, usage, cache, finish_reason, rounds = [] } = details;
  const tools = rounds.flatMap((round) => round.calls.map((call) => call.name));
  return {
    ...{ id, seq, parentId, role, content, status, turnId, createdAtMs },
    tokensUsed: tokens,
    modelUsed: model ?? null,
    provider: provider ?? null,
    mcpToolsUsed: [...new Set(tools)],
    metaInfo: { usage, cache, finish_reason, ...(rounds.length > 0 && { rounds }) },
  };
}
