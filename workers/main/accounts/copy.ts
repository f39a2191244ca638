/**
 * The copy of what Postgres says of one user, in the user's object: read when there is none or when it is stale, and changed together with
 * Postgres, one thing after another. State: SQLite (storage.ts), and when it was read.
 */
import type { AccountRecord, Credential, UserStore } from "../../../contracts/accounts.ts";
import { fail, ok, type Result } from "../../../contracts/errors.ts";
import { isSameHash } from "./same-hash.ts";
import { type AccountCopy, createTables, hasTables, markStale, readCopy, readKey, writeCopy } from "./storage.ts";

/** The last use of a key is noted this often at most. */
const TOUCH_EVERY_MS = 3_600_000;
/** An unknown key that is well signed may be newer than the copy: Postgres is asked, this often at most. */
const LOOK_AGAIN_MS = 5_000;

export const refused = () => fail("unauthorized", "a valid bearer credential is needed");

export class UserCopy {
  readonly #sql: SqlStorage;
  readonly #users: UserStore;
  readonly #now: () => number;
  readonly #waitUntil: (work: Promise<unknown>) => void;
  #readAtMs = Number.NEGATIVE_INFINITY;
  #last: Promise<unknown> = Promise.resolve();
  /** The user was erased: nothing is kept here any more. */
  isGone = false;

  constructor(state: DurableObjectState, { users, now }: { users: UserStore; now: () => number }) {
    this.#sql = state.storage.sql;
    this.#users = users;
    this.#now = now;
    this.#waitUntil = (work) => state.waitUntil(work);
  }

  /** The copy of an active user; read from Postgres first where there is none, or where it is stale and Postgres can be reached. */
  async active(userId: string): Promise<Result<AccountCopy>> {
    const kept = this.kept();
    if (kept === undefined || kept.stale) {
      // Of many who come at once the first one reads.
      const read = await this.inTurn(async () => (this.kept()?.stale === false ? ok(undefined) : this.readNow(userId)));
      if (!read.ok && kept === undefined) return read;
    }
    const copy = this.kept();
    return copy === undefined || !copy.isActive || copy.erasing ? refused() : ok(copy);
  }

  /** As it stands, whatever it says; undefined: nothing was read yet. */
  kept(): AccountCopy | undefined {
    return hasTables(this.#sql) ? readCopy(this.#sql) : undefined;
  }

  /** The same, in its turn. */
  read(userId: string): Promise<Result<AccountRecord | undefined>> {
    return this.inTurn(() => this.readNow(userId));
  }

  /** What Postgres says, which is the copy from now on; undefined when there is no such user. For work that has its turn. */
  async readNow(userId: string): Promise<Result<AccountRecord | undefined>> {
    this.#readAtMs = this.#now();
    const record = await this.#users.loadAccount(userId);
    // An answer that was on its way while the user was erased brings nothing back.
    if (record.ok && record.value !== undefined && !this.isGone) {
      createTables(this.#sql);
      writeCopy(this.#sql, userId, record.value);
    }
    return record;
  }

  /** A change of what Postgres says: the copy is stale from before it until it has been read again. */
  async change<T>(userId: string, change: () => Promise<Result<T>>): Promise<Result<T>> {
    // A user who is inactive may be changed too.
    const known = this.kept() === undefined ? await this.read(userId) : ok(undefined);
    if (!known.ok) return known;
    return this.inTurn(async () => {
      if (hasTables(this.#sql)) markStale(this.#sql);
      const changed = await change();
      await this.readNow(userId);
      return changed;
    });
  }

  /** What goes between Postgres and the copy, one after another: an older answer never overwrites a newer one. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined);
    return done;
  }

  /** The key that is meant, where it holds. */
  async key({ userId, keyId, hash }: Credential & { kind: "key" }) {
    const nowMs = this.#now();
    if (readKey(this.#sql, keyId) === undefined && nowMs - this.#readAtMs > LOOK_AGAIN_MS) await this.read(userId);
    const key = readKey(this.#sql, keyId);
    if (key === undefined || key.revoked || key.expiresAtMs <= nowMs || !isSameHash(key.hash, hash)) return undefined;
    if (nowMs - key.usedAtMs > TOUCH_EVERY_MS) {
      this.#sql.exec("UPDATE keys SET used_at = ? WHERE id = ?", nowMs, keyId);
      this.#waitUntil(this.#users.touchKey(userId, keyId, nowMs));
    }
    return key;
  }
}
