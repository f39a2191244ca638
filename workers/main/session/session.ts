/**
 * The session row of an object: who owns it and what Postgres is to know of it. One row, written when the session is made or changed
 * and when the outbox moves on.
 */
import { requestMessages } from "../../../contracts/chat.ts";
import { AppError } from "../../../contracts/errors.ts";
import type { StoredSession } from "../../../contracts/history.ts";
import type { ResolvedChat } from "../../../contracts/session.ts";
import { isFileOwed } from "./attachments.ts";
import { newestSeq, readMessage } from "./messages.ts";
import { hasTables } from "./storage.ts";
import { titleOf } from "./title.ts";

/** Who gave the title: the first words of the session, a model, or its user, whose title stays. */
export type TitleBy = "words" | "model" | "user";

export interface Session {
  id: string;
  userId: string;
  title: string;
  titleBy: TitleBy;
  /** null: an import that did not say it. */
  modelType: string | null;
  modelName: string | null;
  /** false: kept out of the history, and gone an hour after its last turn. */
  stored: boolean;
  /** false: archived. */
  isActive: boolean;
  createdAtMs: number;
  /** The last change of this row that Postgres is to know of; 0: it goes there with its messages. Each is later than the one before. */
  changedAtMs: number;
  /** The change that Postgres knows of. */
  drainedChangeMs: number;
  /** Messages up to this `seq` are in Postgres. */
  drainedSeq: number;
  /** When it was fetched from Postgres; 0: it was made here. */
  heldAtMs: number;
  /** Messages up to this `seq` were too old to be kept, here and in Postgres. */
  forgottenSeq: number;
  /** Deleted by its owner, and not yet in Postgres. */
  erased: boolean;
}

/** The session of this object; undefined when none is here. */
export function readSession(sql: SqlStorage): Session | undefined {
  const row = hasTables(sql) ? sql.exec("SELECT * FROM session").toArray()[0] : undefined;
  return (
    row && {
      id: String(row["id"]),
      userId: String(row["user_id"]),
      title: String(row["title"]),
      titleBy: row["title_by"] as TitleBy, // written by this file
      modelType: String(row["model_type"]) || null,
      modelName: String(row["model_name"]) || null,
      stored: row["stored"] === 1,
      isActive: row["is_active"] === 1,
      createdAtMs: Number(row["created_at"]),
      changedAtMs: Number(row["changed_at"]),
      drainedChangeMs: Number(row["drained_change"]),
      drainedSeq: Number(row["drained_seq"]),
      heldAtMs: Number(row["held_at"]),
      forgottenSeq: Number(row["forgotten_seq"]),
      erased: row["erased"] === 1,
    }
  );
}

export function insertSession(sql: SqlStorage, session: Session): void {
  const { id, userId, title, titleBy, modelType, modelName, stored, isActive, createdAtMs } = session;
  sql.exec(
    `INSERT INTO session (id, user_id, title, title_by, model_type, model_name, stored, is_active, created_at,
       changed_at, drained_change, drained_seq, held_at, forgotten_seq)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ...[id, userId, title, titleBy, modelType ?? "", modelName ?? "", stored ? 1 : 0, isActive ? 1 : 0, createdAtMs],
    ...[session.changedAtMs, session.drainedChangeMs, session.drainedSeq, session.heldAtMs, session.forgottenSeq],
  );
}

export interface NewSession {
  id: string;
  userId: string;
  /** Its first request: what the session is called, which model it began with, whether it is kept. */
  chat: ResolvedChat;
  createdAtMs: number;
}

const BLANK: Omit<Session, "id" | "userId" | "title" | "modelType" | "modelName" | "stored" | "createdAtMs"> = {
  ...{ titleBy: "words", isActive: true, changedAtMs: 0, drainedChangeMs: 0 },
  ...{ drainedSeq: 0, heldAtMs: 0, forgottenSeq: 0, erased: false },
};

/** A session that begins with a turn, before it is written. */
export function newSession({ id, userId, chat, createdAtMs }: NewSession): Session {
  return {
    ...{ id, userId, createdAtMs, modelType: chat.modelType, modelName: chat.model, ...BLANK },
    title: titleOf(requestMessages(chat.request)[0]?.content ?? ""),
    stored: chat.request.store ?? true,
  };
}

/** A session without a turn: Postgres is to know of it at once. */
export function newEmptySession(session: NewSession, title: string | undefined): Session {
  return {
    ...newSession(session),
    ...{ title: title ?? "", titleBy: title === undefined ? "words" : "user", changedAtMs: session.createdAtMs },
  };
}

/** A session as Postgres has it. Who gave its title is not known, so it stays. */
export function heldSession(stored: StoredSession, heldAtMs: number): Session {
  const { newestSeq: drainedSeq, updatedAtMs: changedAtMs, title, ...session } = stored;
  return {
    ...{ ...BLANK, ...session, title, stored: true, heldAtMs, drainedSeq },
    ...{ changedAtMs, drainedChangeMs: changedAtMs, titleBy: title === "" ? "words" : "user" },
  };
}

export interface SessionChange {
  title?: string | undefined;
  titleBy?: TitleBy;
  isActive?: boolean | undefined;
}

/** Changes the row, later than whatever was sent of it before: a batch that is late does not bring the old one back. */
export function changeSession(sql: SqlStorage, session: Session, change: SessionChange, nowMs: number): void {
  const { title, titleBy, isActive } = { ...session, ...given(change) };
  const changedAtMs = Math.max(nowMs, updatedAtMs(sql, session) + 1);
  sql.exec(
    "UPDATE session SET title = ?, title_by = ?, is_active = ?, changed_at = ?",
    ...[title, titleBy, isActive ? 1 : 0, changedAtMs],
  );
}

function given(change: SessionChange): Partial<Pick<Session, "title" | "titleBy" | "isActive">> {
  const { title, titleBy, isActive } = change;
  return {
    ...(title !== undefined && { title }),
    ...(titleBy !== undefined && { titleBy }),
    ...(isActive !== undefined && { isActive }),
  };
}

/** The last change of the session or of its messages. */
export function updatedAtMs(sql: SqlStorage, { createdAtMs, changedAtMs }: Session): number {
  const newest = readMessage(sql, newestSeq(sql) ?? 0);
  return Math.max(createdAtMs, changedAtMs, newest?.createdAtMs ?? 0);
}

/** Something of it is not in Postgres yet. */
export function isOwed(sql: SqlStorage, session: Session): boolean {
  if (!session.stored || session.erased) return false;
  return isRowOwed(sql, session) || isFileOwed(sql);
}

/** The same of its own row and its messages. */
export function isRowOwed(sql: SqlStorage, session: Session): boolean {
  return session.changedAtMs > session.drainedChangeMs || (newestSeq(sql) ?? 0) > session.drainedSeq;
}

/** Messages up to a place are gone; of a session that owes nothing. When it was last used is told by its row from then on. */
export function markForgotten(sql: SqlStorage, { upTo, lastUsedMs }: { upTo: number; lastUsedMs: number }): void {
  sql.exec(
    "UPDATE session SET forgotten_seq = max(forgotten_seq, ?), changed_at = ?, drained_change = ?",
    ...[upTo, lastUsedMs, lastUsedMs],
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
