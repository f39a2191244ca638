/**
 * The values of the stand-in's Lua, and how they become replies and come from them. Pure.
 * Follows Redis: nil and false are a null reply, a table's reply ends at its first nil, a null reply is false.
 */
import type { Reply } from "../args.ts";
import { RedisError } from "../keyspace.ts";

export type LuaFunction = (args: LuaValue[]) => LuaValue;
export type LuaValue = undefined | boolean | number | string | LuaTable | LuaFunction;

export class LuaTable {
  readonly #members = new Map<LuaValue, LuaValue>();

  get(key: LuaValue): LuaValue {
    return this.#members.get(key);
  }

  set(key: LuaValue, value: LuaValue): void {
    if (key === undefined) throw scriptError("table index is nil");
    if (value === undefined) this.#members.delete(key);
    else this.#members.set(key, value);
  }

  get length(): number {
    let length = 0;
    while (this.#members.has(length + 1)) length += 1;
    return length;
  }

  /** The members 1, 2, 3 and so on, up to the first that is missing. */
  list(): LuaValue[] {
    return Array.from({ length: this.length }, (_, at) => this.get(at + 1));
  }
}

export function tableOf(list: LuaValue[]): LuaTable {
  const table = new LuaTable();
  for (const [at, value] of list.entries()) table.set(at + 1, value);
  return table;
}

export function isTrue(value: LuaValue): boolean {
  return value !== undefined && value !== false;
}

export function toText(value: LuaValue): string {
  if (typeof value === "number" || typeof value === "string") return String(value);
  throw scriptError(`attempt to use a ${typeName(value)} as text`);
}

export function toNumber(value: LuaValue): number {
  const number = typeof value === "string" ? Number(value) : value;
  if (typeof number === "number" && !Number.isNaN(number)) return number;
  throw scriptError(`attempt to perform arithmetic on a ${typeName(value)} value`);
}

export function typeName(value: LuaValue): string {
  if (value === undefined) return "nil";
  return value instanceof LuaTable ? "table" : typeof value;
}

export function fromReply(reply: Reply): LuaValue {
  if (reply === null) return false;
  return Array.isArray(reply) ? tableOf(reply.map(fromReply)) : reply;
}

export function toReply(value: LuaValue): Reply {
  if (value === undefined || value === false) return null;
  if (value === true) return 1;
  if (typeof value === "number") return Math.trunc(value);
  if (typeof value === "string") return value;
  if (value instanceof LuaTable) return value.list().map(toReply);
  throw scriptError("a function is no reply");
}

export function scriptError(message: string): RedisError {
  return new RedisError(`ERR user_script: ${message}`);
}
