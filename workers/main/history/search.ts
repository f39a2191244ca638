/**
 * Full text over a user's own messages in Postgres, newest first, with snippets. No state. A search for nothing but what must not occur
 * finds nothing: no index could serve it.
 */
import { and, eq, gte, lt, type SQL, sql } from "drizzle-orm";
import type { MessageSearch, Page } from "../../../contracts/archive.ts";
import type { FoundMessage } from "../../../contracts/lists.ts";
import type { Db } from "../../../db/open.ts";
import { chatSessions, messages } from "../../../db/schema.ts";
import { newestFirst, ownBelow, toPage } from "./keyset.ts";
import type { LimitWork } from "./limit-work.ts";

/** They mark a match in a snippet. For private use in Unicode: a message's own are replaced. */
const [START, STOP] = ["\ue000", "\ue001"];
const HEADLINE = `StartSel=${START}, StopSel=${STOP}, MaxFragments=2, MinWords=8, MaxWords=24, ShortWord=0, FragmentDelimiter=" … "`;
/** Some scripts write without spaces, so a word can be long. */
const MAX_SNIPPET_CHARS = 600;

/** The page that matches; undefined when the search names a session that is not there or not the user's. */
export async function searchMessages(
  db: Db,
  search: MessageSearch,
  limitWork: LimitWork,
): Promise<Page<FoundMessage> | undefined> {
  const { sessionId, userId } = search;
  const found = findMessages(db, search);
  if (sessionId === undefined) return toResults((await db.batch([limitWork(), found]))[1], search);
  const own = db
    .select({ id: chatSessions.id })
    .from(chatSessions)
    .where(and(eq(chatSessions.id, sessionId), eq(chatSessions.userId, userId)));
  const [, sessions, rows] = await db.batch([limitWork(), own, found]);
  return sessions.length === 0 ? undefined : toResults(rows, search);
}

type Found = Awaited<ReturnType<typeof findMessages>>;

function toResults(rows: Found, { limit }: MessageSearch): Page<FoundMessage> {
  const results = rows.map(({ id, sessionId, title, seq, role, createdAt, snippet }) => ({
    ...{ message_id: id, session_id: sessionId, session_title: title, seq, role },
    created_at: createdAt.toISOString(),
    snippet: readSnippet(snippet),
  }));
  return toPage(results, limit, (result) => ({ atMs: Date.parse(result.created_at), id: result.message_id }));
}

function findMessages(db: Db, search: MessageSearch) {
  const { text, sessionId, role, fromMs, toMs, limit } = search;
  const query = sql`websearch_to_tsquery('simple', ${text})`;
  const found = db
    .select({
      ...{ id: messages.id, sessionId: messages.sessionId, seq: messages.seq, role: messages.role },
      ...{ createdAt: messages.createdAt, content: messages.content },
    })
    .from(messages)
    .where(
      and(
        ownBelow(messages, search),
        // The expression of the index messages_search.
        sql`to_tsvector('simple', left(${messages.content}, 100000)) @@ ${query}`,
        sql`querytree(${query}) not in ('', 'T')`,
        sessionId === undefined ? undefined : eq(messages.sessionId, sessionId),
        role && eq(messages.role, role),
        fromMs === undefined ? undefined : gte(messages.createdAt, new Date(fromMs)),
        toMs === undefined ? undefined : lt(messages.createdAt, new Date(toMs)),
      ),
    )
    .orderBy(...newestFirst(messages))
    .limit(limit + 1)
    .as("found");
  // Titles and snippets are made for the page's rows alone.
  return db
    .select({
      ...{ id: found.id, sessionId: found.sessionId, seq: found.seq, role: found.role, createdAt: found.createdAt },
      title: sql<string>`(${db.select({ title: chatSessions.title }).from(chatSessions).where(eq(chatSessions.id, found.sessionId))})`,
      snippet: headline(sql`${found.content}`, query),
    })
    .from(found)
    .orderBy(...newestFirst({ createdAt: found.createdAt, id: found.id }));
}

function headline(content: SQL, query: SQL): SQL<string> {
  const unmarked = sql`translate(left(${content}, 100000), ${START + STOP}, ${"\ufffd\ufffd"})`;
  return sql<string>`left(ts_headline('simple', ${unmarked}, ${query}, ${HEADLINE}), ${MAX_SNIPPET_CHARS}::int4)`;
}

/** Pieces in order; between the marks is a match. */
function readSnippet(marked: string): FoundMessage["snippet"] {
  return marked
    .split(new RegExp(`(${START}[^${STOP}]*${STOP}?)`, "u"))
    .map((piece) => ({ text: piece.replaceAll(/[\ue000\ue001]/gu, ""), match: piece.startsWith(START) }))
    .filter(({ text }) => text !== "");
}
