/**
 * Sessions and their messages as Postgres has them, for their objects: pages, windows, what a turn has left. No state. One call is one round
 * trip and one transaction, with the owner in its condition.
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
  min,
  sql,
} from "drizzle-orm";
import { alias } from "drizzle-orm/pg-core";
import type {
  FoundTurn,
  MessageQuery,
  MessageRow,
  SessionRemains,
  SessionWindow,
  StoredPage,
  StoredSession,
  WindowQuery,
} from "../../../contracts/history.ts";
import { madeAtMs } from "../../../contracts/ids.ts";
import type { Db } from "../../../db/open.ts";
import { chatSessions, messages, users } from "../../../db/schema.ts";

export async function inspectSession(
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

export function selectSession(db: Db, sessionId: string, userId: string) {
  // As queries of their own they read one entry of the index each.
  const end = (of: typeof max | typeof min) =>
    db
      .select({ seq: of(messages.seq) })
      .from(messages)
      .where(eq(messages.sessionId, sessionId));
  const newestSeq = sql<number>`coalesce((${end(max)}), 0)`;
  return db
    .select({ ...getTableColumns(chatSessions), newestSeq, forgottenSeq: sql<number>`coalesce((${end(min)}) - 1, 0)` })
    .from(chatSessions)
    .where(and(eq(chatSessions.id, sessionId), eq(chatSessions.userId, userId)));
}

/** One transaction: the session for its owner, a page of its messages, and the branches that start above the page's oldest. */
export async function readPage(db: Db, query: MessageQuery): Promise<StoredPage | undefined> {
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
export async function readWindow(db: Db, query: WindowQuery): Promise<SessionWindow | undefined> {
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

/** Clocks of machines differ a little. */
const SKEW_MS = 60_000;
/** No turn takes longer, with all that a person may be asked. */
const LONGEST_TURN_MS = 24 * 3_600_000;

/** A turn's id tells when it began: that, and no index of turns, bounds what is read. */
export async function findTurn(
  db: Db,
  { turnId, userId }: { turnId: string; userId: string },
): Promise<FoundTurn | undefined> {
  const beganAtMs = madeAtMs(turnId);
  const [row] = await db
    .select()
    .from(messages)
    .where(
      and(
        eq(messages.userId, userId),
        gte(messages.createdAt, new Date(beganAtMs - SKEW_MS)),
        lt(messages.createdAt, new Date(beganAtMs + LONGEST_TURN_MS)),
        eq(messages.turnId, turnId),
      ),
    )
    .orderBy(desc(messages.seq))
    .limit(1);
  return row && { sessionId: row.sessionId, message: toRow(row) };
}

export function toSession(
  row: (typeof chatSessions.$inferSelect & Pick<StoredSession, "newestSeq" | "forgottenSeq">) | undefined,
): StoredSession | undefined {
  if (row === undefined) return undefined;
  const { createdAt, updatedAt, ...session } = row;
  return { ...session, createdAtMs: createdAt.getTime(), updatedAtMs: updatedAt.getTime() };
}

function toRow({ sessionId: _session, userId: _user, createdAt, ...row }: typeof messages.$inferSelect): MessageRow {
  return { ...row, createdAtMs: createdAt.getTime() };
}
