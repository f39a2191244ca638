/** A user's sessions in Postgres, newest first. No state. */
import { and, eq, max, min, sql } from "drizzle-orm";
import type { Page, SessionsPage } from "../../../contracts/archive.ts";
import type { SessionSummary } from "../../../contracts/lists.ts";
import type { Db } from "../../../db/open.ts";
import { chatSessions, messages } from "../../../db/schema.ts";
import { newestFirst, ownBelow, toPage } from "./keyset.ts";

export async function listSessions(db: Db, page: SessionsPage): Promise<Page<SessionSummary>> {
  const { archived, limit } = page;
  const end = (of: typeof max | typeof min) =>
    db
      .select({ seq: of(messages.seq) })
      .from(messages)
      .where(eq(messages.sessionId, chatSessions.id));
  const rows = await db
    .select({ session: chatSessions, places: sql<number | null>`(${end(max)}) - (${end(min)}) + 1` })
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
    rows.map(({ session, places }) => ({
      id: session.id,
      title: session.title,
      model_type: session.modelType,
      model_name: session.modelName,
      is_active: session.isActive,
      // Places rise by one, so the first and the last one give the count, and an index gives each in one step.
      message_count: places ?? 0,
      created_at: session.createdAt.toISOString(),
      updated_at: session.updatedAt.toISOString(),
    })),
    limit,
    (session) => ({ atMs: Date.parse(session.created_at), id: session.id }),
  );
}
