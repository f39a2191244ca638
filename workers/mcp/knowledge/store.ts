/**
 * What tools read and write in Postgres: the knowledge base, and the caller's own sessions and messages. State lives there; one call is one
 * HTTP round trip. Shows a user what is the user's own, and of the knowledge base what is shared. Its failures are values without a driver's
 * words.
 */
import { and, desc, eq, inArray, or, type SQL, sql } from "drizzle-orm";
import { fail, ok, type Result } from "../../../contracts/errors.ts";
import type { UsageRecord } from "../../../contracts/ledger.ts";
import { toVectorText } from "../../../contracts/vectors.ts";
import { insertUsage } from "../../../db/ledger.ts";
import { type Db, openDb, readDbFault } from "../../../db/open.ts";
import { chatSessions, documentChunks, documents, messages } from "../../../db/schema.ts";
import type { Caller } from "../tools/tool.ts";
import { type DocumentSearch, searchStatement } from "./search.ts";

const TIMEOUT_MS = 5_000;
const MAX_MESSAGES = 200;
const MAX_SESSIONS = 100;

export interface NewDocument {
  id: string;
  userId: string;
  isShared: boolean;
  collection: string;
  title: string;
  chunks: string[];
  /** One a chunk; left out: it is found by its words alone. */
  vectors?: { model: string; of: Float32Array[] } | undefined;
}

export interface FoundChunk {
  documentId: string;
  title: string;
  collection: string;
  isShared: boolean;
  content: string;
}

export interface OwnMessage {
  sessionId: string;
  title: string;
  role: string;
  createdAtMs: number;
  content: string;
}

export interface OwnSession {
  id: string;
  title: string;
  updatedAtMs: number;
}

interface Search {
  userId: string;
  text: string;
  limit: number;
}

/** Fails with `db_timeout` or `db_unavailable`. */
export interface KnowledgeStore {
  addDocument(document: NewDocument): Promise<Result<void>>;
  /** Into the ledger; the same one twice is one. */
  addUsage(record: UsageRecord): Promise<Result<void>>;
  /** False: there is none of the user's; an admin's are the shared ones as well. */
  deleteDocument(by: Pick<Caller, "userId" | "isAdmin">, id: string): Promise<Result<boolean>>;
  searchDocuments(search: DocumentSearch): Promise<Result<FoundChunk[]>>;
  searchMessages(search: Search): Promise<Result<OwnMessage[]>>;
  listSessions(userId: string): Promise<Result<OwnSession[]>>;
  /** When those of the user's changed last, in milliseconds, by their ids. */
  readChanges(userId: string, ids: string[]): Promise<Result<Map<string, number>>>;
  /** Undefined: there is no such session of the user's. */
  readSession(userId: string, id: string): Promise<Result<OwnMessage[] | undefined>>;
}

export interface StoreOptions {
  databaseUrl: string;
  httpUrl: string | undefined;
  /** For the log. */
  onFault(reason: string): void;
}

export function createKnowledgeStore({ databaseUrl, httpUrl, onFault }: StoreOptions): KnowledgeStore {
  const db = openDb({ databaseUrl, httpUrl, timeoutMs: TIMEOUT_MS });
  const attempt = async <T>(work: () => Promise<T>): Promise<Result<T>> => {
    try {
      return ok(await work());
    } catch (error) {
      const { kind, reason } = readDbFault(error);
      onFault(reason);
      return fail(kind === "timeout" ? "db_timeout" : "db_unavailable", "the database did not answer");
    }
  };
  return {
    addDocument: (document) =>
      attempt(() => withoutVectors(document.vectors, (vectors) => addDocument(db, { ...document, vectors }), onFault)),
    addUsage: (record) =>
      attempt(async () => {
        await insertUsage(db, [record]);
      }),
    deleteDocument: ({ userId, isAdmin }, id) =>
      attempt(async () => {
        const isOwn = eq(documents.userId, userId);
        const isTheirs = isAdmin ? or(isOwn, documents.isShared) : isOwn;
        const rows = await db
          .delete(documents)
          .where(and(eq(documents.id, id), isTheirs))
          .returning({ id: documents.id });
        return rows.length > 0;
      }),
    searchDocuments: (search) =>
      attempt(() => withoutVectors(search.near, (near) => findChunks(db, { ...search, near }), onFault)),
    searchMessages: (search) => attempt(() => findMessages(db, search)),
    listSessions: (userId) => attempt(() => findSessions(db, userId)),
    readChanges: (userId, ids) => attempt(() => findChanges(db, userId, ids)),
    readSession: (userId, id) => attempt(() => findSession(db, userId, id)),
  };
}

