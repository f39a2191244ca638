/**
 * The session row of an object: who owns it and what Postgres is to know of it. One row, written when the session is made
 * and when the outbox moves on.
 */
import type { ModelType } from "../../../contracts/chat.ts";
import { AppError } from "../../../contracts/errors.ts";
import { createTables } from "./storage.ts";

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
}

/** The session of this object; undefined when none was ever made here. */
export function readSession(sql: SqlStorage): Session | undefined {
  const made = sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'session'").toArray().length > 0;
  const row = made ? sql.exec("SELECT * FROM session").toArray()[0] : undefined;
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
    }
  );
}

export function createSession(sql: SqlStorage, session: Omit<Session, "drainedSeq">): Session {
  createTables(sql);
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
  return { ...session, drainedSeq: 0 };
}

/** Another user's session looks like a missing one. */
export function requireOwner(session: Session | undefined, userId: string): Session {
  if (session === undefined || session.userId !== userId) throw new AppError("not_found", "there is no such session");
  return session;
}
