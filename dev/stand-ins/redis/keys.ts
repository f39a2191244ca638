/**
 * Commands on keys of any type and on the server itself. State lives in the keyspace.
 * SCAN pages for real, so a caller that ignores its cursor misses keys here as it would in production.
 */
import { parseInteger, syntaxError, type Args, type Reply } from "./args.ts";
import type { CommandTable } from "./engine.ts";
import { matchesGlob } from "./glob.ts";
import { RedisError, type Keyspace } from "./keyspace.ts";

export const KEY_COMMANDS: CommandTable = {
  DEL: { min: 1, run: (args, keys) => args.rest().filter((key) => keys.remove(key)).length },
  UNLINK: { min: 1, run: (args, keys) => args.rest().filter((key) => keys.remove(key)).length },
  EXISTS: { min: 1, run: (args, keys) => args.rest().filter((key) => keys.entry(key) !== undefined).length },
  TYPE: { min: 1, max: 1, run: (args, keys) => keys.entry(args.text())?.type ?? "none" },
  EXPIRE: { min: 2, run: (args, keys) => expire(args, keys, 1000) },
  PEXPIRE: { min: 2, run: (args, keys) => expire(args, keys, 1) },
  TTL: { min: 1, max: 1, run: (args, keys) => timeToLive(args, keys, 1000) },
  PTTL: { min: 1, max: 1, run: (args, keys) => timeToLive(args, keys, 1) },
  SCAN: { min: 1, run: scan },
  DBSIZE: { min: 0, max: 0, run: (_args, keys) => [...keys.live()].length },
  FLUSHDB: {
    min: 0,
    max: 1,
    run: (args, keys) => {
      args.options(["ASYNC", "SYNC"], () => undefined);
      keys.clear();
      return "OK";
    },
  },
  PING: { min: 0, max: 1, run: (args) => (args.done() ? "PONG" : args.text()) },
  TIME: {
    min: 0,
    max: 0,
    run: (_args, keys) => {
      const ms = keys.now();
      return [String(Math.floor(ms / 1000)), String(Math.floor((ms % 1000) * 1000))];
    },
  },
};

function expire(args: Args, keys: Keyspace, unitMs: number): Reply {
  const [key, amount] = [args.text(), args.number()];
  const flags = new Set<string>();
  args.options(["NX", "XX", "GT", "LT"], (flag) => flags.add(flag));
  if (flags.has("NX") && flags.size > 1) {
    throw new RedisError("ERR NX and XX, GT or LT options at the same time are not compatible");
  }
  if (flags.has("GT") && flags.has("LT"))
    throw new RedisError("ERR GT and LT options at the same time are not compatible");

  const entry = keys.entry(key);
  if (entry === undefined) return 0;
  const wanted = keys.now() + amount * unitMs;
  const current = entry.expiresAt ?? Infinity;
  if (flags.has("NX") && current !== Infinity) return 0;
  if (flags.has("XX") && current === Infinity) return 0;
  if (flags.has("GT") && wanted <= current) return 0;
  if (flags.has("LT") && wanted >= current) return 0;
  entry.expiresAt = wanted;
  return 1;
}

function timeToLive(args: Args, keys: Keyspace, unitMs: number): Reply {
  const entry = keys.entry(args.text());
  if (entry === undefined) return -2;
  if (entry.expiresAt === undefined) return -1;
  return Math.round((entry.expiresAt - keys.now()) / unitMs);
}

function scan(args: Args, keys: Keyspace): Reply {
  const after = Number(parseInteger(args.text()));
  let pattern = "*";
  let count = 10;
  let type: string | undefined;
  args.options(["MATCH", "COUNT", "TYPE"], (word) => {
    if (word === "MATCH") pattern = args.text();
    else if (word === "TYPE") type = args.text().toLowerCase();
    else count = args.number();
  });
  if (count < 1) throw syntaxError();

  const unseen = [...keys.live()]
    .filter(([, entry]) => entry.serial > after)
    .sort(([, a], [, b]) => a.serial - b.serial);
  const page = unseen.slice(0, count);
  const next = unseen.length > count ? (page.at(-1)?.[1].serial ?? 0) : 0;
  const found = page.filter(([key, entry]) => matchesGlob(pattern, key) && (type === undefined || entry.type === type));
  return [String(next), found.map(([key]) => key)];
}
