/**
 * The session row of an object: who owns it and what Postgres is to know of it. One row, written when the session is made
 * and when the outbox moves on.
 */
import { type ModelType, requestMessages } from "../../../contracts/chat.ts";
import { AppError } from "../../../contracts/errors.ts";
import type { ResolvedChat } from "../../../contracts/session.ts";

export interface Session {
  id: string;
  userId: string;
  title: string;
  modelType: ModelType;
  modelName: string;
  /** false: kept out of the history, and gone an hour after its last turn. */
  stored: boolean;
  createdAtMs: number;
  /** Messages up to this `seq` are in Postgres. */
  drainedSeq: number;
  /** Deleted by its owner, and not yet in Postgres. */
  erased: boolean;
}

/** The session of this object, which has its tables; undefined when none was made here. */
export function readSession(sql: SqlStorage): Session | undefined {
  const row = sql.exec("SELECT * FROM session").toArray()[0];
  return (
    row && {
      id: String(row["id"]),
      userId: String(row["user_id"]),
      title: String(row["title"]),
      modelType: row["model_type"] as ModelType, // written by createSession
      modelName: String(row["model_name"]),
      stored: row["stored"] === 1,
      createdAtMs: Number(row["created_at"]),
      drainedSeq: Number(row["drained_seq"]),
      erased: row["erased"] === 1,
    }
  );
}

const TITLE_CHARS = 80;

export interface NewSession {
  id: string;
  userId: string;
  /** Its first request: what the session is called, which model it began with, whether it is kept. */
  chat: ResolvedChat;
  createdAtMs: number;
}

/** What a session is before it is written. */
export function newSession({ id, userId, chat, createdAtMs }: NewSession): Session {
  return {
    ...{ id, userId, createdAtMs, modelType: chat.modelType, modelName: chat.model },
    title: requestMessages(chat.request)[0]?.content.slice(0, TITLE_CHARS) ?? "",
    stored: chat.request.store ?? true,
    drainedSeq: 0,
    erased: false,
  };
}

export function insertSession(sql: SqlStorage, session: Session): void {
  sql.exec(
    `INSERT INTO session (id, user_id, title, model_type, model_name, stored, created_at, drained_seq)
     VALUES (?, ?, ?, ?, ?, ?, ?, 0)`,
    session.id,
    session.userId,
    session.title,
    session.modelType,
    session.modelName,
    session.stored ? 1 : 0,
    session.createdAtMs,
  );
}

/** From here on nothing of the session is drained or shown. */
export function markErased(sql: SqlStorage): void {
  sql.exec("UPDATE session SET erased = 1");
}

/** Another user's session looks like a missing one, and so does one that was deleted, but to its deletion. */
export function requireOwner(session: Session | undefined, userId: string, toErase = false): Session {
  if (session === undefined || session.userId !== userId || (session.erased && !toErase))
    throw new AppError("not_found", "there is no such session");
  return session;
}
