/**
 * The tables of a session's object (Durable Object SQLite). One object holds one session and is its only writer.
 * Rows are written sparingly, since each one is billed: a message row is its own outbox entry (see outbox.ts),
 * and no table has a secondary index.
 */

/** False for an object that nothing was ever written to: it is only asked about. */
export function hasTables(sql: SqlStorage): boolean {
  return sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'session'").toArray().length > 0;
}

/** Creates the tables on first use; costs nothing on an object that has them. */
export function createTables(sql: SqlStorage): void {
  sql.exec(`
    CREATE TABLE IF NOT EXISTS session (
      id TEXT PRIMARY KEY,
      user_id TEXT NOT NULL,
      title TEXT NOT NULL,
      model_type TEXT NOT NULL,
      model_name TEXT NOT NULL,
      stored INTEGER NOT NULL,
      created_at INTEGER NOT NULL,
      drained_seq INTEGER NOT NULL,
      erased INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS messages (
      seq INTEGER PRIMARY KEY,
      id TEXT NOT NULL,
      parent_seq INTEGER,
      turn_id TEXT NOT NULL,
      role TEXT NOT NULL,
      content TEXT NOT NULL,
      status TEXT NOT NULL,
      tokens INTEGER NOT NULL,
      details TEXT NOT NULL,
      created_at INTEGER NOT NULL
    );
    CREATE TABLE IF NOT EXISTS turns (
      id TEXT PRIMARY KEY,
      state TEXT NOT NULL,
      command TEXT NOT NULL,
      started_at INTEGER NOT NULL,
      resumed INTEGER NOT NULL DEFAULT 0,
      cancel_requested INTEGER NOT NULL DEFAULT 0,
      cut_after INTEGER,
      approval TEXT,
      outcome TEXT,
      ended_at INTEGER
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS events (
      turn_id TEXT NOT NULL,
      first_id INTEGER NOT NULL,
      frames TEXT NOT NULL,
      PRIMARY KEY (turn_id, first_id)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS idempotency (
      key TEXT PRIMARY KEY,
      body_hash TEXT NOT NULL,
      turn_id TEXT,
      claimed_at INTEGER NOT NULL
    ) WITHOUT ROWID;
  `);
}
