/**
 * Set commands of the in-memory Redis. State lives in the keyspace; an emptied set is gone.
 */
import type { CommandTable } from "./engine.ts";

export const SET_COMMANDS: CommandTable = {
  SADD: {
    min: 2,
    run: (args, keys) => {
      const set = keys.setToWrite(args.text());
      const before = set.size;
      for (const member of args.rest()) set.add(member);
      return set.size - before;
    },
  },
  SREM: {
    min: 2,
    run: (args, keys) => {
      const key = args.text();
      const set = keys.set(key);
      const removed = args.rest().filter((member) => set?.delete(member)).length;
      keys.removeIfEmpty(key);
      return removed;
    },
  },
  SMEMBERS: { min: 1, max: 1, run: (args, keys) => [...(keys.set(args.text()) ?? [])] },
  SCARD: { min: 1, max: 1, run: (args, keys) => keys.set(args.text())?.size ?? 0 },
  SISMEMBER: { min: 2, max: 2, run: (args, keys) => (keys.set(args.text())?.has(args.text()) === true ? 1 : 0) },
};
