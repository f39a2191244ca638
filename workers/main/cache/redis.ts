/**
 * STORE: Upstash Redis over REST. The only file that knows it. No retries and a bounded time: the cache may only ever save time.
 * Failures are values without the vendor's text, which can hold the command and its value.
 */
import { Redis } from "@upstash/redis";
import { fail, ok, type Result } from "../../../contracts/errors.ts";

const WRITE_TIMEOUT_MS = 2_000;

export interface RedisStore {
  /** One round trip, one command. */
  getMany(keys: string[]): Promise<Result<(string | null)[]>>;
  /** One round trip, one command: a Lua script that answers with a number, or with numbers and texts in lists. */
  run(script: string, args: string[], timeoutMs?: number): Promise<Result<unknown>>;
  ping(): Promise<Result<void>>;
}

export interface RedisOptions {
  url: string;
  token: string;
  /** A turn waits for a read. */
  readTimeoutMs: number;
}

export function createRedisStore(options: RedisOptions): RedisStore {
  const { readTimeoutMs } = options;
  let timeoutMs = readTimeoutMs;
  let redis: Redis | undefined;
  const connect = (): Redis =>
    new Redis({
      url: options.url,
      token: options.token,
      // `retry: false` still sends twice.
      retry: { retries: 0 },
      readYourWrites: false,
      automaticDeserialization: false,
      // What is stored is JSON text: nothing in it needs another coding on the wire.
      responseEncoding: false,
      enableAutoPipelining: false,
      enableTelemetry: false,
      // A function: a signal made once would fire at its own time, and a fired one resolves to an invented value.
      signal: () => AbortSignal.timeout(timeoutMs),
    });
  /**
   * A command's signal is made as it is called, before anything is awaited, so one client does. It is made of some 200 functions: with the
   * first command, since an object that is handed what it would read needs none before its reply.
   */
  const within = (ms: number): Redis => {
    timeoutMs = ms;
    return (redis ??= connect());
  };

  return {
    getMany: (keys) =>
      attempt(async () => {
        const values: unknown = await within(readTimeoutMs).mget(...keys);
        // An aborted request resolves with an object in place of the list.
        if (!Array.isArray(values) || values.length !== keys.length) throw new Error("not a list of the asked length");
        return values.map((value: unknown) => (typeof value === "string" ? value : null));
      }),
    run: (script, args, writeTimeoutMs = WRITE_TIMEOUT_MS) =>
      attempt(async () => {
        const reply: unknown = await within(writeTimeoutMs).eval(script, [], args);
        if (typeof reply !== "number" && !Array.isArray(reply)) throw new Error("not what a script answers with");
        return reply;
      }),
    ping: () =>
      attempt(async () => {
        if ((await within(readTimeoutMs).ping()) !== "PONG") throw new Error("no PONG");
      }),
  };
}

async function attempt<T>(work: () => Promise<T>): Promise<Result<T>> {
  try {
    return ok(await work());
  } catch {
    return fail("upstream_error", "the cache store did not answer");
  }
}
