/** What LangGraph's suite does not ask of a saver: tables on demand, rows and their limits, graphs that go on, pruning. */
import { AsyncLocalStorage } from "node:async_hooks";
import { AsyncLocalStorageProviderSingleton } from "@langchain/core/singletons";
import { Annotation, Command, DeltaChannel, END, interrupt, START, StateGraph } from "@langchain/langgraph";
import { type BaseCheckpointSaver, type Checkpoint, emptyCheckpoint, uuid6 } from "@langchain/langgraph-checkpoint";
import { describe, expect, test } from "vitest";
import { SqliteSaver } from "../../workers/main/session/saver.ts";
import { collect, type Inside, newObject } from "./objects.ts";

// As in workers/main/chat/graph.ts: a Worker's build of LangGraph has no context storage of its own.
AsyncLocalStorageProviderSingleton.initializeGlobalInstance(new AsyncLocalStorage());

const METADATA = { source: "loop", step: 0, parents: {} } as const;
const TABLES = ["checkpoints", "checkpoint_values", "checkpoint_writes"];

const thread = (id: string) => ({ configurable: { thread_id: id } });

/** A checkpoint whose channels all have the version 1. */
function checkpointOf(values: Record<string, unknown>): Checkpoint {
  const versions = Object.fromEntries(Object.keys(values).map((channel) => [channel, 1]));
  return { ...emptyCheckpoint(), id: uuid6(0), channel_values: values, channel_versions: versions };
}

/** Asks for a color between two steps. */
function colorGraph(checkpointer: BaseCheckpointSaver) {
  return new StateGraph(Annotation.Root({ color: Annotation<string>, steps: Annotation<number> }))
    .addNode("first", () => ({ steps: 1 }))
    .addNode("ask", () => ({ color: String(interrupt("which color?")) }))
    .addNode("last", ({ steps }) => ({ steps: steps + 1 }))
    .addEdge(START, "first")
    .addEdge("first", "ask")
    .addEdge("ask", "last")
    .addEdge("last", END)
    .compile({ checkpointer });
}

/** Keeps a log as the writes of its steps; the whole value is stored at every fifth only. */
function logGraph(checkpointer: BaseCheckpointSaver) {
  const append = (log: string[], lines: string[]) => [...log, ...lines];
  const log = () => new DeltaChannel<string[], string>(append, { snapshotFrequency: 5 });
  return new StateGraph(Annotation.Root({ log }))
    .addNode("note", () => ({ log: "noted" }))
    .addEdge(START, "note")
    .addEdge("note", END)
    .compile({ checkpointer });
}

function tablesIn(inside: Inside): Promise<unknown[]> {
  const query = "SELECT name FROM sqlite_master WHERE name IN (SELECT value FROM json_each(?)) ORDER BY name";
  return inside((_, sql) => [...sql.exec(query, JSON.stringify(TABLES)).raw()].flat());
}

function rowsIn(inside: Inside): Promise<unknown> {
  const counts = TABLES.map((table) => `(SELECT count(*) FROM ${table}) AS ${table}`).join(", ");
  return inside((_, sql) => sql.exec(`SELECT ${counts}`).one());
}

/** The same storage, and the rows that are written through it. */
function counted(sql: SqlStorage): { sql: SqlStorage; rowsWritten: () => number } {
  const cursors: SqlStorageCursor<Record<string, SqlStorageValue>>[] = [];
  const exec = (query: string, ...bindings: unknown[]) => {
    const cursor = sql.exec(query, ...bindings);
    cursors.push(cursor);
    return cursor;
  };
  return {
    sql: { exec } as SqlStorage, // all that a saver calls
    rowsWritten: () => cursors.reduce((sum, cursor) => sum + cursor.rowsWritten, 0),
  };
}

describe("rows", () => {
  test("[SAVER-1] an object that never checkpoints has no tables", async () => {
    const inside = newObject();
    await inside(async (saver) => {
      expect(await saver.getTuple(thread("a"))).toBeUndefined();
      expect(await collect(saver.list({}))).toEqual([]);
      await saver.deleteThread("a");
      saver.prune("a");
    });
    expect(await tablesIn(inside)).toEqual([]);
    await inside((saver) => saver.put(thread("a"), emptyCheckpoint(), METADATA, {}));
    expect(await tablesIn(inside)).toEqual(TABLES.toSorted());
  });

  test("[SAVER-1] a put writes one row, and one for each value that changed", async () => {
    const rowsWritten = await newObject()(async (saver, sql) => {
      const first = checkpointOf({ same: "old", other: "old" });
      const config = await saver.put(thread("a"), first, METADATA, first.channel_versions);
      const second = checkpointOf({ same: "old", other: "new" });
      second.channel_versions["other"] = 2;
      const counting = counted(sql);
      const next = await new SqliteSaver(counting.sql, Math.random).put(config, second, METADATA, { other: 2 });
      expect((await saver.getTuple(next))?.checkpoint.channel_values).toEqual({ same: "old", other: "new" });
      return counting.rowsWritten();
    });
    expect(rowsWritten).toBe(2);
  });

  test("[SAVER-1] more channels and writes than a statement has parameters, of any name", async () => {
    const names = ["it's 100%_", "", ...Array.from({ length: 150 }, (_, index) => `channel ${index}`)];
    const checkpoint = checkpointOf(Object.fromEntries(names.map((name) => [name, `value of ${name}`])));
    const tuple = await newObject()(async (saver) => {
      const config = await saver.put(thread("it's a"), checkpoint, METADATA, checkpoint.channel_versions);
      const writes = names.map((name): [string, unknown] => [name, name]);
      await saver.putWrites(config, writes, "task");
      return saver.getTuple(config);
    });
    expect(tuple?.checkpoint).toEqual(checkpoint);
    expect(tuple?.pendingWrites).toEqual(names.map((name) => ["task", name, name]));
  });

  test("[SAVER-1] the largest value fits its row; a larger one is refused, and nothing is written", async () => {
    const inside = newObject();
    const fitting = checkpointOf({ small: 1, large: new Uint8Array(1_900_000).fill(7) });
    const tooLarge = checkpointOf({ small: 1, large: new Uint8Array(1_900_001) });
    await inside(async (saver) => {
      const put = saver.put(thread("a"), tooLarge, METADATA, tooLarge.channel_versions);
      await expect(put).rejects.toThrow("channel large takes 1900001 bytes; a checkpoint's row holds 1900000");
    });
    expect(await tablesIn(inside)).toEqual([]);
    await inside((saver) => saver.put(thread("a"), fitting, METADATA, fitting.channel_versions));
    const tuple = await inside((saver) => saver.getTuple(thread("a")));
    expect(tuple?.checkpoint).toEqual(fitting);
  });
});

