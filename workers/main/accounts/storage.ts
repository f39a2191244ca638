/**
 * The tables of an account's object (Durable Object SQLite), and reading and writing them. The copy of what Postgres says of the user
 * (`account`, `keys`) is taken anew when it is stale; logins live here alone.
 */
import type { AccountRecord, Login } from "../../../contracts/accounts.ts";
import { Preferences, type Role, type Scope } from "../../../contracts/users.ts";

export interface AccountCopy {
  role: Role;
  isActive: boolean;
  tokenVersion: number;
  preferences: Preferences;
  /** A change was begun in Postgres, and its end is not known. */
  stale: boolean;
  /** Being erased: nobody gets in any more. */
  erasing: boolean;
}

export function createTables(sql: SqlStorage): void {
  sql.exec(`
    CREATE TABLE IF NOT EXISTS account (
      id INTEGER PRIMARY KEY CHECK (id = 1),
      user_id TEXT NOT NULL,
      role TEXT NOT NULL,
      is_active INTEGER NOT NULL,
      token_version INTEGER NOT NULL,
      preferences TEXT NOT NULL,
      stale INTEGER NOT NULL DEFAULT 0,
      erasing INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE IF NOT EXISTS keys (
      id TEXT PRIMARY KEY,
      hash TEXT NOT NULL,
      scopes TEXT NOT NULL,
      expires_at INTEGER NOT NULL,
      revoked INTEGER NOT NULL DEFAULT 0,
      used_at INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS logins (
      id TEXT PRIMARY KEY,
      version INTEGER NOT NULL,
      generation INTEGER NOT NULL,
      rotated_at INTEGER NOT NULL,
      expires_at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS unstored_sessions (id TEXT PRIMARY KEY, noted_at INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS erasure (id INTEGER PRIMARY KEY CHECK (id = 1), progress TEXT NOT NULL);
  `);
}

export function hasTables(sql: SqlStorage): boolean {
  return sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'account'").toArray().length > 0;
}

export function readCopy(sql: SqlStorage): AccountCopy | undefined {
  const row = sql.exec("SELECT * FROM account").toArray()[0];
  return (
    row && {
      role: row["role"] as Role, // written by writeCopy
      isActive: row["is_active"] === 1,
      tokenVersion: Number(row["token_version"]),
      preferences: Preferences.parse(JSON.parse(String(row["preferences"]))),
      stale: row["stale"] === 1,
      erasing: row["erasing"] === 1,
    }
  );
}

/** A version here is never taken back: it may be ahead of Postgres. Keys that are revoked here stay so. */
export function writeCopy(sql: SqlStorage, userId: string, record: AccountRecord): void {
  sql.exec(
    `INSERT INTO account (id, user_id, role, is_active, token_version, preferences) VALUES (1, ?, ?, ?, ?, ?)
     ON CONFLICT (id) DO UPDATE SET role = excluded.role, is_active = excluded.is_active, stale = 0,
       token_version = max(token_version, excluded.token_version), preferences = excluded.preferences`,
    userId,
    record.role,
    record.isActive ? 1 : 0,
    record.tokenVersion,
    JSON.stringify(record.preferences),
  );
  const listed = JSON.stringify(record.keys.map(({ id }) => id));
  sql.exec("DELETE FROM keys WHERE revoked = 0 AND id NOT IN (SELECT value FROM json_each(?))", listed);
  for (const key of record.keys) writeKey(sql, key);
}

/** What a change has answered; the copy stays stale until all of it has been read. */
export function writeStanding(sql: SqlStorage, { role, isActive }: Pick<AccountCopy, "role" | "isActive">): void {
  sql.exec("UPDATE account SET role = ?, is_active = ?", role, isActive ? 1 : 0);
}

/** Before a change in Postgres is begun, so that a cut in the midst of it is found. */
export function markStale(sql: SqlStorage): void {
  sql.exec("UPDATE account SET stale = 1");
}

export function markErasing(sql: SqlStorage, userId: string): void {
  sql.exec(
    `INSERT INTO account (id, user_id, role, is_active, token_version, preferences, erasing) VALUES (1, ?, 'user', 0, 0, '{}', 1)
     ON CONFLICT (id) DO UPDATE SET erasing = 1`,
    userId,
  );
}

/** Such a session ends by itself an hour after its last turn; what is older than a day is not worth keeping. */
const NOTED_MS = 24 * 3_600_000;

export function noteSession(sql: SqlStorage, sessionId: string, nowMs: number): void {
  sql.exec("DELETE FROM unstored_sessions WHERE noted_at < ?", nowMs - NOTED_MS);
  sql.exec("INSERT INTO unstored_sessions (id, noted_at) VALUES (?, ?) ON CONFLICT DO NOTHING", sessionId, nowMs);
}

export interface StoredKey {
  id: string;
  hash: string;
  scopes: Scope[];
  expiresAtMs: number;
}

export function writeKey(sql: SqlStorage, { id, hash, scopes, expiresAtMs }: StoredKey): void {
  sql.exec(
    "INSERT INTO keys (id, hash, scopes, expires_at) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
    id,
    hash,
    JSON.stringify(scopes),
    expiresAtMs,
  );
}

export function countKeys(sql: SqlStorage): number {
  return sql.exec<{ count: number }>("SELECT count(*) AS count FROM keys WHERE revoked = 0").one().count;
}

export function readKey(
  sql: SqlStorage,
  keyId: string,
): (StoredKey & { revoked: boolean; usedAtMs: number }) | undefined {
  const row = sql.exec("SELECT * FROM keys WHERE id = ?", keyId).toArray()[0];
  return (
    row && {
      id: keyId,
      hash: String(row["hash"]),
      scopes: JSON.parse(String(row["scopes"])) as Scope[], // written by writeKey
      expiresAtMs: Number(row["expires_at"]),
      revoked: row["revoked"] === 1,
      usedAtMs: Number(row["used_at"]),
    }
  );
}

export function readLogin(
  sql: SqlStorage,
  loginId: string,
): (Login & { rotatedAtMs: number; expiresAtMs: number }) | undefined {
  const row = sql.exec("SELECT * FROM logins WHERE id = ?", loginId).toArray()[0];
  return (
    row && {
      loginId,
      version: Number(row["version"]),
      generation: Number(row["generation"]),
      rotatedAtMs: Number(row["rotated_at"]),
      expiresAtMs: Number(row["expires_at"]),
    }
  );
}
