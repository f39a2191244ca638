/**
 * The history in Postgres as its contract has it, and what is written there. State lives in Postgres; one call is one
 * HTTP round trip and one transaction. Refuses to touch a session of another user. No SQL, value or driver's word
 * leaves it: faults go to `onFault` as a kind and a code.
 */
import { and, eq, inArray, sql } from "drizzle-orm";
import { ok } from "../../../contracts/errors.ts";
import type {
  AttachmentRow,
  ErasedRows,
  HistoryBatch,
  HistoryStore,
  MessageRow,
  SaveReport,
  SessionRow,
} from "../../../contracts/history.ts";
import { readDbFault, type Db } from "../../../db/open.ts";
import { insertUsage } from "../../../db/ledger.ts";
import { attachments, chatSessions, deadLetters, messages } from "../../../db/schema.ts";
import { agedMessages, forgetMessages, idleSessions, usedSessions } from "./aged.ts";
import { createAttempt, type OnFault, toFailure } from "./faults.ts";
import { findTurn, inspectSession, readPage, readWindow, selectSession, toSession } from "./stored-sessions.ts";

export interface HistoryStoreOptions {
  /** Milliseconds, for latencies. */
  now?: () => number;
  onFault?: OnFault;
}

export function createHistoryStore(
  db: Db,
  { now = Date.now, onFault = () => undefined }: HistoryStoreOptions = {},
): HistoryStore {
  const attempt = createAttempt(onFault);

  return {
    async saveBatch(batch) {
      try {
        return ok(await writeBatch(db, batch));
      } catch (error) {
        const fault = readDbFault(error);
        if (fault.kind !== "values") return toFailure(error, onFault);
        onFault(fault);
        return ok({ poison: true, reason: fault.reason });
      }
    },
    readSession: (sessionId, userId) =>
      attempt(async () => toSession((await selectSession(db, sessionId, userId)).at(0))),
    readMessages: (query) => attempt(() => readPage(db, query)),
    readWindow: (query) => attempt(() => readWindow(db, query)),
    findTurn: (query) => attempt(() => findTurn(db, query)),
    eraseSession: (sessionId, userId) => attempt(() => eraseSession(db, sessionId, userId)),
    idleSessions: (query) => attempt(() => idleSessions(db, query)),
    usedSessions: (query) => attempt(() => usedSessions(db, query)),
    agedMessages: (query) => attempt(() => agedMessages(db, query)),
    forgetMessages: (query) => attempt(() => forgetMessages(db, query)),
    inspectSession: (query) => attempt(() => inspectSession(db, query)),
    saveAttachment: (row) =>
      attempt(async () => {
        await saveAttachment(db, row);
      }),
    readAttachment: (key) => attempt(() => readAttachment(db, key)),
    setAside: (letter) =>
      attempt(async () => {
        const { usage = [], ...noted } = letter;
        const note = db.insert(deadLetters).values(noted).onConflictDoNothing();
        await (usage.length === 0 ? note : db.batch([note, insertUsage(db, usage)]));
      }),
    countDeadLetters: () => attempt(() => db.$count(deadLetters)),
    ping: () =>
      attempt(async () => {
        const startedAt = now();
        await db.execute(sql`select 1`);
        return { latencyMs: now() - startedAt };
      }),
    schemaVersion: () => attempt(() => readSchemaVersion(db)),
  };
}

/** 0 before the first migration, which makes the table. */
async function readSchemaVersion(db: Db): Promise<number> {
  const version = sql`select coalesce(max(version), 0)::int4 as version from schema_migrations`;
  try {
    const { rows } = await db.execute<{ version: number }>(version);
    return rows[0]?.version ?? 0;
  } catch (error) {
    if (readDbFault(error).reason === "42P01") return 0;
    throw error;
  }
}