describe("graphs", () => {
  test("[SAVER-1] an interrupted graph goes on from what is stored", async () => {
    const inside = newObject();
    await inside((saver) => colorGraph(saver).invoke({}, thread("a")));
    const end = await inside((saver) => colorGraph(saver).invoke(new Command({ resume: "red" }), thread("a")));
    expect(end).toEqual({ color: "red", steps: 2 });
  });

  test("[SAVER-1] two forks of a checkpoint keep their own values", async () => {
    await newObject()(async (saver) => {
      const graph = colorGraph(saver);
      await graph.invoke({}, thread("a"));
      const { config } = await graph.getState(thread("a"));
      const red = await graph.updateState(config, { color: "red" }, "ask");
      const blue = await graph.updateState(config, { color: "blue" }, "ask");
      expect((await graph.getState(red)).values).toEqual({ color: "red", steps: 1 });
      expect((await graph.getState(blue)).values).toEqual({ color: "blue", steps: 1 });
    });
  });
});

describe("prune", () => {
  test("[SAVER-2] the newest checkpoint of each namespace stays as it was, and other threads are left alone", async () => {
    const inside = newObject();
    const newest = ["", "child"].map((checkpoint_ns) => ({ configurable: { thread_id: "a", checkpoint_ns } }));
    const read = () => inside((saver) => Promise.all([...newest, thread("b")].map((config) => saver.getTuple(config))));
    await inside(async (saver) => {
      await colorGraph(saver).invoke({}, thread("a"));
      await colorGraph(saver).invoke(new Command({ resume: "red" }), thread("a"));
      await colorGraph(saver).invoke({}, thread("b"));
      const child = checkpointOf({ one: 1 });
      const config = await saver.put(newest[1] ?? {}, child, METADATA, child.channel_versions);
      await saver.put(config, { ...child, id: uuid6(1) }, METADATA, {});
      await saver.putWrites(config, [["one", 1]], "task");
    });
    const before = await read();
    const ofOthers = await inside((saver) => collect(saver.list(thread("b"))));
    await inside((saver) => saver.prune("a"));
    expect(await read()).toEqual(before);
    expect(await inside((saver) => collect(saver.list(thread("a"))))).toHaveLength(newest.length);
    expect(await inside((saver) => collect(saver.list(thread("b"))))).toEqual(ofOthers);
  });

  test("[SAVER-2] a thread that is pruned after every run does not grow", async () => {
    const inside = newObject();
    const run = async (input: object) => {
      await inside((saver) => colorGraph(saver).invoke(input, thread("a")));
      await inside((saver) => saver.prune("a"));
      return rowsIn(inside);
    };
    await run({});
    const first = await run(new Command({ resume: "red" }));
    expect(await inside((saver) => collect(saver.list(thread("a"))))).toHaveLength(1);
    await run({});
    expect(await run(new Command({ resume: "blue" }))).toEqual(first);
    expect((await inside((saver) => colorGraph(saver).getState(thread("a")))).values).toEqual({
      color: "blue",
      steps: 2,
    });
  });

  test("[SAVER-2] what a delta channel is rebuilt from stays", async () => {
    await newObject()(async (saver) => {
      const graph = logGraph(saver);
      const counts = [];
      for (const line of ["a", "b", "c", "d"]) {
        await graph.invoke({ log: line }, thread("a"));
        saver.prune("a");
        counts.push((await collect(saver.list(thread("a")))).length);
      }
      const { values } = await graph.getState(thread("a"));
      expect(values.log).toEqual(["a", "noted", "b", "noted", "c", "noted", "d", "noted"]);
      expect(Math.max(...counts)).toBeGreaterThan(1);
      expect(counts.at(-1)).toBeLessThan(Math.max(...counts));
    });
  });
});
