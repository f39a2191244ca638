/**
 * The history in Postgres: the only file of this Worker with Drizzle queries. State lives in Postgres; one call is one
 * HTTP round trip and one transaction. Refuses to touch a session of another user. No SQL, value or driver's word
 * leaves it: faults go to `onFault` as a kind and a code.
 */
import {
  and,
  asc,
  count,
  desc,
  eq,
  getTableColumns,
  gt,
  gte,
  inArray,
  isNotNull,
  lt,
  lte,
  max,
  sql,
} from "drizzle-orm";
import { alias } from "drizzle-orm/pg-core";
import { ok } from "../../../contracts/errors.ts";
import { newId } from "../../../contracts/ids.ts";
import type {
  AttachmentRow,
  ErasedRows,
  HistoryBatch,
  HistoryStore,
  IdleQuery,
  MessageQuery,
  MessageRow,
  SaveReport,
  SessionRemains,
  SessionRow,
  SessionWindow,
  StoredPage,
  StoredSession,
  WindowQuery,
} from "../../../contracts/history.ts";
import { readDbFault, type Db } from "../../../db/open.ts";
import { insertUsage } from "../../../db/ledger.ts";
import { attachments, chatSessions, deadLetters, messages, users } from "../../../db/schema.ts";
import { createAttempt, type OnFault, toFailure } from "./faults.ts";

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
    eraseSession: (sessionId, userId) => attempt(() => eraseSession(db, sessionId, userId)),
    idleSessions: (query) => attempt(() => idleSessions(db, query)),
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

const LEAST_ID = "00000000-0000-0000-0000-000000000000";

/** An id begins with the time of its making, and nothing is changed before it is made: the ids bound what is read. */
function idleSessions(db: Db, { beforeMs, after = LEAST_ID, limit }: IdleQuery) {
  const bound = newId(beforeMs, (length) => new Uint8Array(length));
  return db
    .select({ id: chatSessions.id, userId: chatSessions.userId })
    .from(chatSessions)
    .where(and(gt(chatSessions.id, after), lt(chatSessions.id, bound), lt(chatSessions.updatedAt, new Date(beforeMs))))
    .orderBy(chatSessions.id)
    .limit(limit);
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

async function inspectSession(
  db: Db,
  { sessionId, userId, from }: { sessionId: string; userId: string; from: number },
): Promise<SessionRemains> {
  const [user, session, said] = await db.batch([
    db.select({ id: users.id }).from(users).where(eq(users.id, userId)),
    selectSession(db, sessionId, userId),
    db
      .select({ count: count() })
      .from(messages)
      .where(and(eq(messages.sessionId, sessionId), eq(messages.userId, userId), gte(messages.seq, from))),
  ]);
  return { user: user.length > 0, session: session.length > 0, messages: said[0]?.count ?? 0 };
}

/** Roles that a session's object knows; an import may bring others. */
const SHOWN: MessageRow["role"][] = ["user", "assistant"];

function selectSession(db: Db, sessionId: string, userId: string) {
  // As a query of its own it reads one entry of the index.
  const newest = db
    .select({ seq: max(messages.seq) })
    .from(messages)
    .where(eq(messages.sessionId, sessionId));
  return db
    .select({ ...getTableColumns(chatSessions), newestSeq: sql<number>`coalesce((${newest}), 0)` })
    .from(chatSessions)
    .where(and(eq(chatSessions.id, sessionId), eq(chatSessions.userId, userId)));
}

/** One transaction: the session for its owner, a page of its messages, and the branches that start above the page's oldest. */
async function readPage(db: Db, query: MessageQuery): Promise<StoredPage | undefined> {
  const { sessionId, userId, before, after, limit } = query;
  const own = and(eq(messages.sessionId, sessionId), eq(messages.userId, userId));
  const within = and(
    own,
    before === undefined ? undefined : lt(messages.seq, before),
    after === undefined ? undefined : gt(messages.seq, after),
    inArray(messages.role, SHOWN),
  );
  const order = after === undefined ? desc(messages.seq) : asc(messages.seq);
  const places = db.select({ seq: messages.seq }).from(messages).where(within).orderBy(order).limit(limit).as("places");
  const oldest = db.select({ seq: sql`min(${places.seq})` }).from(places);
  const [sessions, page, starts] = await db.batch([
    selectSession(db, sessionId, userId),
    db.select().from(messages).where(within).orderBy(order).limit(limit),
    db
      .select({ seq: messages.seq, from: sql<number>`${messages.branchFrom}` })
      .from(messages)
      .where(and(own, isNotNull(messages.branchFrom), gt(messages.seq, sql`(${oldest})`)))
      .orderBy(desc(messages.seq)),
  ]);
  const session = toSession(sessions[0]);
  return session && { messages: page.map(toRow), starts, newestSeq: session.newestSeq };
}

/** One transaction: the session for its owner, and its newest messages within both limits. */
async function readWindow(db: Db, query: WindowQuery): Promise<SessionWindow | undefined> {
  const { sessionId, userId } = query;
  const newest = db
    .select()
    .from(messages)
    .where(and(eq(messages.sessionId, sessionId), eq(messages.userId, userId), inArray(messages.role, SHOWN)))
    .orderBy(desc(messages.seq))
    .limit(query.messages)
    .as("newest");
  const parents = alias(messages, "parents");
  const sized = db
    .select({
      ...newest._.selectedFields,
      parentSeq: sql<number | null>`${parents.seq}`.as("parent_seq"),
      bytes:
        sql<number>`sum(octet_length(${newest.content}) + octet_length(${newest.metaInfo}::text)) over (order by ${newest.seq} desc)`.as(
          "bytes",
        ),
    })
    .from(newest)
    .leftJoin(parents, and(eq(parents.id, newest.parentId), inArray(parents.role, SHOWN)))
    .as("sized");
  const [sessions, rows] = await db.batch([
    selectSession(db, sessionId, userId),
    db.select().from(sized).where(lte(sized.bytes, query.bytes)).orderBy(asc(sized.seq)),
  ]);
  const session = toSession(sessions[0]);
  return (
    session && { session, messages: rows.map(({ parentSeq, bytes: _bytes, ...row }) => ({ ...toRow(row), parentSeq })) }
  );
}

function toSession(
  row: (typeof chatSessions.$inferSelect & { newestSeq: number }) | undefined,
): StoredSession | undefined {
  if (row === undefined) return undefined;
  const { createdAt, updatedAt, ...session } = row;
  return { ...session, createdAtMs: createdAt.getTime(), updatedAtMs: updatedAt.getTime() };
}

function toRow({ sessionId: _session, userId: _user, createdAt, ...row }: typeof messages.$inferSelect): MessageRow {
  return { ...row, createdAtMs: createdAt.getTime() };
}
