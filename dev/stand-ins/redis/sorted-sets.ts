/**
 * Sorted-set commands of the in-memory Redis. State lives in the keyspace; members are put in order when asked for.
 * Order: score, then member. Refuses BYLEX and GT/LT together with NX, as options nobody here sends or Redis refuses too.
 */
import { formatFloat, parseFloatStrictly, syntaxError, type Args, type Reply } from "./args.ts";
import type { CommandTable } from "./engine.ts";
import { RedisError, type Keyspace } from "./keyspace.ts";

export const SORTED_SET_COMMANDS: CommandTable = {
  ZADD: { min: 3, run: add },
  ZINCRBY: {
    min: 3,
    max: 3,
    run: (args, keys) => {
      const [key, by, member] = [args.text(), args.float(), args.text()];
      const set = keys.sortedSetToWrite(key);
      const score = (set.get(member) ?? 0) + by;
      set.set(member, score);
      return formatFloat(score);
    },
  },
  ZREM: { min: 2, run: (args, keys) => removeMembers(keys, args.text(), args.rest()) },
  ZCARD: { min: 1, max: 1, run: (args, keys) => keys.sortedSet(args.text())?.size ?? 0 },
  ZSCORE: {
    min: 2,
    max: 2,
    run: (args, keys) => {
      const score = keys.sortedSet(args.text())?.get(args.text());
      return score === undefined ? null : formatFloat(score);
    },
  },
  ZRANGE: { min: 3, run: range },
  ZRANGEBYSCORE: { min: 3, run: rangeByScore },
  ZREMRANGEBYSCORE: {
    min: 3,
    max: 3,
    run: (args, keys) => {
      const [key, inside] = [args.text(), interval(args.text(), args.text())];
      return removeMembers(
        keys,
        key,
        [...(keys.sortedSet(key) ?? [])].filter(([, score]) => inside(score)).map(([member]) => member),
      );
    },
  },
  ZREMRANGEBYRANK: {
    min: 3,
    max: 3,
    run: (args, keys) => {
      const key = args.text();
      const members = ordered(keys, key).map(([member]) => member);
      return removeMembers(keys, key, sliceByRank(members, args.number(), args.number()));
    },
  },
};

function add(args: Args, keys: Keyspace): Reply {
  const key = args.text();
  const flags = new Set<string>();
  for (let flag = args.word("NX", "XX", "GT", "LT", "CH", "INCR"); flag !== undefined;) {
    flags.add(flag);
    flag = args.word("NX", "XX", "GT", "LT", "CH", "INCR");
  }
  const given = args.rest();
  if (given.length === 0 || given.length % 2 !== 0) throw syntaxError();
  if (flags.has("NX") && flags.has("XX"))
    throw new RedisError("ERR XX and NX options at the same time are not compatible");
  if ((flags.has("GT") && (flags.has("LT") || flags.has("NX"))) || (flags.has("LT") && flags.has("NX"))) {
    throw new RedisError("ERR GT, LT, and/or NX options at the same time are not compatible");
  }
  if (flags.has("INCR") && given.length !== 2)
    throw new RedisError("ERR INCR option supports a single increment-element pair");
  const pairs: [number, string][] = [];
  for (let at = 0; at < given.length; at += 2) pairs.push([parseFloatStrictly(given[at] ?? ""), given[at + 1] ?? ""]);

  const set = keys.sortedSetToWrite(key);
  let added = 0;
  let changed = 0;
  let last: number | undefined;
  for (const [amount, member] of pairs) {
    const old = set.get(member);
    const score = flags.has("INCR") ? (old ?? 0) + amount : amount;
    const refused =
      (flags.has("NX") && old !== undefined) ||
      (flags.has("XX") && old === undefined) ||
      (old !== undefined && ((flags.has("GT") && score <= old) || (flags.has("LT") && score >= old)));
    if (refused) continue;
    if (old === undefined) added += 1;
    else if (old !== score) changed += 1;
    set.set(member, score);
    last = score;
  }
  keys.removeIfEmpty(key);
  if (flags.has("INCR")) return last === undefined ? null : formatFloat(last);
  return flags.has("CH") ? added + changed : added;
}

interface RangeOptions {
  byScore: boolean;
  reversed: boolean;
  withScores: boolean;
  limit?: { offset: number; count: number };
}

function range(args: Args, keys: Keyspace): Reply {
  const [key, from, to] = [args.text(), args.text(), args.text()];
  const options: RangeOptions = { byScore: false, reversed: false, withScores: false };
  args.options(["BYSCORE", "REV", "LIMIT", "WITHSCORES"], (word) => {
    if (word === "BYSCORE") options.byScore = true;
    else if (word === "REV") options.reversed = true;
    else if (word === "WITHSCORES") options.withScores = true;
    else options.limit = { offset: args.number(), count: args.number() };
  });
  if (options.limit !== undefined && !options.byScore) {
    throw new RedisError("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX");
  }

  let members = ordered(keys, key);
  if (options.reversed) members.reverse();
  if (options.byScore) {
    const inside = options.reversed ? interval(to, from) : interval(from, to);
    members = limited(
      members.filter(([, score]) => inside(score)),
      options,
    );
  } else {
    members = sliceByRank(members, parseRank(from), parseRank(to));
  }
  return shown(members, options);
}

function rangeByScore(args: Args, keys: Keyspace): Reply {
  const [key, inside] = [args.text(), interval(args.text(), args.text())];
  const options: RangeOptions = { byScore: true, reversed: false, withScores: false };
  args.options(["WITHSCORES", "LIMIT"], (word) => {
    if (word === "WITHSCORES") options.withScores = true;
    else options.limit = { offset: args.number(), count: args.number() };
  });
  return shown(
    limited(
      ordered(keys, key).filter(([, score]) => inside(score)),
      options,
    ),
    options,
  );
}

function ordered(keys: Keyspace, key: string): [string, number][] {
  return [...(keys.sortedSet(key) ?? [])].sort(([a, scoreA], [b, scoreB]) => scoreA - scoreB || (a < b ? -1 : 1));
}

function limited<T>(members: T[], { limit }: RangeOptions): T[] {
  if (limit === undefined) return members;
  if (limit.offset < 0) return [];
  return members.slice(limit.offset, limit.count < 0 ? undefined : limit.offset + limit.count);
}

function shown(members: [string, number][], { withScores }: RangeOptions): Reply {
  return members.flatMap(([member, score]) => (withScores ? [member, formatFloat(score)] : [member]));
}

function interval(min: string, max: string): (score: number) => boolean {
  const bound = (text: string): [number, boolean] => {
    const open = text.startsWith("(");
    return [parseFloatStrictly(open ? text.slice(1) : text, "ERR min or max is not a float"), open];
  };
  const [[low, lowOpen], [high, highOpen]] = [bound(min), bound(max)];
  return (score) => (lowOpen ? score > low : score >= low) && (highOpen ? score < high : score <= high);
}

function parseRank(text: string): number {
  if (!/^-?\d{1,18}$/.test(text)) throw new RedisError("ERR value is not an integer or out of range");
  return Number(text);
}

/** Ranks count from 0, or from the end when negative; both ends belong to the range. */
function sliceByRank<T>(members: T[], from: number, to: number): T[] {
  const at = (rank: number): number => (rank < 0 ? members.length + rank : rank);
  return members.slice(Math.max(0, at(from)), Math.max(0, at(to) + 1));
}

function removeMembers(keys: Keyspace, key: string, members: string[]): number {
  const set = keys.sortedSet(key);
  const removed = members.filter((member) => set?.delete(member)).length;
  keys.removeIfEmpty(key);
  return removed;
}
