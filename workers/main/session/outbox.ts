/**
 * What a session owes to Postgres. The message log is the outbox: messages above `drained_seq` are owed, so a message and its
 * outbox entry are one row and one write. Drained in order, in batches; safe to repeat, since rows go by id and (session, seq).
 * A row that Postgres can never take is noted in its table dead_letters, and the rest goes on; the object keeps the message.
 */
import type { HistoryStore, MessageRow } from "../../../contracts/history.ts";
import { costUsd, type ModelPrices } from "../../../contracts/prices.ts";
import { toolsOf } from "../../../contracts/rounds.ts";
import type { Log } from "../../../contracts/log.ts";
import { storable } from "../../../contracts/text.ts";
import { type Message, messagesAfter, readMessage } from "./messages.ts";
import { readSession, type Session } from "./session.ts";

const BATCH = 100;

/** "drained": nothing is owed. "waiting": Postgres could not be reached; try again later. */
export type DrainOutcome = "drained" | "waiting";

export interface OutboxDeps {
  sql: SqlStorage;
  history: HistoryStore;
  prices: ModelPrices;
  log: Log;
}

export async function drainOutbox(deps: OutboxDeps): Promise<DrainOutcome> {
  const { sql } = deps;
  for (;;) {
    const session = readSession(sql);
    if (session === undefined || !session.stored || session.erased) return "drained";
    const owed = messagesAfter(sql, session.drainedSeq, BATCH);
    if (owed.length === 0) return "drained";
    const saved = await saveOrSplit(deps, session, owed);
    if (!saved) return "waiting";
  }
}

/** Saves the messages in one round trip; one by one when a row among them can never be saved. False: try again later. */
async function saveOrSplit(deps: OutboxDeps, session: Session, messages: Message[]): Promise<boolean> {
  const saved = await deps.history.saveBatch({
    session: toSessionRow(session, messages),
    messages: messages.map((message) => toRow(deps, message)),
  });
  if (!saved.ok) return false;
  if (saved.value.poison && messages.length > 1) {
    for (const message of messages) {
      if (!(await saveOrSplit(deps, session, [message]))) return false;
    }
    return true;
  }
  const report = saved.value;
  for (const message of messages) {
    const reason = report.poison ? report.reason : report.conflicts.includes(message.id) ? "conflict" : undefined;
    if (reason !== undefined && !(await setAside(deps, session.id, message.seq, reason))) return false;
  }
  const upTo = messages.at(-1)?.seq ?? 0;
  deps.sql.exec("UPDATE session SET drained_seq = ? WHERE drained_seq < ?", upTo, upTo);
  return true;
}

async function setAside({ history, log }: OutboxDeps, sessionId: string, seq: number, code: string): Promise<boolean> {
  const noted = await history.setAside({ sessionId, seq, code });
  if (noted.ok) log({ service: "session", route: "outbox", error: "dead_letter", session_id: sessionId, seq, code });
  return noted.ok;
}

function toSessionRow(session: Session, messages: Message[]) {
  const { id, userId, title, modelType, modelName, createdAtMs } = session;
  return {
    id,
    userId,
    title,
    modelType,
    modelName,
    createdAtMs,
    updatedAtMs: messages.at(-1)?.createdAtMs ?? createdAtMs,
  };
}

function toRow({ sql, prices }: OutboxDeps, message: Message): MessageRow {
  const parentId = message.parentSeq === null ? null : (readMessage(sql, message.parentSeq)?.id ?? null);
  const { id, seq, role, content, status, tokens, turnId, createdAtMs, details } = message;
  const { model, provider, usage, cache, finish_reason, rounds = [] } = details;
  return {
    ...{ id, seq, parentId, role, content: storable(content), status, turnId, createdAtMs },
    tokensUsed: tokens,
    promptTokens: usage?.prompt_tokens ?? 0,
    completionTokens: usage?.completion_tokens ?? 0,
    costUsd: costUsd(prices, model, usage),
    cache: cache ?? null,
    modelUsed: model ?? null,
    provider: provider ?? null,
    mcpToolsUsed: toolsOf(rounds),
    metaInfo: storableJson({ usage, cache, finish_reason, ...(rounds.length > 0 && { rounds }) }),
  };
}

function storableJson(value: Record<string, unknown>): Record<string, unknown> {
  const reviver = (_name: string, member: unknown): unknown => (typeof member === "string" ? storable(member) : member);
  return JSON.parse(JSON.stringify(value), reviver) as Record<string, unknown>; // an object goes in
}
