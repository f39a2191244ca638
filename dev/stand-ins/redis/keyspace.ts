/**
 * The keys of the in-memory Redis: typed values with expiry. State lives in the instance; the clock is an argument.
 * An expired key is gone for every reader from its millisecond on. Refuses to read a key as another type (WRONGTYPE).
 */
export class RedisError extends Error {}

export type Entry = (
  | { type: "string"; value: string }
  | { type: "hash"; value: Map<string, string> }
  | { type: "set"; value: Set<string> }
  | { type: "zset"; value: Map<string, number> }
) & {
  /** Milliseconds since 1970; left out: never. */
  expiresAt?: number | undefined;
  /** Order of creation: what SCAN's cursor counts in. */
  serial: number;
};

export class Keyspace {
  readonly now: () => number;
  readonly #entries = new Map<string, Entry>();
  #serial = 0;

  constructor(now: () => number) {
    this.now = now;
  }

  entry(key: string): Entry | undefined {
    const entry = this.#entries.get(key);
    if (entry?.expiresAt === undefined || entry.expiresAt > this.now()) return entry;
    this.#entries.delete(key);
    return undefined;
  }

  string(key: string): string | undefined {
    const entry = this.entry(key);
    if (entry === undefined || entry.type === "string") return entry?.value;
    throw wrongType();
  }

  hash(key: string): Map<string, string> | undefined {
    const entry = this.entry(key);
    if (entry === undefined || entry.type === "hash") return entry?.value;
    throw wrongType();
  }

  set(key: string): Set<string> | undefined {
    const entry = this.entry(key);
    if (entry === undefined || entry.type === "set") return entry?.value;
    throw wrongType();
  }

  sortedSet(key: string): Map<string, number> | undefined {
    const entry = this.entry(key);
    if (entry === undefined || entry.type === "zset") return entry?.value;
    throw wrongType();
  }

  putString(key: string, value: string, expiresAt?: number): void {
    this.#put(key, { type: "string", value, expiresAt, serial: this.#nextSerial(key) });
  }

  hashToWrite(key: string): Map<string, string> {
    const value = this.hash(key) ?? new Map<string, string>();
    if (value.size === 0) this.#put(key, { type: "hash", value, serial: this.#nextSerial(key) });
    return value;
  }

  setToWrite(key: string): Set<string> {
    const value = this.set(key) ?? new Set<string>();
    if (value.size === 0) this.#put(key, { type: "set", value, serial: this.#nextSerial(key) });
    return value;
  }

  sortedSetToWrite(key: string): Map<string, number> {
    const value = this.sortedSet(key) ?? new Map<string, number>();
    if (value.size === 0) this.#put(key, { type: "zset", value, serial: this.#nextSerial(key) });
    return value;
  }

  /** True when the key was there. */
  remove(key: string): boolean {
    return this.entry(key) !== undefined && this.#entries.delete(key);
  }

  /** Redis keeps no empty collections. */
  removeIfEmpty(key: string): void {
    const entry = this.entry(key);
    if (entry !== undefined && entry.type !== "string" && entry.value.size === 0) this.#entries.delete(key);
  }

  /** Every live key, oldest first. */
  *live(): Generator<[string, Entry]> {
    for (const key of [...this.#entries.keys()]) {
      const entry = this.entry(key);
      if (entry !== undefined) yield [key, entry];
    }
  }

  clear(): void {
    this.#entries.clear();
  }

  #put(key: string, entry: Entry): void {
    this.#entries.set(key, entry);
  }

  #nextSerial(key: string): number {
    return this.entry(key)?.serial ?? ++this.#serial;
  }
}

function wrongType(): RedisError {
  return new RedisError("WRONGTYPE Operation against a key holding the wrong kind of value");
}
