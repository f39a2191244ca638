/**
 * LangGraph's checkpoint saver over a Durable Object's SQLite. State: the tables of checkpoints.ts, made by the first put;
 * nothing stays in memory. Refuses what does not fit a row. A thread grows until it is pruned.
 */
import type { RunnableConfig } from "@langchain/core/runnables";
// The copy that LangGraph brings: a second one would not know its values for what they are.
import {
  BaseCheckpointSaver,
  type ChannelVersions,
  type Checkpoint,
  type CheckpointListOptions,
  type CheckpointMetadata,
  type CheckpointPendingWrite,
  type CheckpointTuple,
  getCheckpointId,
  maxChannelVersion,
  type PendingWrite,
  type SerializerProtocol,
  TASKS,
  WRITES_IDX_MAP,
} from "@langchain/langgraph-checkpoint";
import {
  type CheckpointKey,
  type CheckpointRow,
  deleteCheckpoints,
  type Dumped,
  hasTables,
  insertCheckpoint,
  insertWrites,
  pruneCheckpoints,
  readCheckpoint,
  readValues,
  readWrites,
  selectKeys,
} from "./checkpoints.ts";

/** A row of a Durable Object's SQLite holds 2 MB; what is left is for its keys. */
const MAX_VALUE_BYTES = 1_900_000;

/** What a checkpoint's `body` holds: all but the values of its channels. */
interface Body {
  checkpoint: Omit<Checkpoint, "channel_values">;
  metadata: CheckpointMetadata;
}

export class SqliteSaver extends BaseCheckpointSaver {
  readonly #sql: SqlStorage;
  readonly #random: () => number;

  /** `random`: 0 <= x < 1 */
  constructor(sql: SqlStorage, random: () => number, serde?: SerializerProtocol) {
    super(serde);
    this.#sql = sql;
    this.#random = random;
  }

  /** Versions have a random fraction: two forks of a checkpoint count from the same number, and their values must not meet. */
  override getNextVersion(current: number | undefined): number {
    return Math.floor(current ?? 0) + 1 + this.#random();
  }

