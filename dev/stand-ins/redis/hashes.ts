/**
 * Hash commands of the in-memory Redis. State lives in the keyspace.
 * Replies are flat lists, as on Redis's own wire before version 3 of its protocol.
 */
import { addIntegers, parseInteger } from "./args.ts";
import type { CommandTable } from "./engine.ts";
import { RedisError } from "./keyspace.ts";

export const HASH_COMMANDS: CommandTable = {
  HSET: {
    min: 3,
    run: (args, keys) => {
      const key = args.text();
      const pairs = args.pairs();
      const hash = keys.hashToWrite(key);
      const before = hash.size;
      for (const [field, value] of pairs) hash.set(field, value);
      return hash.size - before;
    },
  },
  HGET: { min: 2, max: 2, run: (args, keys) => keys.hash(args.text())?.get(args.text()) ?? null },
  HMGET: {
    min: 2,
    run: (args, keys) => {
      const hash = keys.hash(args.text());
      return args.rest().map((field) => hash?.get(field) ?? null);
    },
  },
  HGETALL: { min: 1, max: 1, run: (args, keys) => [...(keys.hash(args.text()) ?? [])].flat() },
  HLEN: { min: 1, max: 1, run: (args, keys) => keys.hash(args.text())?.size ?? 0 },
  HDEL: {
    min: 2,
    run: (args, keys) => {
      const key = args.text();
      const hash = keys.hash(key);
      const removed = args.rest().filter((field) => hash?.delete(field)).length;
      keys.removeIfEmpty(key);
      return removed;
    },
  },
  HINCRBY: {
    min: 3,
    max: 3,
    run: (args, keys) => {
      const [key, field, by] = [args.text(), args.text(), args.integer()];
      const sum = addIntegers(hashInteger(keys.hash(key)?.get(field)), by);
      keys.hashToWrite(key).set(field, String(sum));
      return Number(sum);
    },
  },
};

function hashInteger(text: string | undefined): bigint {
  try {
    return parseInteger(text ?? "0");
  } catch {
    throw new RedisError("ERR hash value is not an integer");
  }
}
