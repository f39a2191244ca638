/**
 * The faults of the Redis stand-in: before a command runs (the server is sick) and around one (Redis is full). Pure
 * but for the reply they write. `down` belongs to serve.ts; `refuse` is the same without cutting the calls in flight.
 */
import type { ServerResponse } from "node:http";
import type { Outcome, RedisBackend } from "./backend.ts";
import { replyJson, type StandInCall } from "../serve.ts";

export const REDIS_MODES = ["refuse", "500", "401", "blackhole", "slow", "max_requests", "oom", "huge"] as const;

const SLOW_MS = 3_000;
const HUGE_BYTES = 10_000_000;

/** Commands that Redis refuses when it is out of memory: those that can grow it. */
const GROWING = new Set([
  "SET",
  "SETEX",
  "MSET",
  "INCR",
  "INCRBY",
  "DECR",
  "DECRBY",
  "HSET",
  "HINCRBY",
  "SADD",
  "ZADD",
  "ZINCRBY",
  "EVAL",
]);

/** True when the fault has answered, or never will, and no command may run. */
export async function failedWhole(response: ServerResponse, call: StandInCall): Promise<boolean> {
  switch (call.mode) {
    case "refuse":
      call.hangUp("reset");
      return true;
    case "500":
      response
        .writeHead(500, { "content-type": "text/html" })
        .end("<html><body><h1>500 Internal Server Error</h1></body></html>");
      return true;
    case "401":
      replyJson(response, 401, { error: "WRONGPASS invalid or missing auth token" });
      return true;
    case "blackhole":
      return true;
    case "slow":
      await call.wait(SLOW_MS);
      return false;
    default:
      return false;
  }
}

/** The backend with the faults of single commands: each keeps its place in the list of outcomes. */
export function withCommandFaults(backend: RedisBackend, mode: string): RedisBackend {
  const refusal = (command: string[]): Outcome | undefined => {
    const name = command[0]?.toUpperCase() ?? "";
    if (mode === "max_requests") return { error: "ERR max requests limit exceeded. Limit: 500000, Usage: 500000." };
    if (mode === "oom" && GROWING.has(name))
      return { error: "OOM command not allowed when used memory > 'maxmemory'." };
    if (mode === "huge" && name === "GET") return { result: "x".repeat(HUGE_BYTES) };
    if (mode === "huge" && name === "MGET") return { result: command.slice(1).map(() => "x".repeat(HUGE_BYTES)) };
    return undefined;
  };
  return {
    ...backend,
    run: async (commands, options) => {
      const refused = commands.map(refusal);
      const ran = await backend.run(
        commands.filter((_command, at) => refused[at] === undefined),
        options,
      );
      return refused.map((outcome) => outcome ?? ran.shift() ?? { error: "ERR no outcome" });
    },
  };
}
