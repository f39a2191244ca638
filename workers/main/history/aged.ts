/**
 * What retention asks of Postgres: which sessions and messages are old, and that messages go. No state. An id begins with the time of its
 * making, and nothing is written before that: the ids bound what is read.
 */
import { and, eq, gt, inArray, isNotNull, lt, max, type SQL, sql } from "drizzle-orm";
import { alias } from "drizzle-orm/pg-core";
import type {
  AgedPage,
  AgedSession,
  ForgetQuery,
  IdleQuery,
  UsedQuery,
  UsedSession,
} from "../../../contracts/history.ts";
import { newId } from "../../../contracts/ids.ts";
import type { Db } from "../../../db/open.ts";
import { attachments, chatSessions, deadLetters, messages } from "../../../db/schema.ts";

const LEAST_ID = "00000000-0000-0000-0000-000000000000";

/** The least id that can be made at this time. */
const leastAt = (ms: number): string => newId(Math.max(0, ms), (length) => new Uint8Array(length));

export function idleSessions(db: Db, { beforeMs, after = LEAST_ID, limit }: IdleQuery) {
  const { id, userId, updatedAt } = chatSessions;
  return db
    .select({ id, userId })
    .from(chatSessions)
    .where(and(gt(id, after), lt(id, leastAt(beforeMs)), lt(updatedAt, new Date(beforeMs))))
    .orderBy(id)
    .limit(limit);
}

/** By their newest messages, whose ids say when that was: each session once. */
export function usedSessions(db: Db, { sinceMs, after = leastAt(sinceMs), limit }: UsedQuery): Promise<UsedSession[]> {
  const said = alias(messages, "said");
  const newest = db
    .select({ seq: max(said.seq) })
    .from(said)
    .where(eq(said.sessionId, messages.sessionId));
  return db
    .select({ id: messages.sessionId, userId: messages.userId, newestId: messages.id })
    .from(messages)
    .where(and(gt(messages.id, after), eq(messages.seq, newest)))
    .orderBy(messages.id)
    .limit(limit);
}

interface AgedRow extends Record<string, unknown> {
  id: string;
  session_id: string;
  user_id: string;
  seq: number;
  keep_from: number;
}

/** A page is one of old messages, by their ids; of a session all go that stand before its first young one. */
export async function agedMessages(db: Db, { beforeMs, after = LEAST_ID, limit }: IdleQuery): Promise<AgedPage> {
  const before = sql`${new Date(beforeMs).toISOString()}::timestamptz`;
  const { rows } = await db.execute<AgedRow>(sql`
    with page as materialized (
      select id, session_id, user_id, seq from ${messages}
      where id > ${after}::uuid and id < ${leastAt(beforeMs)}::uuid and created_at < ${before}
      order by id limit ${limit}::int4),
    kept as materialized (
      select session_id, coalesce(
        (select min(seq) from ${messages} young where young.session_id = old.session_id and young.created_at >= ${before}),
        (select max(seq) + 1 from ${messages} newest where newest.session_id = old.session_id)) as keep_from
      from (select distinct session_id from page) old)
    select page.id, page.session_id, page.user_id, page.seq, kept.keep_from
    from page join kept on kept.session_id = page.session_id order by page.id`);
  const sessions = new Map<string, AgedSession>();
  for (const { session_id: id, user_id: userId, seq, keep_from: keepFrom } of rows)
    if (seq < keepFrom) sessions.set(id, { id, userId, keepFrom });
  return { sessions: [...sessions.values()], last: rows.at(-1)?.id, isFull: rows.length === limit };
}

/** One transaction. Those that followed one of them follow none from then on; what was attached to them alone goes too. */
export async function forgetMessages(db: Db, { sessionId, userId, keepFrom }: ForgetQuery): Promise<number> {
  const own = and(eq(messages.sessionId, sessionId), eq(messages.userId, userId));
  const session = db
    .select({ id: chatSessions.id })
    .from(chatSessions)
    .where(and(eq(chatSessions.id, sessionId), eq(chatSessions.userId, userId)));
  // Two of them: each has an index.
  const orphan = (which: SQL) =>
    db
      .update(messages)
      .set({ parentId: null })
      .where(and(own, isNotNull(messages.parentId), which));
  const isAttached = sql`exists (select 1 from ${messages} where ${own}
    and ${messages.metaInfo} -> 'attachments' @> jsonb_build_array(jsonb_build_object('sha256', ${attachments.sha256})))`;
  const [forgotten] = await db.batch([
    db.delete(messages).where(and(own, lt(messages.seq, keepFrom))),
    orphan(eq(messages.seq, keepFrom)),
    orphan(lt(messages.branchFrom, keepFrom)),
    db.delete(attachments).where(and(inArray(attachments.sessionId, session), sql`not ${isAttached}`)),
    db.delete(deadLetters).where(and(inArray(deadLetters.sessionId, session), lt(deadLetters.seq, keepFrom))),
  ]);
  return forgotten.rowCount;
}
