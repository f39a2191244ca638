/**
 * EVAL of the in-memory Redis: real Lua (wasmoon) in the environment that sandbox.lua makes for each script. Keeps nothing from one
 * script to the next. Refuses what Lua 5.4 knows and Redis's 5.1 does not, and values that would not come through to Lua unharmed.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { LuaFactory, LuaLibraries } from "wasmoon";
import type { Reply } from "./args.ts";
import { RedisError } from "./keyspace.ts";

export interface ScriptCall {
  source: string;
  keys: string[];
  args: string[];
}

type Send = (command: string[]) => Reply;

/** The commands that answer with a status, which a script sees as a table. */
const ANSWER_STATUS = new Set(["SET", "SETEX", "MSET", "FLUSHDB", "PING", "TYPE"]);
const TEXTS_AND_COMMENTS = /--\[\[[^]*?\]\]|--[^\n]*|\[\[[^]*?\]\]|"(?:\\[^]|[^"\\])*"|'(?:\\[^]|[^'\\])*'/g;
const NEWER_THAN_REDIS = /\/\/|<<|>>|[&|]|~(?!=)|::|\bgoto\b|<\s*(?:const|close)\s*>/;

/** One Lua for all engines of the process: no two scripts run at a time. */
let sendNow: Send | undefined;
const runInLua = await startLua();

/** `send` runs one command of the engine; its errors end the script, and what ran before stays done, as in Redis. */
export function runScript({ source, keys, args }: ScriptCall, send: Send): Reply {
  const newer = NEWER_THAN_REDIS.exec(source.replaceAll(TEXTS_AND_COMMENTS, "''"))?.[0];
  if (newer !== undefined) throw new RedisError(`ERR Error compiling script (new function): unexpected '${newer}'`);
  sendNow = send;
  try {
    return toReply(runInLua(carried(source), keys.map(carried), args.map(carried)));
  } finally {
    sendNow = undefined;
  }
}

async function startLua(): Promise<(...call: unknown[]) => unknown> {
  const lua = await new LuaFactory().createEngine({ openStandardLibs: false, enableProxy: false, injectObjects: true });
  const { Base, String, Table, Math } = LuaLibraries;
  for (const library of [Base, String, Table, Math]) lua.global.loadLibrary(library);
  lua.global.set("host", { send: sendFromLua, decode: attempt(decode), encode: attempt(encode) });
  return lua.doStringSync(readFileSync(join(import.meta.dirname, "sandbox.lua"), "utf8"));
}

function sendFromLua(...command: string[]): unknown {
  try {
    const name = command[0]?.toUpperCase() ?? "";
    if (name === "EVAL") throw new RedisError("ERR This Redis command is not allowed from script");
    const reply = sendNow?.(command) ?? null;
    const isOld = name === "SET" && command.slice(3).some((option) => option.toUpperCase() === "GET");
    return typeof reply === "string" && ANSWER_STATUS.has(name) && !isOld ? { ok: reply } : fromReply(reply);
  } catch (error) {
    if (error instanceof RedisError) return { err: error.message };
    throw error;
  }
}

/** What the work made, in a list; a text is what went wrong. */
function attempt<T>(work: (value: T) => unknown): (value: T) => [unknown] | string {
  return (value) => {
    try {
      return [work(value)];
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  };
}

function decode(text: string): unknown {
  return JSON.parse(text, (_key, value: unknown) => carried(value));
}

/** A table with a member 1 that came as no list has holes or other keys: Lua's own cjson goes by how many. */
function encode(value: unknown): string {
  const check = (_key: string, member: unknown): unknown => {
    if (typeof member === "function" || (typeof member === "number" && !Number.isFinite(member)))
      throw new Error(`Cannot serialise ${typeof member}`);
    if (typeof member === "object" && member !== null && !Array.isArray(member) && "1" in member)
      throw new Error("Cannot serialise table: a list with holes is not known here");
    return member;
  };
  return JSON.stringify(value, check).replaceAll("/", String.raw`\/`);
}

function fromReply(reply: Reply): unknown {
  if (reply === null) return false;
  return Array.isArray(reply) ? reply.map(fromReply) : carried(reply);
}

function toReply(value: unknown): Reply {
  if (value === null || typeof value === "string") return value;
  if (typeof value === "number") return Math.trunc(value);
  if (Array.isArray(value)) return value.map(toReply);
  if (typeof value === "object" && "err" in value) throw new RedisError(String(value.err));
  return [];
}

/** The value, which wasmoon carries to Lua as it is: it would cut a text at a NUL, and let a number beyond 64 bits overflow. */
function carried<T>(value: T): T {
  if (typeof value === "string" && value.includes("\0"))
    throw new RedisError("ERR a text with a NUL is not known here");
  if (typeof value === "number" && Number.isInteger(value) && Math.abs(value) >= 2 ** 63)
    throw new RedisError("ERR a number beyond 64 bits is not known here");
  return value;
}
