/**
 * The bytes of what is attached to a session's messages: in its object's SQLite, each file once, by the SHA-256 of its bytes, in pieces,
 * since a row holds 2 MB. The table is made by the first file, so a session of words alone has none. What is not here is asked of
 * Postgres and kept here again; what is nowhere is told to the model in words.
 */
import { fromBase64, toBase64 } from "../../../contracts/base64.ts";
import { AppError } from "../../../contracts/errors.ts";
import type { HistoryStore } from "../../../contracts/history.ts";
import type { ModelMessage } from "../../../contracts/llm.ts";
import type { Ability } from "../../../contracts/models.ts";
import { abilityFor, type AttachedFile, type ModelAttachment } from "../../../contracts/parts.ts";
import { hasTable } from "./storage.ts";

const PIECE_BYTES = 1024 * 1024;

/** `isSent`: they come from Postgres. What is here already stays; where messages were forgotten it is sent again, since Postgres may lack it. */
export function keepFiles(sql: SqlStorage, files: AttachedFile[], isSent = false): void {
  sql.exec(`CREATE TABLE IF NOT EXISTS attachments (
    sha256 TEXT NOT NULL,
    piece INTEGER NOT NULL,
    mime_type TEXT NOT NULL,
    sent INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (sha256, piece)
  ) WITHOUT ROWID`);
  for (const { sha256, mimeType, data } of files) {
    const bytes = fromBase64(data) ?? new Uint8Array(); // it was checked where it came in
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      sql.exec(
        `INSERT INTO attachments (sha256, piece, mime_type, sent, bytes) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (sha256, piece) DO UPDATE SET sent = excluded.sent
           WHERE excluded.sent < sent AND (SELECT forgotten_seq FROM session) > 0`,
        ...[sha256, at / PIECE_BYTES, mimeType, isSent ? 1 : 0, bytes.slice(at, at + PIECE_BYTES).buffer],
      );
    }
  }
}

function readFile(sql: SqlStorage, sha256: string): AttachedFile | undefined {
  if (!hasTable(sql, "attachments")) return undefined;
  const query = "SELECT mime_type, bytes FROM attachments WHERE sha256 = ? ORDER BY piece";
  const pieces = sql.exec<{ mime_type: string; bytes: ArrayBuffer }>(query, sha256).toArray();
  const mimeType = pieces[0]?.mime_type;
  if (mimeType === undefined) return undefined;
  const whole = new Uint8Array(pieces.reduce((sum, { bytes }) => sum + bytes.byteLength, 0));
  for (const [at, { bytes }] of pieces.entries()) whole.set(new Uint8Array(bytes), at * PIECE_BYTES);
  return { sha256, mimeType, data: toBase64(whole) };
}

/** A file that Postgres does not have yet. */
export function owedFile(sql: SqlStorage): AttachedFile | undefined {
  const sha256 = hasTable(sql, "attachments") ? owedHash(sql) : undefined;
  return sha256 === undefined ? undefined : readFile(sql, sha256);
}

export function isFileOwed(sql: SqlStorage): boolean {
  return hasTable(sql, "attachments") && owedHash(sql) !== undefined;
}

function owedHash(sql: SqlStorage): string | undefined {
  const query = "SELECT sha256 FROM attachments WHERE piece = 0 AND sent = 0 LIMIT 1";
  return sql.exec<{ sha256: string }>(query).toArray()[0]?.sha256;
}

export function markSent(sql: SqlStorage, sha256: string): void {
  sql.exec("UPDATE attachments SET sent = 1 WHERE sha256 = ? AND piece = 0", sha256);
}

/** Deletes what no message here refers to any more. */
export function dropUnused(sql: SqlStorage): void {
  if (!hasTable(sql, "attachments")) return;
  sql.exec(`DELETE FROM attachments WHERE sha256 NOT IN (
    SELECT attached.value ->> '$.sha256' FROM messages, json_each(messages.details, '$.attachments') AS attached
    WHERE attached.value ->> '$.sha256' IS NOT NULL)`);
}

interface Owner {
  sessionId: string;
  userId: string;
}

export interface Attachments {
  /** `held`: what the object has is this owner's. Throws where Postgres would have to be asked and is away. */
  read(owner: Owner, sha256: string, held: boolean): Promise<AttachedFile | undefined>;
  /** The messages with the bytes of what is attached to them; without what the model lacks the ability for. */
  fill(messages: ModelMessage[], owner: Owner, lacks: readonly Ability[]): Promise<ModelMessage[]>;
}

export function createAttachments(sql: SqlStorage, history: Pick<HistoryStore, "readAttachment">): Attachments {
  async function read(owner: Owner, sha256: string, held: boolean): Promise<AttachedFile | undefined> {
    const kept = held ? readFile(sql, sha256) : undefined;
    if (kept !== undefined) return kept;
    const found = await history.readAttachment({ ...owner, sha256 });
    if (!found.ok && found.error.code !== "not_configured") throw new AppError(found.error.code, found.error.message);
    const file = found.ok ? found.value : undefined;
    if (held && file !== undefined) keepFiles(sql, [file], true);
    return file;
  }

  async function fill(attachments: ModelAttachment[], owner: Owner, lacks: readonly Ability[]) {
    const filled: ModelAttachment[] = [];
    for (const attachment of attachments) {
      const needed = abilityFor(attachment);
      if (needed !== undefined && lacks.includes(needed)) continue;
      const file = "sha256" in attachment ? await read(owner, attachment.sha256, true) : undefined;
      if (file !== undefined) filled.push({ ...attachment, data: file.data });
      else if ("url" in attachment) filled.push(attachment);
    }
    return filled;
  }

  return {
    read,
    fill: (messages, owner, lacks) =>
      Promise.all(
        messages.map(async (message): Promise<ModelMessage> => {
          if (message.role !== "user" || message.attachments === undefined) return message;
          const { content } = message;
          const attachments = await fill(message.attachments, owner, lacks);
          const missing = message.attachments.length - attachments.length;
          const note = `[${missing} ${missing === 1 ? "attachment" : "attachments"} that cannot be shown]`;
          return {
            role: "user",
            content: missing === 0 ? content : `${content}${content === "" ? "" : "\n\n"}${note}`,
            ...(attachments.length > 0 && { attachments }),
          };
        }),
      ),
  };
}