/** SQLSTATE: a table or a type is missing, or two vectors cannot be compared. */
const VECTOR_FAULT = /^(42|22)/;

/** The work with vectors; where the database cannot do it, without them. */
async function withoutVectors<V, T>(
  vectors: V | undefined,
  work: (vectors: V | undefined) => Promise<T>,
  onFault: (reason: string) => void,
): Promise<T> {
  try {
    return await work(vectors);
  } catch (error) {
    const { reason } = readDbFault(error);
    if (vectors === undefined || !VECTOR_FAULT.test(reason)) throw error;
    onFault(reason);
    return work(undefined);
  }
}

/** One transaction. */
async function addDocument(db: Db, { chunks, vectors, ...document }: NewDocument): Promise<void> {
  const rows = chunks.map((content, seq) => ({ documentId: document.id, seq, content }));
  const inserts = [db.insert(documents).values(document), db.insert(documentChunks).values(rows)] as const;
  if (vectors === undefined) {
    await db.batch(inserts);
    return;
  }
  const texts = JSON.stringify(vectors.of.map(toVectorText));
  await db.batch([
    ...inserts,
    db.execute(sql`
      insert into chunk_vectors (document_id, seq, model, embedding)
      select ${document.id}::uuid, place - 1, ${vectors.model}, text::vector
      from jsonb_array_elements_text(${texts}::jsonb) with ordinality as listed (text, place)`),
  ]);
}

async function findChunks(db: Db, search: DocumentSearch): Promise<FoundChunk[]> {
  const { rows } = await db.execute<FoundChunk & Record<string, unknown>>(searchStatement(search));
  return rows.map(({ documentId, title, collection, isShared, content }) => ({
    ...{ documentId, title, collection, isShared, content },
  }));
}

async function findMessages(db: Db, { userId, text, limit }: Search): Promise<OwnMessage[]> {
  const query = sql`websearch_to_tsquery('simple', ${text})`;
  const content = sql<string>`ts_headline('simple', left(${messages.content}, 100000), ${query}, ${HEADLINE})`;
  const rows = await ownMessages(db, content)
    .where(
      and(
        eq(messages.userId, userId),
        // The expression of the index messages_search.
        sql`to_tsvector('simple', left(${messages.content}, 100000)) @@ ${query}`,
        sql`querytree(${query}) not in ('', 'T')`,
      ),
    )
    .orderBy(desc(messages.createdAt), desc(messages.id))
    .limit(limit);
  return rows.map(toMessage);
}

const HEADLINE = `StartSel="", StopSel="", MaxFragments=2, MinWords=15, MaxWords=60, ShortWord=0, FragmentDelimiter=" … "`;

async function findSessions(db: Db, userId: string): Promise<OwnSession[]> {
  const { id, title, updatedAt } = chatSessions;
  const rows = await db
    .select({ id, title, updatedAt })
    .from(chatSessions)
    .where(eq(chatSessions.userId, userId))
    .orderBy(desc(chatSessions.createdAt), desc(chatSessions.id))
    .limit(MAX_SESSIONS);
  return rows.map((row) => ({ id: row.id, title: row.title, updatedAtMs: row.updatedAt.getTime() }));
}

async function findChanges(db: Db, userId: string, ids: string[]): Promise<Map<string, number>> {
  const { id, updatedAt } = chatSessions;
  const rows = await db
    .select({ id, updatedAt })
    .from(chatSessions)
    .where(and(inArray(id, ids), eq(chatSessions.userId, userId)));
  return new Map(rows.map((row) => [row.id, row.updatedAt.getTime()]));
}

async function findSession(db: Db, userId: string, id: string): Promise<OwnMessage[] | undefined> {
  const own = and(eq(chatSessions.id, id), eq(chatSessions.userId, userId));
  const [sessions, rows] = await db.batch([
    db.select({ id: chatSessions.id }).from(chatSessions).where(own),
    ownMessages(db, sql<string>`left(${messages.content}, 20000)`)
      .where(and(eq(messages.sessionId, id), eq(messages.userId, userId)))
      .orderBy(desc(messages.seq))
      .limit(MAX_MESSAGES),
  ]);
  return sessions.length === 0 ? undefined : rows.toReversed().map(toMessage);
}

function ownMessages(db: Db, content: SQL<string>) {
  const { sessionId, role, createdAt } = messages;
  return db
    .select({ sessionId, role, createdAt, content, title: chatSessions.title })
    .from(messages)
    .innerJoin(chatSessions, eq(chatSessions.id, messages.sessionId))
    .$dynamic();
}

function toMessage({ createdAt, ...row }: Omit<OwnMessage, "createdAtMs"> & { createdAt: Date }): OwnMessage {
  return { ...row, createdAtMs: createdAt.getTime() };
}