  /** The checkpoint that `config` names, or the newest of its namespace. */
  override async getTuple(config: RunnableConfig): Promise<CheckpointTuple | undefined> {
    const threadId = textIn(config, "thread_id");
    if (threadId === undefined || !hasTables(this.#sql)) return undefined;
    const row = readCheckpoint(this.#sql, threadId, namespaceIn(config), idIn(config));
    return row && this.#toTuple(row);
  }

  /** Newest first. A checkpoint that is deleted while the caller reads is left out. */
  override async *list(config: RunnableConfig, options: CheckpointListOptions = {}): AsyncGenerator<CheckpointTuple> {
    const { limit = Infinity, before, filter = {} } = options;
    if (limit <= 0 || !hasTables(this.#sql)) return;
    const keys = selectKeys(this.#sql, {
      threadId: textIn(config, "thread_id"),
      ns: textIn(config, "checkpoint_ns"),
      id: idIn(config),
      beforeId: before && idIn(before),
    });
    let found = 0;
    for (const { thread_id, ns, id } of keys) {
      const row = readCheckpoint(this.#sql, thread_id, ns, id);
      const tuple = row && (await this.#toTuple(row));
      if (tuple === undefined || !hasMetadata(tuple, filter)) continue;
      yield tuple;
      found += 1;
      if (found >= limit) return;
    }
  }

  /** Stores a checkpoint and the channel values that `newVersions` names; an earlier one has stored the others. */
  override async put(
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    newVersions: ChannelVersions,
  ): Promise<RunnableConfig> {
    const key = { thread_id: requiredIn(config, "thread_id"), ns: namespaceIn(config), id: checkpoint.id };
    const { channel_values: channels, ...rest } = checkpoint;
    const changed = Object.entries(newVersions).filter(([channel]) => Object.hasOwn(channels, channel));
    const [body, values] = await Promise.all([
      this.#dump("the checkpoint itself", { checkpoint: rest, metadata } satisfies Body),
      Promise.all(
        changed.map(async ([channel, version]) => {
          const dumped = await this.#dump(`channel ${channel}`, channels[channel]);
          return { channel, version: String(version), dumped };
        }),
      ),
    ]);
    // Nothing is awaited in here: the object's storage makes all rows durable at once.
    insertCheckpoint(this.#sql, {
      ...{ key, parentId: idIn(config), body, values },
      versions: Object.fromEntries(Object.entries(checkpoint.channel_versions).map(([name, v]) => [name, String(v)])),
      deltaChannels: Object.keys(metadata.counters_since_delta_snapshot ?? {}),
    });
    return toConfig(key);
  }

  /** A write that is there already stays; an error, an interrupt or a resume value replaces the one before it. */
  override async putWrites(
    config: RunnableConfig,
    writes: PendingWrite[],
    taskId: string,
    taskPath = "",
  ): Promise<void> {
    const id = requiredIn(config, "checkpoint_id");
    const key = { thread_id: requiredIn(config, "thread_id"), ns: namespaceIn(config), id };
    const rows = writes.map(async ([channel, value], position) => {
      const dumped = await this.#dump(`a write to ${channel}`, value);
      return { taskPath, taskId, index: WRITES_IDX_MAP[channel] ?? position, channel, dumped };
    });
    insertWrites(this.#sql, key, await Promise.all(rows));
  }

  override async deleteThread(threadId: string): Promise<void> {
    deleteCheckpoints(this.#sql, threadId);
  }

  /** Forgets the history of a thread: what its newest checkpoints need stays, so a graph still goes on from there. */
  prune(threadId: string): void {
    pruneCheckpoints(this.#sql, threadId);
  }

  async #toTuple(row: CheckpointRow): Promise<CheckpointTuple> {
    // Both are read before anything is awaited: they show one state.
    const [values, writes] = [readValues(this.#sql, row), readWrites(this.#sql, row)];
    const { checkpoint, metadata } = (await this.#load(row.type, row.body)) as Body; // written by put
    const channels = values.map(async (value) => [value.channel, await this.#load(value.type, value.value)] as const);
    const pending = writes.map(async (write): Promise<CheckpointPendingWrite> => {
      return [write.task_id, write.channel, await this.#load(write.type, write.value)];
    });
    const tuple: CheckpointTuple = {
      config: toConfig(row),
      checkpoint: { ...checkpoint, channel_values: Object.fromEntries(await Promise.all(channels)) },
      metadata,
      pendingWrites: await Promise.all(pending),
    };
    if (row.parent_id === null) return tuple;
    const parent = { ...row, id: row.parent_id };
    if (checkpoint.v < 4) await this.#addSends(tuple.checkpoint, parent);
    return { ...tuple, parentConfig: toConfig(parent) };
  }

  /** Before version 4 the tasks that a step sent were in no channel: they are read from the parent's writes. */
  async #addSends(checkpoint: Checkpoint, parent: CheckpointKey): Promise<void> {
    const sends = readWrites(this.#sql, parent).filter(({ channel }) => channel === TASKS);
    const versions = Object.values(checkpoint.channel_versions);
    checkpoint.channel_values[TASKS] = await Promise.all(sends.map(({ type, value }) => this.#load(type, value)));
    checkpoint.channel_versions[TASKS] =
      versions.length > 0 ? maxChannelVersion(...versions) : this.getNextVersion(undefined);
  }

  async #dump(name: string, value: unknown): Promise<Dumped> {
    const [type, bytes] = await this.serde.dumpsTyped(value);
    if (bytes.byteLength > MAX_VALUE_BYTES) {
      throw new RangeError(`${name} takes ${bytes.byteLength} bytes; a checkpoint's row holds ${MAX_VALUE_BYTES}`);
    }
    return [type, bytes];
  }

  async #load(type: string, bytes: ArrayBuffer): Promise<unknown> {
    return this.serde.loadsTyped(type, new Uint8Array(bytes));
  }
}

function toConfig({ thread_id, ns, id }: CheckpointKey): RunnableConfig {
  return { configurable: { thread_id, checkpoint_ns: ns, checkpoint_id: id } };
}

function textIn(config: RunnableConfig, name: string): string | undefined {
  const value: unknown = config.configurable?.[name] ?? undefined;
  if (value === undefined || typeof value === "string") return value;
  throw new TypeError(`a checkpoint's ${name} is a string`);
}

function requiredIn(config: RunnableConfig, name: string): string {
  const value = textIn(config, name);
  if (value === undefined || value === "") throw new TypeError(`a checkpoint cannot be stored without ${name}`);
  return value;
}

function namespaceIn(config: RunnableConfig): string {
  return textIn(config, "checkpoint_ns") ?? "";
}

function idIn(config: RunnableConfig): string | undefined {
  return getCheckpointId(config) || undefined;
}

function hasMetadata({ metadata }: CheckpointTuple, filter: Record<string, unknown>): boolean {
  const found = new Map<string, unknown>(Object.entries(metadata ?? {}));
  return Object.entries(filter).every(([key, value]) => JSON.stringify(found.get(key)) === JSON.stringify(value));
}
