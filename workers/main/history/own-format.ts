/**
 * Reads an export of ours: JSON Lines, a session's line and then its messages', session after session. Pure. Refuses the whole file when
 * a line does not fit, and says which one.
 */
import type { ImportedSession } from "../../../contracts/archive.ts";
import { AppError } from "../../../contracts/errors.ts";
import { Line, type MessageLine, type SessionLine } from "../../../contracts/transfer.ts";
import { importedId } from "./import-ids.ts";
import { keep, type Reading, warn, type Warnings } from "./reading.ts";

const MAX_ISSUES = 10;

/** A session that is being read. */
interface Open {
  sourceId: string;
  imported: ImportedSession;
  /** Its messages' ids here by their ids in the file. */
  ids: Map<string, string>;
  lastSeq: number;
}

export function readOwnFormat(text: string, userId: string): Reading {
  const warnings: Warnings = new Map();
  const sessions = new Map<string, ImportedSession>();
  let open: Open | undefined;
  for (const { line, number } of linesOf(text)) {
    const parsed = parseLine(line, number);
    if (parsed.type === "session") {
      if (sessions.has(parsed.id)) throw badLine(number, "a session of this id came before");
      open = openSession(parsed, userId, warnings);
      sessions.set(parsed.id, open.imported);
    } else if (open === undefined) {
      throw badLine(number, "a session's line must come before its messages");
    } else {
      if (parsed.seq <= open.lastSeq) throw badLine(number, "seq must rise");
      if (open.ids.has(parsed.id)) throw badLine(number, "a message of this id came before");
      addMessage(open, parsed, userId, warnings);
    }
  }
  return { sessions: [...sessions.values()], warnings };
}

function* linesOf(text: string): Generator<{ line: string; number: number }> {
  let number = 0;
  for (let from = 0; from < text.length;) {
    const newline = text.indexOf("\n", from);
    const end = newline === -1 ? text.length : newline;
    const line = text.slice(from, end).trim();
    number += 1;
    if (line !== "") yield { line, number };
    from = end + 1;
  }
}

function parseLine(line: string, number: number): Line {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new AppError("invalid_json", `line ${number} is not JSON`, { details: { line: number } });
  }
  const parsed = Line.safeParse(value);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues
    .slice(0, MAX_ISSUES)
    .map(({ path, message }) => ({ path: path.map(String).join("."), message }));
  throw new AppError("invalid_request", `line ${number} does not fit its schema`, {
    details: { line: number, issues },
  });
}

function badLine(number: number, message: string): AppError {
  return new AppError("invalid_request", `line ${number}: ${message}`, { details: { line: number } });
}

function openSession(line: SessionLine, userId: string, warnings: Warnings): Open {
  const { id, title, model_type: modelType, model_name: modelName, is_active: isActive } = line;
  const [createdAtMs, updatedAtMs] = [Date.parse(line.created_at), Date.parse(line.updated_at)];
  return {
    sourceId: id,
    imported: {
      session: {
        id: importedId(createdAtMs, userId, "basechat", id),
        title: keep(title, warnings),
        modelType: modelType && keep(modelType, warnings),
        modelName: modelName && keep(modelName, warnings),
        ...{ isActive, createdAtMs, updatedAtMs },
      },
      messages: [],
      source: "basechat",
      copyOf: id,
    },
    ids: new Map(),
    lastSeq: 0,
  };
}

function addMessage(open: Open, line: MessageLine, userId: string, warnings: Warnings): void {
  if (line.attachments) warn(warnings, "parts_left_out", line.attachments.length);
  const { messages } = open.imported;
  const createdAtMs = Date.parse(line.created_at);
  const id = importedId(createdAtMs, userId, "basechat", open.sourceId, line.id);
  // One whose predecessor is not in the file follows what is before it.
  const parentId = line.parent_id === null ? null : (open.ids.get(line.parent_id) ?? messages.at(-1)?.id ?? null);
  messages.push({
    ...{ id, seq: messages.length + 1, parentId, role: line.role, status: line.status, modelUsed: null, createdAtMs },
    content: keep(line.content, warnings),
  });
  open.ids.set(line.id, id);
  open.lastSeq = line.seq;
}
