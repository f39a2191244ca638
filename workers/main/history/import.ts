/**
 * An import from its file's text to Postgres. No state. Writes whole sessions, many small ones in one request; what is in stays in when
 * Postgres fails, and the same file again adds the rest.
 */
import type { ImportedSession, Importer } from "../../../contracts/archive.ts";
import { ok, type Result } from "../../../contracts/errors.ts";
import type { ImportReport } from "../../../contracts/transfer.ts";
import { type Reading, warn } from "./reading.ts";

/** Of one request, unless a single session has more. */
const BATCH_CHARS = 500_000;
const BATCH_ROWS = 500;

export async function writeImport(
  importer: Importer,
  userId: string,
  { sessions, warnings }: Reading,
): Promise<Result<ImportReport>> {
  const added = { sessions: 0, messages: 0 };
  let refused = 0;
  const write = async (batch: ImportedSession[]): Promise<Result<void>> => {
    const written = await importer.add(userId, batch);
    if (written.ok) {
      added.sessions += written.value.sessions;
      added.messages += written.value.messages;
      return ok(undefined);
    }
    if (written.error.code !== "invalid_request") return written;
    if (batch.length === 1) {
      refused += 1;
      return ok(undefined);
    }
    // One by one, so that the others get in.
    return inTurn(
      batch.map((session) => [session]),
      write,
    );
  };
  const outcome = await inTurn(batchesOf(sessions), write);
  if (!outcome.ok) return outcome;
  warn(warnings, "sessions_refused", refused);
  return ok({
    sessions_imported: added.sessions,
    messages_imported: added.messages,
    sessions_skipped: sessions.length - added.sessions - refused,
    warnings: [...warnings].map(([code, count]) => ({ code, count })),
  });
}

async function inTurn(
  batches: Iterable<ImportedSession[]>,
  write: (batch: ImportedSession[]) => Promise<Result<void>>,
): Promise<Result<void>> {
  for (const batch of batches) {
    const written = await write(batch);
    if (!written.ok) return written;
  }
  return ok(undefined);
}

function* batchesOf(sessions: ImportedSession[]): Generator<ImportedSession[]> {
  let batch: ImportedSession[] = [];
  let [chars, rows] = [0, 0];
  for (const session of sessions) {
    const sessionChars = session.messages.reduce((sum, { content }) => sum + content.length, 0);
    const sessionRows = 1 + session.messages.length;
    if (batch.length > 0 && (chars + sessionChars > BATCH_CHARS || rows + sessionRows > BATCH_ROWS)) {
      yield batch;
      batch = [];
      [chars, rows] = [0, 0];
    }
    batch.push(session);
    chars += sessionChars;
    rows += sessionRows;
  }
  if (batch.length > 0) yield batch;
}
