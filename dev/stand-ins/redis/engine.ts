/**
 * An in-memory Redis: the commands BaseChat sends, with Redis's replies, errors and real expiry.
 * State lives in the keyspace of the instance; the clock is an argument. Refuses every other command by name.
 * One command runs at a time and to its end, so a batch run without a pause between is atomic.
 */
import { Args, wrongNumber, type Reply } from "./args.ts";
import { HASH_COMMANDS } from "./hashes.ts";
import { KEY_COMMANDS } from "./keys.ts";
import { Keyspace, RedisError } from "./keyspace.ts";
import { runScript, type ScriptCall } from "./script.ts";
import { SET_COMMANDS } from "./sets.ts";
import { SORTED_SET_COMMANDS } from "./sorted-sets.ts";
import { STRING_COMMANDS } from "./strings.ts";

export interface Command {
  /** Fewest and most arguments after the name. */
  min: number;
  max?: number;
  run(args: Args, keys: Keyspace): Reply;
}

export type CommandTable = Record<string, Command>;

export interface RedisEngine {
  /** Throws `RedisError` for a command that would never run, whatever the keys hold. */
  check(command: readonly string[]): void;
  /** Throws `RedisError` with the text of Redis's error reply. */
  run(command: readonly string[]): Reply;
}

export function createRedisEngine(options: { now: () => number }): RedisEngine {
  const keys = new Keyspace(options.now);
  const commands = new Map(
    Object.entries({ ...STRING_COMMANDS, ...KEY_COMMANDS, ...HASH_COMMANDS, ...SET_COMMANDS, ...SORTED_SET_COMMANDS }),
  );

  const find = ([name = "", ...args]: readonly string[]): Command => {
    const command = commands.get(name.toUpperCase());
    if (command === undefined) throw unknownCommand(name, args);
    if (args.length < command.min || args.length > (command.max ?? Infinity)) throw wrongNumber(name);
    return command;
  };

  const run = (command: readonly string[]): Reply => {
    const [name = "", ...args] = command;
    return find(command).run(new Args(name, args), keys);
  };
  commands.set("EVAL", { min: 2, run: (args) => runScript(readScript(args), run) });
  return { check: find, run };
}

function readScript(args: Args): ScriptCall {
  const source = args.text();
  const count = args.number();
  const given = args.rest();
  if (count < 0) throw new RedisError("ERR Number of keys can't be negative");
  if (count > given.length) throw new RedisError("ERR Number of keys can't be greater than number of args");
  return { source, keys: given.slice(0, count), args: given.slice(count) };
}

function unknownCommand(name: string, args: readonly string[]): RedisError {
  const shown = args.map((arg) => `'${arg}' `).join("");
  return new RedisError(`ERR unknown command '${name}', with args beginning with: ${shown}`.slice(0, 200));
}
