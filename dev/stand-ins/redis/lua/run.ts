/**
 * EVAL of the in-memory Redis: runs a Lua script against the engine, as one command. State lives in the engine.
 * Of Lua it knows what statements.ts and expressions.ts say, and of libraries redis.call, cjson.decode, tonumber and tostring.
 */
import type { Reply } from "../args.ts";
import { Scope } from "./expressions.ts";
import type { Script } from "./statements.ts";
import {
  fromReply,
  LuaTable,
  type LuaFunction,
  type LuaValue,
  scriptError,
  tableOf,
  toReply,
  toText,
  typeName,
} from "./values.ts";

export interface ScriptCall {
  script: Script;
  keys: string[];
  args: string[];
}

/** `run` is one command of the engine; its errors end the script, and what ran before stays done, as in Redis. */
export function runScript({ script, keys, args }: ScriptCall, run: (command: string[]) => Reply): Reply {
  const globals = new Scope();
  globals.declare("KEYS", tableOf(keys));
  globals.declare("ARGV", tableOf(args));
  globals.declare("redis", library({ call: (command) => fromReply(run(command.map(toText))) }));
  globals.declare("cjson", library({ decode: ([text]) => fromJson(parseJson(toText(text))) }));
  globals.declare("tostring", ([value]) => (typeof value === "boolean" ? String(value) : toText(value)));
  globals.declare("tonumber", ([value]) => {
    const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
    return typeof number === "number" && !Number.isNaN(number) ? number : undefined;
  });
  return toReply(script(globals));
}

function library(functions: Record<string, LuaFunction>): LuaTable {
  const table = new LuaTable();
  for (const [name, work] of Object.entries(functions)) table.set(name, work);
  return table;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw scriptError("cjson: invalid JSON");
  }
}

function fromJson(value: unknown): LuaValue {
  if (Array.isArray(value)) return tableOf(value.map(fromJson));
  if (typeof value === "object" && value !== null) {
    const table = new LuaTable();
    for (const [name, inside] of Object.entries(value)) table.set(name, fromJson(inside));
    return table;
  }
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return value;
  throw scriptError(`cjson: ${typeName(undefined)} is not known here`);
}
