/**
 * The tables of the checkpoint saver (Durable Object SQLite). A checkpoint is one row, and so is each channel value that it
 * changed: later checkpoints find a value by its channel and version. Bytes are the serializer's; nothing here reads them.
 */

/** What tells a checkpoint: its thread, its namespace in there, its id. */
// Type aliases, all of them: a cursor's row needs the index signature that an interface lacks.
export type CheckpointKey = { thread_id: string; ns: string; id: string };
export type CheckpointRow = CheckpointKey & {
  parent_id: string | null;
  /** JSON: the channels that are rebuilt from the writes of earlier checkpoints. */
  delta_channels: string;
  type: string;
  body: ArrayBuffer;
};
export type ValueRow = { channel: string; type: string; value: ArrayBuffer };
export type WriteRow = ValueRow & { task_id: string };

/** What the serializer makes of a value. */
export type Dumped = readonly [type: string, bytes: Uint8Array];

export interface NewCheckpoint {
  key: CheckpointKey;
  parentId: string | undefined;
  /** The version of each channel, as text: SQLite need not read a number's last digit as JavaScript does. */
  versions: Record<string, string>;
  deltaChannels: string[];
  body: Dumped;
  /** Of the channels that changed. */
  values: { channel: string; version: string; dumped: Dumped }[];
}

export interface NewWrite {
  taskPath: string;
  taskId: string;
  /** Below zero: replaces the one before it. Others stay as they were first written. */
  index: number;
  channel: string;
  dumped: Dumped;
}

const TABLES = ["checkpoints", "checkpoint_values", "checkpoint_writes"];

export function hasTables(sql: SqlStorage): boolean {
  return sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'checkpoints'").toArray().length > 0;
}

export function insertCheckpoint(sql: SqlStorage, checkpoint: NewCheckpoint): void {
  const { key, parentId, versions, deltaChannels, body, values } = checkpoint;
  createTables(sql);
  // The values first: a checkpoint is never there without them.
  for (const { channel, version, dumped } of values) {
    sql.exec(
      `INSERT OR REPLACE INTO checkpoint_values (thread_id, ns, channel, version, type, value)
       VALUES (?, ?, ?, ?, ?, ?)`,
      ...[key.thread_id, key.ns, channel, version, ...dumped],
    );
  }
  sql.exec(
    `INSERT OR REPLACE INTO checkpoints (thread_id, ns, id, parent_id, versions, delta_channels, type, body)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    ...[key.thread_id, key.ns, key.id, parentId ?? null],
    ...[JSON.stringify(versions), JSON.stringify(deltaChannels), ...body],
  );
}

export function insertWrites(sql: SqlStorage, key: CheckpointKey, writes: NewWrite[]): void {
  createTables(sql);
  for (const { taskPath, taskId, index, channel, dumped } of writes) {
    sql.exec(
      `INSERT OR ${index < 0 ? "REPLACE" : "IGNORE"} INTO checkpoint_writes
         (thread_id, ns, id, task_path, task_id, idx, channel, type, value)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      ...[key.thread_id, key.ns, key.id, taskPath, taskId, index, channel, ...dumped],
    );
  }
}

/** Without an id the newest: ids rise with time. */
export function readCheckpoint(sql: SqlStorage, threadId: string, ns: string, id?: string): CheckpointRow | undefined {
  const [condition, ...bindings] = id === undefined ? [""] : ["AND id = ?", id];
  const query = `SELECT thread_id, ns, id, parent_id, delta_channels, type, body FROM checkpoints
    WHERE thread_id = ? AND ns = ? ${condition} ORDER BY id DESC LIMIT 1`;
  return sql.exec<CheckpointRow>(query, threadId, ns, ...bindings).toArray()[0];
}

/** The checkpoints that fit, newest first. What is undefined is not asked for. */
export function selectKeys(
  sql: SqlStorage,
  wanted: {
    threadId: string | undefined;
    ns: string | undefined;
    id: string | undefined;
    beforeId: string | undefined;
  },
): CheckpointKey[] {
  const { threadId, ns, id, beforeId } = wanted;
  const conditions = [
    { condition: "thread_id = ?", value: threadId },
    { condition: "ns = ?", value: ns },
    { condition: "id = ?", value: id },
    { condition: "id < ?", value: beforeId },
  ].filter(({ value }) => value !== undefined);
  const where = ["TRUE", ...conditions.map(({ condition }) => condition)].join(" AND ");
  const query = `SELECT thread_id, ns, id FROM checkpoints WHERE ${where} ORDER BY id DESC`;
  return sql.exec<CheckpointKey>(query, ...conditions.map(({ value }) => value)).toArray();
}

