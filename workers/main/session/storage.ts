/**
 * The tables of a session's object (Durable Object SQLite). One object holds one session and is its only writer.
 * Rows are written sparingly, since each one is billed: a message row is its own outbox entry (see outbox.ts),
 * and the one secondary index holds the few messages alone at which a branch begins.
 */

/** Columns of the session that objects made before they were thought of get when they are next opened. */
const LATER_COLUMNS: Record<string, string> = {
  title_by: "TEXT NOT NULL DEFAULT 'words'",
  is_active: "INTEGER NOT NULL DEFAULT 1",
  changed_at: "INTEGER NOT NULL DEFAULT 0",
  drained_change: "INTEGER NOT NULL DEFAULT 0",
  held_at: "INTEGER NOT NULL DEFAULT 0",
  forgotten_seq: "INTEGER NOT NULL DEFAULT 0",
};
const BRANCHES = `CREATE INDEX IF NOT EXISTS branch_starts ON messages (seq, parent_seq)
  WHERE seq > 1 AND parent_seq IS NOT seq - 1`;

/** False for an object that nothing was ever written to: it is only asked about. */
export function hasTables(sql: SqlStorage): boolean {
  return hasTable(sql, "session");
}

/** Of one that not every session needs. */
export function hasTable(sql: SqlStorage, name: string): boolean {
  return sql.exec("SELECT 1 FROM sqlite_master WHERE name = ?", name).toArray().length > 0;
}

/** Once in an object's life: gives tables that are there what they lack. Writes nothing where nothing is missing. */
export function upgradeTables(sql: SqlStorage): void {
  const present = sql.exec<{ name: string }>("SELECT name FROM pragma_table_info('session')").toArray();
  if (present.length === 0) return;
  for (const [name, definition] of Object.entries(LATER_COLUMNS)) {
    if (present.every((column) => column.name !== name))
      sql.exec(`ALTER TABLE session ADD COLUMN ${name} ${definition}`);
  }
  const spent = sql.exec("SELECT 1 FROM pragma_table_info('events') WHERE name = 'spent'").toArray();
  if (spent.length === 0) sql.exec("ALTER TABLE events ADD COLUMN spent TEXT");
  sql.exec(BRANCHES);
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
      erased INTEGER NOT NULL DEFAULT 0,
      ${Object.entries(LATER_COLUMNS)
        .map(([name, definition]) => `${name} ${definition}`)
        .join(", ")}
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
    ${BRANCHES};
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
      spent TEXT,
      PRIMARY KEY (turn_id, first_id)
    ) WITHOUT ROWID;
  `);
}