async function writeBatch(db: Db, { session, messages: rows, usage = [] }: HistoryBatch): Promise<SaveReport> {
  const ids = rows.map(({ id }) => id);
  const saveSession = upsertSession(db, session);
  if (rows.length === 0) {
    await saveSession;
    return { poison: false, inserted: 0, conflicts: [] };
  }
  const [, inserted, stored] = await db.batch([
    saveSession,
    db
      .insert(messages)
      .values(rows.map((row) => toMessage(session, row)))
      .onConflictDoNothing()
      .returning({ id: messages.id }),
    db
      .select({ id: messages.id })
      .from(messages)
      .where(sql`${messages.sessionId} = ${session.id} and ${inArray(messages.id, ids)}`),
    ...(usage.length > 0 ? [insertUsage(db, usage)] : []),
  ]);
  const found = new Set(stored.map(({ id }) => id));
  return { poison: false, inserted: inserted.length, conflicts: ids.filter((id) => !found.has(id)) };
}

async function eraseSession(db: Db, sessionId: string, userId: string): Promise<ErasedRows> {
  const own = db
    .select({ id: chatSessions.id })
    .from(chatSessions)
    .where(and(eq(chatSessions.id, sessionId), eq(chatSessions.userId, userId)));
  const [letters, said, sessions] = await db.batch([
    db.delete(deadLetters).where(inArray(deadLetters.sessionId, own)),
    db.delete(messages).where(inArray(messages.sessionId, own)),
    db.delete(chatSessions).where(inArray(chatSessions.id, own)),
  ]);
  return { sessions: sessions.rowCount, messages: said.rowCount, deadLetters: letters.rowCount };
}

/** Bytes cross as base64: a third more than they are, where Postgres' own notation would double them. */
function saveAttachment(db: Db, { sessionId, userId, sha256, mimeType, data }: AttachmentRow) {
  return db.execute(sql`
    insert into ${attachments} (session_id, sha256, mime_type, bytes)
    select ${chatSessions.id}, ${sha256}, ${mimeType}, decode(${data}, 'base64') from ${chatSessions}
    where ${chatSessions.id} = ${sessionId} and ${chatSessions.userId} = ${userId}
    on conflict do nothing`);
}

type AttachmentKey = Pick<AttachmentRow, "sessionId" | "userId" | "sha256">;

async function readAttachment(db: Db, key: AttachmentKey): Promise<AttachmentRow | undefined> {
  const { sessionId, userId, sha256 } = key;
  const [found] = await db
    .select({ mimeType: attachments.mimeType, data: sql<string>`encode(${attachments.bytes}, 'base64')` })
    .from(attachments)
    .innerJoin(chatSessions, eq(chatSessions.id, attachments.sessionId))
    .where(and(eq(attachments.sessionId, sessionId), eq(attachments.sha256, sha256), eq(chatSessions.userId, userId)));
  // Postgres breaks its lines.
  return found && { ...key, mimeType: found.mimeType, data: found.data.replaceAll("\n", "") };
}

function upsertSession(db: Db, session: SessionRow) {
  const isNewer = sql`excluded.updated_at >= ${chatSessions.updatedAt}`;
  return db
    .insert(chatSessions)
    .values({
      id: session.id,
      userId: session.userId,
      title: session.title,
      modelType: session.modelType,
      modelName: session.modelName,
      isActive: session.isActive,
      createdAt: new Date(session.createdAtMs),
      updatedAt: new Date(session.updatedAtMs),
    })
    .onConflictDoUpdate({
      target: chatSessions.id,
      set: {
        // Another owner's session: null breaks NOT NULL, and the whole transaction with it.
        userId: sql`case when ${chatSessions.userId} = excluded.user_id then excluded.user_id end`,
        // A batch that was delayed does not bring an old title back.
        title: sql`case when ${isNewer} then excluded.title else ${chatSessions.title} end`,
        isActive: sql`case when ${isNewer} then excluded.is_active else ${chatSessions.isActive} end`,
        modelType: sql`case when ${isNewer} then excluded.model_type else ${chatSessions.modelType} end`,
        modelName: sql`case when ${isNewer} then excluded.model_name else ${chatSessions.modelName} end`,
        updatedAt: sql`greatest(excluded.updated_at, ${chatSessions.updatedAt})`,
      },
    });
}

function toMessage({ id, userId }: SessionRow, { createdAtMs, ...row }: MessageRow): typeof messages.$inferInsert {
  return { ...row, sessionId: id, userId, createdAt: new Date(createdAtMs) };
}
