/**
 * The Durable Object of one user's account: what a credential may do now, asked by every request. State: SQLite (storage.ts), a copy of
 * what Postgres says of the user, and the logins, which are kept here alone. Postgres is read when there is no copy, or when it is stale.
 * Refuses alike whatever does not hold: an ended login, a revoked key, a user who is inactive, erased or unknown.
 */
import { DurableObject } from "cloudflare:workers";
import type {
  Account,
  Admitted,
  Credential,
  Entry,
  ErasureReport,
  KeyRow,
  Login,
  NewLogin,
  Standing,
  UserChange,
  UserRow,
  UserStore,
} from "../../../contracts/accounts.ts";
import { fail, ok, type Result } from "../../../contracts/errors.ts";
import type { Settlement } from "../../../contracts/ledger.ts";
import type { Log, OnBehalfOf, Served } from "../../../contracts/log.ts";
import { type Preferences, SCOPES } from "../../../contracts/users.ts";
import { refused, UserCopy } from "./copy.ts";
import { continueErasure, type ErasureDeps, isErasing, NOTHING_REMOVED, readReport } from "./erasure.ts";
import { Spending, type SpendingDeps } from "./spending.ts";
import { closeLogin, closeLogins, holds, openLogin, rotateLogin } from "./logins.ts";
import {
  type AccountCopy,
  countKeys,
  createTables,
  hasTables,
  markErasing,
  noteSession,
  readKey,
  writeKey,
  writeStanding,
} from "./storage.ts";

export interface AccountDeps extends ErasureDeps, SpendingDeps {
  users: UserStore;
  newId: () => string;
  log: Log;
  onBehalfOf: OnBehalfOf;
  /** How long a login lives without a refresh. */
  loginMs: number;
}

/** API keys that one user may have at a time. */
const MAX_KEYS = 100;
const RETRY_MS = 2_000;

export class AccountObject<Env = unknown> extends DurableObject<Env> implements Account {
  readonly #deps: AccountDeps;
  readonly #storage: DurableObjectStorage;
  readonly #sql: SqlStorage;
  readonly #spending: Spending;
  readonly #copy: UserCopy;
  #erasing: Promise<ErasureReport> | undefined;

  constructor(state: DurableObjectState, env: Env, deps: AccountDeps) {
    super(state, env);
    this.#deps = deps;
    this.#storage = state.storage;
    this.#sql = state.storage.sql;
    this.#spending = new Spending(state.storage, deps);
    this.#copy = new UserCopy(state, deps);
  }

  /** Any of the account's methods, on behalf of a request. */
  answer(served: Served | undefined, name: keyof Account, asked: unknown[]): Promise<unknown> {
    const answer = this[name] as (...asked: unknown[]) => Promise<unknown>; // as accounts/client.ts asks for it
    return this.#deps.onBehalfOf(served ?? { requestId: this.#deps.newId() }, () => answer.apply(this, asked));
  }

  async check(credential: Credential): Promise<Result<Standing>> {
    const copy = await this.#copy.active(credential.userId);
    return copy.ok ? this.#standing(credential, copy.value) : copy;
  }

