/**
 * The arguments of one Redis command, read from left to right. State: the position.
 * Refuses with Redis's own words what is missing, no integer, no float, or an option that nobody asked for.
 */
import { RedisError } from "./keyspace.ts";

export type Reply = string | number | null | Reply[];

const INT64_MAX = 2n ** 63n - 1n;
const INT64_MIN = -(2n ** 63n);

export class Args {
  readonly name: string;
  readonly #values: readonly string[];
  #at = 0;

  constructor(name: string, values: readonly string[]) {
    this.name = name;
    this.#values = values;
  }

  /** The next argument as it is; how many there must be at least is checked before a command runs. */
  text(): string {
    const value = this.#values[this.#at];
    if (value === undefined) throw syntaxError();
    this.#at += 1;
    return value;
  }

  integer(): bigint {
    return parseInteger(this.text());
  }

  number(): number {
    return Number(this.integer());
  }

  float(): number {
    return parseFloatStrictly(this.text());
  }

  rest(): string[] {
    const rest = this.#values.slice(this.#at);
    this.#at = this.#values.length;
    return rest;
  }

  /** The rest as pairs. */
  pairs(): [string, string][] {
    const pairs: [string, string][] = [];
    if ((this.#values.length - this.#at) % 2 !== 0) throw wrongNumber(this.name);
    while (!this.done()) pairs.push([this.text(), this.text()]);
    return pairs;
  }

  done(): boolean {
    return this.#at >= this.#values.length;
  }

  /** Takes the next argument if it is one of these words, in any case. */
  word<const W extends string>(...words: W[]): W | undefined {
    const given = this.#values[this.#at]?.toUpperCase();
    const found = words.find((word) => word === given);
    if (found !== undefined) this.#at += 1;
    return found;
  }

  /** Reads options in any order until the end; anything else is a syntax error. */
  options<const W extends string>(words: readonly W[], take: (word: W) => void): void {
    while (!this.done()) {
      const word = this.word(...words);
      if (word === undefined) throw syntaxError();
      take(word);
    }
  }
}

export function parseInteger(text: string): bigint {
  if (!/^(0|-?[1-9]\d{0,18})$/.test(text)) throw new RedisError("ERR value is not an integer or out of range");
  const value = BigInt(text);
  if (value > INT64_MAX || value < INT64_MIN) throw new RedisError("ERR value is not an integer or out of range");
  return value;
}

export function addIntegers(left: bigint, right: bigint): bigint {
  const sum = left + right;
  if (sum > INT64_MAX || sum < INT64_MIN) throw new RedisError("ERR increment or decrement would overflow");
  return sum;
}

export function parseFloatStrictly(text: string, message = "ERR value is not a valid float"): number {
  const infinite = /^([+-]?)inf(inity)?$/i.exec(text);
  if (infinite !== null) return infinite[1] === "-" ? -Infinity : Infinity;
  const value = Number(text);
  if (text.trim() !== text || text === "" || Number.isNaN(value)) throw new RedisError(message);
  return value;
}

export function formatFloat(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return value > 0 ? "inf" : "-inf";
}

export function syntaxError(): RedisError {
  return new RedisError("ERR syntax error");
}

export function wrongNumber(name: string): RedisError {
  return new RedisError(`ERR wrong number of arguments for '${name.toLowerCase()}' command`);
}
