/**
 * Where the Redis stand-in runs its commands: the engine in memory, or a real Redis over its own protocol.
 * State lives in the engine or in that Redis. Refuses an atomic batch as a whole if one command could never run.
 */
import { createClient, ErrorReply } from "redis";
import type { Reply } from "./args.ts";
import { createRedisEngine } from "./engine.ts";
import { RedisError } from "./keyspace.ts";

export type Outcome = { result: Reply } | { error: string };

export interface RedisBackend {
  /** One outcome a command, in order. Atomic: nothing else runs between, and `RedisError` when nothing ran at all. */
  run(commands: string[][], options: { atomic: boolean }): Promise<Outcome[]>;
  close(): Promise<void>;
}

const DISCARDED = "EXECABORT Transaction discarded because of previous errors.";

export function createMemoryBackend(options: { now: () => number }): RedisBackend {
  const engine = createRedisEngine(options);
  const attempt = (command: string[], run: (command: string[]) => Reply): Outcome => {
    try {
      return { result: run(command) };
    } catch (error) {
      if (error instanceof RedisError) return { error: error.message };
      throw error;
    }
  };
  const neverRuns = (command: string[]): boolean => "error" in attempt(command, () => (engine.check(command), null));

  return {
    run: async (commands, { atomic }) => {
      if (atomic && commands.some(neverRuns)) throw new RedisError(DISCARDED);
      return commands.map((command) => attempt(command, engine.run));
    },
    close: async () => undefined,
  };
}

/** Forwards to the Redis at `url` (redis://host:port/db). Throws when it cannot be reached at the start. */
export async function connectRedisBackend(url: string): Promise<RedisBackend> {
  const client = createClient({ url, RESP: 2, disableOfflineQueue: true });
  client.on("error", (error: unknown) => console.error("redis stand-in: the real Redis failed:", error));
  await client.connect();
  const send = (command: string[]): Promise<Outcome> =>
    client.sendCommand<unknown>(command).then((reply) => ({ result: toReply(reply) }), toOutcome);

  return {
    run: async (commands, { atomic }) => {
      if (!atomic) return Promise.all(commands.map(send));
      // Sent in one tick over one connection: nobody else's command comes between.
      const queued = [["MULTI"], ...commands].map(send);
      const executed = client.sendCommand<unknown>(["EXEC"]).catch((error: unknown) => {
        throw error instanceof ErrorReply ? new RedisError(error.message) : error;
      });
      const [replies] = await Promise.all([executed, ...queued]);
      if (!Array.isArray(replies)) throw new Error("redis stand-in: EXEC answered no list");
      return replies.map((reply: unknown) =>
        reply instanceof ErrorReply ? { error: reply.message } : { result: toReply(reply) },
      );
    },
    close: async () => client.destroy(),
  };
}

function toOutcome(error: unknown): Outcome {
  if (error instanceof ErrorReply) return { error: error.message };
  throw error;
}

/** A reply of protocol version 2: simple and bulk strings, integers, nil and lists of them. */
function toReply(reply: unknown): Reply {
  if (reply === null || typeof reply === "string" || typeof reply === "number") return reply;
  if (Array.isArray(reply)) return reply.map(toReply);
  throw new Error(`redis stand-in: unexpected reply of type ${typeof reply}`);
}
