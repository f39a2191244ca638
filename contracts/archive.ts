/**
 * The history as its owner reads and fills it in Postgres. Pure types; times are milliseconds since 1970. Each call is one round trip, and
 * fails with `db_unavailable` or `db_timeout`.
 */
import type { Result } from "./errors.ts";
import type { MessageRow, SessionRow } from "./history.ts";
import type { FoundMessage, SessionSummary } from "./lists.ts";
import type { UserStats } from "./stats.ts";

/** A place in a list that is newest first: the item there; ids tell items of one moment apart. */
export interface Position {
  atMs: number;
  id: string;
}

export interface PageOf {
  userId: string;
  /** The list goes on below it; undefined: from the top. */
  after: Position | undefined;
  limit: number;
}

/** `next`: where the page after this one begins; undefined on the last one. */
export interface Page<T> {
  items: T[];
  next: Position | undefined;
}

export interface SessionsPage extends PageOf {
  archived: "true" | "false" | "all";
}

export interface MessageSearch extends PageOf {
  /** As people type it into a search engine: words, "phrases", or, -without. */
  text: string;
  sessionId: string | undefined;
  role: "user" | "assistant" | undefined;
  fromMs: number | undefined;
  toMs: number | undefined;
}

/** A message of an import. It has cost nothing here. */
export type ImportedMessage = Pick<
  MessageRow,
  "id" | "seq" | "parentId" | "role" | "content" | "status" | "modelUsed" | "createdAtMs"
>;

/** A session with its messages, to be taken in as it is. */
export interface ImportedSession {
  session: Omit<SessionRow, "userId"> & { isActive: boolean };
  messages: ImportedMessage[];
  /** Where it comes from. */
  source: "basechat" | "chatgpt";
  /** The session that it is a copy of, if it may be one of ours. */
  copyOf: string | undefined;
}

export interface Archive {
  listSessions(page: SessionsPage): Promise<Result<Page<SessionSummary>>>;
  /** undefined: Postgres knows no such session of the user. */
  search(search: MessageSearch): Promise<Result<Page<FoundMessage> | undefined>>;
  /** `sessionId`: of that session alone. */
  readStats(
    userId: string,
    window: { fromMs: number; toMs: number; sessionId?: string | undefined },
  ): Promise<Result<UserStats>>;
}

export interface Importer {
  /**
   * Adds sessions of one user with their messages, all or nothing. One that is there already, or whose original is the user's, stays as
   * it is. Fails with `invalid_request` as well: a row among them can never be stored.
   */
  add(userId: string, sessions: ImportedSession[]): Promise<Result<{ sessions: number; messages: number }>>;
}
