/** A user's sessions in Postgres, newest first. No state. */
import { and, eq, max, sql } from "drizzle-orm";
import type { Page, SessionsPage } from "../../../contracts/archive.ts";
import type { SessionSummary } from "../../../contracts/lists.ts";
import type { Db } from "../../../db/open.ts";
import { chatSessions, messages } from "../../../db/schema.ts";
import { newestFirst, ownBelow, toPage } from "./keyset.ts";

export async function listSessions(db: Db, page: SessionsPage): Promise<Page<SessionSummary>> {
  const { archived, limit } = page;
  const newestMessage = db
    .select({ seq: max(messages.seq) })
    .from(messages)
    .where(eq(messages.sessionId, chatSessions.id));
  const rows = await db
    .select({ session: chatSessions, lastSeq: sql<number | null>`(${newestMessage})` })
    .from(chatSessions)
    .where(
      and(
        ownBelow(chatSessions, page),
        archived === "all" ? undefined : eq(chatSessions.isActive, archived === "false"),
      ),
    )
    .orderBy(...newestFirst(chatSessions))
    .limit(limit + 1);
  return toPage(
    rows.map(({ session, lastSeq }) => ({
      id: session.id,
      title: session.title,
      model_type: session.modelType,
      model_name: session.modelName,
      is_active: session.isActive,
      // Places rise by one from 1, so the last one is the count, and an index gives it in one step.
      message_count: lastSeq ?? 0,
      created_at: session.createdAt.toISOString(),
      updated_at: session.updatedAt.toISOString(),
    })),
    limit,
    (session) => ({ atMs: Date.parse(session.created_at), id: session.id }),
  );
}