  async admit(credential: Credential, { reservation, unstoredSessionId }: Entry): Promise<Result<Admitted>> {
    const standing = await this.check(credential);
    if (!standing.ok) return standing;
    const limits = await this.#spending.reserve(credential.userId, reservation);
    if (!limits.ok) return limits;
    if (unstoredSessionId !== undefined) noteSession(this.#sql, unstoredSessionId, this.#deps.now());
    return ok({ ...standing.value, limits: limits.value });
  }

  async settle(userId: string, settlement: Settlement): Promise<Result<void>> {
    if (hasTables(this.#sql)) await this.#spending.settle(userId, settlement);
    return ok(undefined);
  }

  async wait(reservationId: string, waits: boolean): Promise<Result<void>> {
    await this.#spending.wait(reservationId, waits);
    return ok(undefined);
  }

  async #standing(credential: Credential, { role, preferences }: AccountCopy): Promise<Result<Standing>> {
    if (credential.kind === "login") {
      const isHeld = holds(this.#sql, credential.loginId, credential.version, this.#deps.now());
      return isHeld ? ok({ role, preferences, scopes: [...SCOPES] }) : refused();
    }
    const key = await this.#copy.key(credential);
    if (key === undefined) return refused();
    // A key acts for an admin only if it was made to.
    const acts = key.scopes.includes("admin") ? role : "user";
    return ok({ role: acts, preferences, scopes: key.scopes });
  }

  async openLogin(userId: string, { expiresAtMs, tokenVersion }: NewLogin): Promise<Result<Login>> {
    return this.#copy.inTurn(async () => {
      const read = await this.#copy.readNow(userId);
      if (!read.ok) return read;
      // The password was checked some time ago: one that has been replaced meanwhile opens nothing.
      const copy = this.#copy.kept();
      if (copy === undefined || !copy.isActive || copy.erasing || read.value?.tokenVersion !== tokenVersion) {
        return refused();
      }
      const login = { loginId: this.#deps.newId(), version: copy.tokenVersion, generation: 1 };
      openLogin(this.#sql, login, { nowMs: this.#deps.now(), expiresAtMs });
      return ok(login);
    });
  }

  async refreshLogin(userId: string, asked: Login): Promise<Result<Login>> {
    const copy = await this.#copy.active(userId);
    if (!copy.ok) return copy;
    const nowMs = this.#deps.now();
    const login = rotateLogin(this.#sql, asked, { nowMs, expiresAtMs: nowMs + this.#deps.loginMs });
    return login ? ok(login) : refused();
  }

  async closeLogin(userId: string, loginId: string): Promise<Result<void>> {
    const copy = await this.#copy.active(userId);
    if (copy.ok) closeLogin(this.#sql, loginId);
    return copy.ok ? ok(undefined) : copy;
  }

  async closeLogins(userId: string): Promise<Result<void>> {
    const copy = await this.#copy.active(userId);
    if (copy.ok) closeLogins(this.#sql);
    return copy.ok ? ok(undefined) : copy;
  }

  async update(userId: string, change: UserChange): Promise<Result<UserRow>> {
    return this.#copy.change(userId, async () => {
      const { passwordHash, role, isActive } = change;
      // First: the answer to the change may be lost, and then nobody would come back to them.
      if ([passwordHash, role, isActive].some((part) => part !== undefined) && hasTables(this.#sql))
        closeLogins(this.#sql);
      const updated = await this.#deps.users.update(userId, change);
      if (!updated.ok) return updated;
      if (updated.value === undefined) return fail("not_found", "there is no such user");
      writeStanding(this.#sql, updated.value);
      return ok(updated.value);
    });
  }

  putPreferences(userId: string, preferences: Preferences): Promise<Result<void>> {
    return this.#copy.change(userId, () => this.#deps.users.putPreferences(userId, preferences));
  }

  async addKey(userId: string, key: KeyRow & { hash: string }): Promise<Result<void>> {
    const copy = await this.#copy.active(userId);
    if (!copy.ok) return copy;
    return this.#copy.inTurn(async () => {
      if (countKeys(this.#sql) >= MAX_KEYS) return fail("conflict", `a user may have ${MAX_KEYS} API keys`);
      const added = await this.#deps.users.addKey(userId, key);
      if (added.ok) writeKey(this.#sql, key);
      return added;
    });
  }

  /** Revoked at once and for good; that Postgres forgets the key is owed until it has. */
  async removeKey(userId: string, keyId: string): Promise<Result<boolean>> {
    const copy = await this.#copy.active(userId);
    if (!copy.ok) return copy;
    if (!readKey(this.#sql, keyId)) await this.#copy.read(userId);
    const key = readKey(this.#sql, keyId);
    if (key === undefined) return ok(false);
    this.#sql.exec("UPDATE keys SET revoked = 1 WHERE id = ?", keyId);
    void this.#storage.setAlarm(this.#deps.now());
    return ok(!key.revoked);
  }

  /** Begun for good when it answers; what a store that is away holds up goes on later. */
  async erase(userId: string): Promise<Result<ErasureReport>> {
    if (this.#copy.isGone) return ok({ finished: true, removed: NOTHING_REMOVED });
    createTables(this.#sql);
    markErasing(this.#sql, userId);
    // Before anything is awaited: a runtime that dies here comes back to it.
    void this.#storage.setAlarm(this.#deps.now() + RETRY_MS);
    return ok(await this.#erase(userId));
  }

  /** Goes on with what is owed: an erasure, keys that Postgres is to forget, records of the ledger. Never throws. */
  override alarm(): Promise<void> {
    return this.#deps.onBehalfOf({ requestId: this.#deps.newId() }, () => this.#goOn());
  }

  async #goOn(): Promise<void> {
    if (!hasTables(this.#sql)) return;
    const userId = String(this.#sql.exec("SELECT user_id FROM account").toArray()[0]?.["user_id"] ?? "");
    if (isErasing(this.#sql)) {
      await this.#erase(userId);
    } else {
      const isForgotten = await this.#copy.inTurn(() => this.#forgetRevoked(userId));
      if (!isForgotten) await this.#storage.setAlarm(this.#deps.now() + RETRY_MS);
      await this.#spending.pay(userId);
    }
  }

  /** One at a time: a request and the alarm may come to it at once. */
  #erase(userId: string): Promise<ErasureReport> {
    this.#erasing ??= this.#eraseOn(userId).finally(() => {
      this.#erasing = undefined;
    });
    return this.#erasing;
  }

  async #eraseOn(userId: string): Promise<ErasureReport> {
    const outcome = await continueErasure(this.#sql, userId, this.#deps);
    const report = readReport(this.#sql);
    this.#copy.isGone = report.finished;
    if (report.finished) await this.#storage.deleteAll();
    else await this.#storage.setAlarm(this.#deps.now() + (outcome.ok ? 0 : RETRY_MS));
    return report;
  }

  async #forgetRevoked(userId: string): Promise<boolean> {
    for (const { id } of this.#sql.exec<{ id: string }>("SELECT id FROM keys WHERE revoked = 1").toArray()) {
      if (!(await this.#deps.users.removeKey(userId, id)).ok) return false;
      this.#sql.exec("DELETE FROM keys WHERE id = ?", id);
    }
    return true;
  }
}