/** The values of a checkpoint's channels, at the versions it names. */
export function readValues(sql: SqlStorage, { thread_id, ns, id }: CheckpointKey): ValueRow[] {
  const query = `SELECT v.channel, v.type, v.value
    FROM checkpoints AS c CROSS JOIN json_each(c.versions) AS used CROSS JOIN checkpoint_values AS v
    WHERE c.thread_id = ? AND c.ns = ? AND c.id = ?
      AND v.thread_id = c.thread_id AND v.ns = c.ns AND v.channel = used.key AND v.version = used.value`;
  return sql.exec<ValueRow>(query, thread_id, ns, id).toArray();
}

/** In the order in which a run applies them: SQLite compares text by code point, as LangGraph does. */
export function readWrites(sql: SqlStorage, { thread_id, ns, id }: CheckpointKey): WriteRow[] {
  const query = `SELECT task_id, channel, type, value FROM checkpoint_writes
    WHERE thread_id = ? AND ns = ? AND id = ? ORDER BY task_path, task_id, idx`;
  return sql.exec<WriteRow>(query, thread_id, ns, id).toArray();
}

export function deleteCheckpoints(sql: SqlStorage, threadId: string): void {
  if (!hasTables(sql)) return;
  for (const table of TABLES) sql.exec(`DELETE FROM ${table} WHERE thread_id = ?`, threadId);
}

/** Keeps of each namespace of a thread the newest checkpoint and those that its delta channels are rebuilt from. */
export function pruneCheckpoints(sql: SqlStorage, threadId: string): void {
  if (!hasTables(sql)) return;
  const namespaces = sql.exec<{ ns: string }>("SELECT DISTINCT ns FROM checkpoints WHERE thread_id = ?", threadId);
  for (const { ns } of namespaces.toArray()) {
    const needed = neededIds(sql, threadId, ns);
    for (const table of ["checkpoints", "checkpoint_writes"]) {
      // Only older ones: a running graph may write for a checkpoint that is yet to be put.
      sql.exec(
        `DELETE FROM ${table}
         WHERE thread_id = ? AND ns = ? AND id < ? AND id NOT IN (SELECT value FROM json_each(?))`,
        ...[threadId, ns, needed[0], JSON.stringify(needed)],
      );
    }
  }
  sql.exec(
    `DELETE FROM checkpoint_values AS v WHERE v.thread_id = ? AND NOT EXISTS (
       SELECT 1 FROM checkpoints AS c, json_each(c.versions) AS used
       WHERE c.thread_id = v.thread_id AND c.ns = v.ns AND used.key = v.channel AND used.value = v.version)`,
    threadId,
  );
}

/** The newest checkpoint of a namespace first, then its ancestors back to a value of each of its delta channels. */
function neededIds(sql: SqlStorage, threadId: string, ns: string): string[] {
  const needed: string[] = [];
  let row = readCheckpoint(sql, threadId, ns);
  let missing = row ? (JSON.parse(row.delta_channels) as string[]) : []; // by insertCheckpoint
  while (row !== undefined) {
    needed.push(row.id);
    const stored = missing.length > 0 ? readValues(sql, row).map(({ channel }) => channel) : [];
    missing = missing.filter((channel) => !stored.includes(channel));
    row = missing.length > 0 && row.parent_id !== null ? readCheckpoint(sql, threadId, ns, row.parent_id) : undefined;
  }
  return needed;
}

/** Costs nothing on an object that has them. */
function createTables(sql: SqlStorage): void {
  sql.exec(`
    CREATE TABLE IF NOT EXISTS checkpoints (
      thread_id TEXT NOT NULL,
      ns TEXT NOT NULL,
      id TEXT NOT NULL,
      parent_id TEXT,
      versions TEXT NOT NULL,
      delta_channels TEXT NOT NULL,
      type TEXT NOT NULL,
      body BLOB NOT NULL,
      PRIMARY KEY (thread_id, ns, id)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS checkpoint_values (
      thread_id TEXT NOT NULL,
      ns TEXT NOT NULL,
      channel TEXT NOT NULL,
      version TEXT NOT NULL,
      type TEXT NOT NULL,
      value BLOB NOT NULL,
      PRIMARY KEY (thread_id, ns, channel, version)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS checkpoint_writes (
      thread_id TEXT NOT NULL,
      ns TEXT NOT NULL,
      id TEXT NOT NULL,
      task_path TEXT NOT NULL,
      task_id TEXT NOT NULL,
      idx INTEGER NOT NULL,
      channel TEXT NOT NULL,
      type TEXT NOT NULL,
      value BLOB NOT NULL,
      PRIMARY KEY (thread_id, ns, id, task_id, idx)
    ) WITHOUT ROWID;
  `);
}
