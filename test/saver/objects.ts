/**
 * Fresh Durable Objects for the saver's tests, and a saver that may be called from outside of one: it forwards each call into
 * its object, since storage answers only there.
 */
/// <reference types="@cloudflare/vitest-plugin/types" />
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import type { RunnableConfig } from "@langchain/core/runnables";
import {
  BaseCheckpointSaver,
  type ChannelVersions,
  type Checkpoint,
  type CheckpointListOptions,
  type CheckpointMetadata,
  type CheckpointTuple,
  type PendingWrite,
} from "@langchain/langgraph-checkpoint";
import { SqliteSaver } from "../../workers/main/session/saver.ts";
import type { SaverObject } from "./worker.ts";

export type Inside = <T>(run: (saver: SqliteSaver, sql: SqlStorage) => T | Promise<T>) => Promise<T>;

/** A new object, as a function that runs a callback inside of it, each time with a new saver. */
export function newObject(): Inside {
  const { SAVERS } = env as { SAVERS: DurableObjectNamespace<SaverObject> }; // vitest.workerd.config.ts
  const stub = SAVERS.get(SAVERS.newUniqueId());
  return (run) =>
    runInDurableObject(stub, (_, { storage }) => run(new SqliteSaver(storage.sql, Math.random), storage.sql));
}

export class OutsideSaver extends BaseCheckpointSaver {
  readonly #inside = newObject();

  override getTuple(config: RunnableConfig): Promise<CheckpointTuple | undefined> {
    return this.#inside((saver) => saver.getTuple(config));
  }

  override async *list(config: RunnableConfig, options?: CheckpointListOptions): AsyncGenerator<CheckpointTuple> {
    yield* await this.#inside((saver) => collect(saver.list(config, options)));
  }

  override put(
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    newVersions: ChannelVersions,
  ): Promise<RunnableConfig> {
    return this.#inside((saver) => saver.put(config, checkpoint, metadata, newVersions));
  }

  override putWrites(config: RunnableConfig, writes: PendingWrite[], taskId: string, path?: string): Promise<void> {
    return this.#inside((saver) => saver.putWrites(config, writes, taskId, path));
  }

  override deleteThread(threadId: string): Promise<void> {
    return this.#inside((saver) => saver.deleteThread(threadId));
  }

  override getDeltaChannelHistory(options: { config: RunnableConfig; channels: string[] }) {
    return this.#inside((saver) => saver.getDeltaChannelHistory(options));
  }
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
