/**
 * What a session owes to Postgres. The message log is the outbox: messages above `drained_seq` are owed, so a message and its
 * outbox entry are one row and one write; a change of the session alone is owed by its time. Drained in order, in batches; safe to
 * repeat, since rows go by id and (session, seq), and an older session row changes nothing. A row that Postgres can never take is noted
 * in its table dead_letters, and the rest goes on; the object keeps the message.
 */
import type { HistoryStore, MessageRow, SessionRow } from "../../../contracts/history.ts";
import type { UsageRecord } from "../../../contracts/ledger.ts";
import { costUsd, type ModelPrices } from "../../../contracts/prices.ts";
import { toolsOf } from "../../../contracts/rounds.ts";
import type { Log, Served } from "../../../contracts/log.ts";
import { storable } from "../../../contracts/text.ts";
import { branchFrom } from "../../../contracts/branches.ts";
import { markSent, owedFile } from "./attachments.ts";
import { type Message, messagesAfter, newestSeq, parentId } from "./messages.ts";
import { isOwed, isRowOwed, readSession, type Session } from "./session.ts";

const BATCH = 100;

/** "drained": nothing that was owed at its start is. "waiting": Postgres could not be reached; try again later. "orphaned": its user is gone there. */
export type DrainOutcome = "drained" | "waiting" | "orphaned";

/** SQLSTATE foreign_key_violation. A batch can break one foreign key only: its session's user. */
const NO_SUCH_USER = "23503";

export interface OutboxDeps {
  sql: SqlStorage;
  history: HistoryStore;
  prices: ModelPrices;
  log: Log;
}

/** Pays what is owed when it begins; what a turn says meanwhile is left to the next one. */
export async function drainOutbox(deps: OutboxDeps): Promise<DrainOutcome> {
  const { sql } = deps;
  const upTo = newestSeq(sql) ?? 0;
  for (;;) {
    const session = readSession(sql);
    if (session === undefined || !isOwed(sql, session)) return "drained";
    if (session.drainedSeq >= upTo && (newestSeq(sql) ?? 0) > upTo) return "drained";
    const outcome = isRowOwed(sql, session)
      ? await saveOrSplit(deps, session, messagesAfter(sql, session.drainedSeq, BATCH))
      : await sendFile(deps, session);
    if (outcome !== "drained") return outcome;
  }
}

/** One file, behind the messages that refer to it: the session must be there first. */
async function sendFile({ sql, history }: OutboxDeps, { id: sessionId, userId }: Session): Promise<DrainOutcome> {
  const file = owedFile(sql);
  if (file === undefined) return "drained";
  const saved = await history.saveAttachment({ sessionId, userId, ...file });
  if (!saved.ok) return "waiting";
  markSent(sql, file.sha256);
  return "drained";
}

/** How many messages are owed, and since when; of a change alone, none and since it was made. */
export function owedBy(sql: SqlStorage, { drainedSeq, changedAtMs }: Session) {
  const { messages, oldest } = sql
    .exec<{ messages: number; oldest: number | null }>(
      "SELECT count(*) AS messages, min(created_at) AS oldest FROM messages WHERE seq > ?",
      drainedSeq,
    )
    .one();
  return { messages, oldestMs: oldest ?? (changedAtMs || undefined) };
}

/** Of a line that is to be read. */
const MAX_REQUESTS = 20;

/** The requests of the newest turns that have messages which are owed, oldest first. */
export function owedRequests(sql: SqlStorage): Served[] {
  const session = readSession(sql);
  if (session === undefined) return [];
  const turns = sql.exec<{ requestId: string; traceparent: string | null }>(
    `SELECT command ->> '$.requestId' AS requestId, command ->> '$.traceparent' AS traceparent FROM turns
     WHERE id IN (SELECT turn_id FROM messages WHERE seq > ?) ORDER BY id DESC LIMIT ?`,
    ...[session.drainedSeq, MAX_REQUESTS],
  );
  return turns
    .toArray()
    .map(({ requestId, traceparent }) => ({ requestId, traceparent: traceparent ?? undefined }))
    .toReversed();
}

