/**
 * The SQLite of a session's object: whose it is, what its client said of itself and wants to hear, and the events of its streams, so that a
 * client that lost its connection gets the rest. Made when the session begins; an object asked for an unknown session stores nothing.
 */
import { LOG_LEVELS, type LogLevel } from "../tools/client.ts";

/** Older events are forgotten: a client that comes back for them is told so. */
const MAX_EVENTS = 1_000;
const MAX_SUBSCRIPTIONS = 32;

export interface SessionRow {
  handle: string;
  userId: string;
  /** The client's initialize request, as JSON. */
  first: string;
  level: LogLevel | undefined;
  /** The last request, to within a twentieth of the session's life. */
  seenAtMs: number;
}

export function createTables(sql: SqlStorage): void {
  sql.exec(`CREATE TABLE IF NOT EXISTS session (
    id INTEGER PRIMARY KEY CHECK (id = 1), handle TEXT NOT NULL, user_id TEXT NOT NULL, first TEXT NOT NULL, level TEXT, seen_at INTEGER NOT NULL)`);
  sql.exec("CREATE TABLE IF NOT EXISTS subscriptions (uri TEXT PRIMARY KEY)");
  sql.exec(
    "CREATE TABLE IF NOT EXISTS events (seq INTEGER PRIMARY KEY AUTOINCREMENT, stream TEXT NOT NULL, message TEXT NOT NULL)",
  );
}

/** Undefined: there is no such session. */
export function readSession(sql: SqlStorage): SessionRow | undefined {
  if (sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'session'").toArray().length === 0) return undefined;
  const [row] = sql.exec("SELECT * FROM session").toArray();
  if (row === undefined) return undefined;
  return {
    handle: String(row["handle"]),
    userId: String(row["user_id"]),
    first: String(row["first"]),
    level: LOG_LEVELS.find((level) => level === row["level"]),
    seenAtMs: Number(row["seen_at"]),
  };
}

export function insertSession(sql: SqlStorage, { handle, userId, first, seenAtMs }: Omit<SessionRow, "level">): void {
  sql.exec(
    "INSERT INTO session (id, handle, user_id, first, seen_at) VALUES (1, ?, ?, ?, ?)",
    ...[handle, userId, first, seenAtMs],
  );
}

export function setSeen(sql: SqlStorage, seenAtMs: number): void {
  sql.exec("UPDATE session SET seen_at = ?", seenAtMs);
}

export function setLevel(sql: SqlStorage, level: LogLevel): void {
  sql.exec("UPDATE session SET level = ?", level);
}

/** False: there are too many. */
export function addSubscription(sql: SqlStorage, uri: string): boolean {
  if (!isSubscribed(sql, uri) && subscriptions(sql).length >= MAX_SUBSCRIPTIONS) return false;
  sql.exec("INSERT INTO subscriptions (uri) VALUES (?) ON CONFLICT DO NOTHING", uri);
  return true;
}

export function subscriptions(sql: SqlStorage): string[] {
  return sql
    .exec("SELECT uri FROM subscriptions ORDER BY uri")
    .toArray()
    .map(({ uri }) => String(uri));
}

export function removeSubscription(sql: SqlStorage, uri: string): void {
  sql.exec("DELETE FROM subscriptions WHERE uri = ?", uri);
}

export function isSubscribed(sql: SqlStorage, uri: string): boolean {
  return sql.exec("SELECT 1 FROM subscriptions WHERE uri = ?", uri).toArray().length > 0;
}

export interface StoredEvent {
  seq: number;
  /** JSON; `{}` for the event that only begins a stream. */
  message: string;
}

/** The new event's number. */
export function addEvent(sql: SqlStorage, stream: string, message: string): number {
  const [row] = sql.exec("INSERT INTO events (stream, message) VALUES (?, ?) RETURNING seq", stream, message).toArray();
  const seq = Number(row?.["seq"]);
  sql.exec("DELETE FROM events WHERE seq <= ?", seq - MAX_EVENTS);
  return seq;
}

/** Which stream an event belongs to; undefined when it is not, or no more, known. */
export function streamOf(sql: SqlStorage, seq: number): string | undefined {
  const [row] = sql.exec("SELECT stream FROM events WHERE seq = ?", seq).toArray();
  return row && String(row["stream"]);
}

export function eventsAfter(sql: SqlStorage, stream: string, seq: number): StoredEvent[] {
  const rows = sql
    .exec("SELECT seq, message FROM events WHERE stream = ? AND seq > ? ORDER BY seq", stream, seq)
    .toArray();
  return rows.map((row) => ({ seq: Number(row["seq"]), message: String(row["message"]) }));
}

/** Streams whose call has no result: after a restart there will be none. */
export function dropUnfinished(sql: SqlStorage, standing: string): void {
  sql.exec(
    `DELETE FROM events WHERE stream <> ? AND stream NOT IN
       (SELECT stream FROM events WHERE json_extract(message, '$.method') IS NULL AND json_extract(message, '$.id') IS NOT NULL)`,
    standing,
  );
}
