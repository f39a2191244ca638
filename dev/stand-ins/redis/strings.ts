/**
 * String commands of the in-memory Redis. State lives in the keyspace.
 * Counters are 64-bit as in Redis; INCR and its kin keep a key's expiry, SET drops it unless told KEEPTTL.
 */
import { addIntegers, parseInteger, syntaxError, type Args, type Reply } from "./args.ts";
import type { CommandTable } from "./engine.ts";
import { RedisError, type Keyspace } from "./keyspace.ts";

export const STRING_COMMANDS: CommandTable = {
  GET: { min: 1, max: 1, run: (args, keys) => keys.string(args.text()) ?? null },
  SET: { min: 2, run: set },
  SETEX: {
    min: 3,
    max: 3,
    run: (args, keys) => {
      const [key, expiresAt] = [args.text(), expiry("EX", args, keys)];
      keys.putString(key, args.text(), expiresAt);
      return "OK";
    },
  },
  MGET: { min: 1, run: (args, keys) => args.rest().map((key) => textOrNull(key, keys)) },
  MSET: {
    min: 2,
    run: (args, keys) => {
      for (const [key, value] of args.pairs()) keys.putString(key, value);
      return "OK";
    },
  },
  STRLEN: { min: 1, max: 1, run: (args, keys) => Buffer.byteLength(keys.string(args.text()) ?? "") },
  INCR: { min: 1, max: 1, run: (args, keys) => add(keys, args.text(), 1n) },
  DECR: { min: 1, max: 1, run: (args, keys) => add(keys, args.text(), -1n) },
  INCRBY: { min: 2, max: 2, run: (args, keys) => add(keys, args.text(), args.integer()) },
  DECRBY: { min: 2, max: 2, run: (args, keys) => add(keys, args.text(), -args.integer()) },
};

function set(args: Args, keys: Keyspace): Reply {
  const [key, value] = [args.text(), args.text()];
  let expiresAt: number | undefined;
  let condition: "NX" | "XX" | undefined;
  let returnOld = false;
  let lifetime: string | undefined;

  args.options(["EX", "PX", "EXAT", "PXAT", "KEEPTTL", "NX", "XX", "GET"], (word) => {
    if (word === "GET") returnOld = true;
    else if (word === "NX" || word === "XX") {
      if (condition !== undefined && condition !== word) throw syntaxError();
      condition = word;
    } else {
      if (lifetime !== undefined) throw syntaxError();
      lifetime = word;
      expiresAt = word === "KEEPTTL" ? keys.entry(key)?.expiresAt : expiry(word, args, keys);
    }
  });

  const existed = keys.entry(key) !== undefined;
  const old = returnOld ? (keys.string(key) ?? null) : null;
  if (condition === (existed ? "NX" : "XX")) return old;
  keys.putString(key, value, expiresAt);
  return returnOld ? old : "OK";
}

/** The moment that an EX, PX, EXAT or PXAT argument names. */
function expiry(unit: "EX" | "PX" | "EXAT" | "PXAT", args: Args, keys: Keyspace): number {
  const amount = args.number();
  if (amount <= 0) throw new RedisError(`ERR invalid expire time in '${args.name.toLowerCase()}' command`);
  const ms = unit.startsWith("EX") ? amount * 1000 : amount;
  return unit.endsWith("AT") ? ms : keys.now() + ms;
}

function add(keys: Keyspace, key: string, by: bigint): number {
  const sum = addIntegers(parseInteger(keys.string(key) ?? "0"), by);
  keys.putString(key, String(sum), keys.entry(key)?.expiresAt);
  return Number(sum);
}

/** MGET answers null for a key of another type. */
function textOrNull(key: string, keys: Keyspace): string | null {
  const entry = keys.entry(key);
  return entry?.type === "string" ? entry.value : null;
}