/** Saves the session and messages in one round trip; one by one when a row among them can never be saved. */
async function saveOrSplit(deps: OutboxDeps, session: Session, messages: Message[]): Promise<DrainOutcome> {
  const saved = await deps.history.saveBatch({
    session: toSessionRow(session, messages),
    messages: messages.map((message) => toRow(deps, message)),
    usage: usageOf(deps, session, messages),
  });
  if (!saved.ok) return "waiting";
  const report = saved.value;
  if (report.poison && report.reason === NO_SUCH_USER) return "orphaned";
  if (report.poison && messages.length > 1) {
    for (const message of messages) {
      const outcome = await saveOrSplit(deps, session, [message]);
      if (outcome !== "drained") return outcome;
    }
    return "drained";
  }
  for (const message of messages) {
    const reason = report.poison ? report.reason : report.conflicts.includes(message.id) ? "conflict" : undefined;
    if (reason !== undefined && !(await setAside(deps, session, message, reason))) return "waiting";
  }
  // With a message that was set aside the session was not written either: it is sent once more, alone.
  const change = report.poison && messages.length > 0 ? 0 : session.changedAtMs;
  markDrained(deps.sql, messages.at(-1)?.seq ?? 0, change);
  return "drained";
}

/** Up to what was sent: not what came to the object meanwhile. */
function markDrained(sql: SqlStorage, seq: number, changeMs: number): void {
  sql.exec(
    "UPDATE session SET drained_seq = max(drained_seq, ?), drained_change = max(drained_change, ?)",
    ...[seq, changeMs],
  );
}

async function setAside(deps: OutboxDeps, session: Session, message: Message, code: string): Promise<boolean> {
  const { history, log } = deps;
  const { seq } = message;
  const sessionId = session.id;
  const noted = await history.setAside({ sessionId, seq, code, usage: usageOf(deps, session, [message]) });
  if (noted.ok) log({ service: "session", route: "outbox", error: "dead_letter", session_id: sessionId, seq, code });
  return noted.ok;
}

function toSessionRow(session: Session, messages: Message[]): SessionRow {
  const { id, userId, title, modelType, modelName, isActive, createdAtMs, changedAtMs } = session;
  const updatedAtMs = Math.max(createdAtMs, changedAtMs, messages.at(-1)?.createdAtMs ?? 0);
  return { id, userId, title: storable(title), modelType, modelName, isActive, createdAtMs, updatedAtMs };
}

function toRow({ sql, prices }: OutboxDeps, message: Message): MessageRow {
  const { id, seq, role, content, status, tokens, turnId, createdAtMs, details } = message;
  const { model, provider, usage, cache, finish_reason, attachments, before, asked, rounds = [] } = details;
  return {
    ...{
      id,
      seq,
      parentId: parentId(sql, message),
      branchFrom: branchFrom(message.parentSeq, seq - 1),
      role,
      content: storable(content),
      status,
      turnId,
      createdAtMs,
    },
    tokensUsed: tokens,
    promptTokens: usage?.prompt_tokens ?? 0,
    completionTokens: usage?.completion_tokens ?? 0,
    costUsd: cache === "hit" ? costUsd(prices, model, usage) : costOf(prices, message),
    cache: cache ?? null,
    modelUsed: model ?? null,
    provider: provider ?? null,
    mcpToolsUsed: toolsOf(rounds),
    metaInfo: storableJson({
      usage,
      cache,
      finish_reason,
      attachments,
      before,
      asked,
      ...(rounds.length > 0 && { rounds }),
    }),
  };
}

/** What the answers among them cost; one from the cache costs nothing. */
export function usageOf({ prices }: Pick<OutboxDeps, "prices">, session: Session, messages: Message[]): UsageRecord[] {
  return messages.flatMap((message) => {
    const { id, turnId, createdAtMs, details } = message;
    const { model, provider = null, usage, cache } = details;
    if (usage === undefined || usage.total_tokens === 0 || model === undefined || cache === "hit") return [];
    const { prompt_tokens: promptTokens, completion_tokens: completionTokens, estimated = false } = usage;
    return {
      ...{ id, userId: session.userId, kind: "turn", sessionId: session.id, turnId, model, provider, promptTokens },
      ...{ completionTokens, costUsd: costOf(prices, message), isEstimated: estimated, createdAtMs },
    };
  });
}

/** As it was told when the answer was made. */
function costOf(prices: ModelPrices, { details: { model, usage } }: Message): number | null {
  return usage !== undefined && "cost_usd" in usage ? usage.cost_usd : costUsd(prices, model, usage);
}

function storableJson(value: Record<string, unknown>): Record<string, unknown> {
  const reviver = (_name: string, member: unknown): unknown => {
    if (typeof member === "string") return storable(member);
    if (typeof member !== "object" || member === null || Array.isArray(member)) return member;
    return Object.fromEntries(
      Object.entries(member).map(([name, inner]: [string, unknown]) => [storable(name), inner]),
    );
  };
  return JSON.parse(JSON.stringify(value), reviver) as Record<string, unknown>; // an object goes in
}
