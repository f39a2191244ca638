/**
 * Accounts inside the house: what a credential says, what an account's object answers, and what Postgres keeps of users. Pure types.
 * Times are milliseconds since 1970, ids UUIDs.
 */
import type { Settlement } from "./ledger.ts";
import type { LimitState, Reservation } from "./limits.ts";
import type { Preferences, Role, Scope } from "./users.ts";
import type { Result } from "./errors.ts";

/** A credential whose signature and end have been checked: whom it claims to be for. Whether it still holds, the account says. */
export type Credential =
  | { kind: "login"; userId: string; loginId: string; version: number }
  /** `hash`: SHA-256 of the key as it was sent, hexadecimal. */
  | { kind: "key"; userId: string; keyId: string; hash: string };

/** What an account may do now, with this credential. */
export interface Standing {
  role: Role;
  scopes: Scope[];
  /** They fill in what a chat request leaves out. */
  preferences: Preferences;
}

/** Of who may ask a model now: the call is counted. */
export interface Admitted extends Standing {
  limits: LimitState;
}

/** A sign-in on one device; `generation` rises with each refresh. */
export interface Login {
  loginId: string;
  version: number;
  generation: number;
}

export interface UserRow {
  id: string;
  username: string;
  email: string;
  role: Role;
  isActive: boolean;
  createdAtMs: number;
  updatedAtMs: number;
}

export interface KeyRow {
  id: string;
  name: string;
  scopes: Scope[];
  createdAtMs: number;
  expiresAtMs: number;
  lastUsedAtMs: number | null;
}

/** All that an account's object keeps a copy of. */
export interface AccountRecord {
  role: Role;
  isActive: boolean;
  tokenVersion: number;
  preferences: Preferences;
  keys: { id: string; hash: string; scopes: Scope[]; expiresAtMs: number }[];
}

export interface NewUser {
  id: string;
  username: string;
  email: string;
  passwordHash: string;
  /** Left out: user. */
  role?: Role;
}

export interface UserChange {
  username?: string | undefined;
  email?: string | undefined;
  passwordHash?: string | undefined;
  role?: Role | undefined;
  isActive?: boolean | undefined;
}

/** What was removed with a user, by where it was. */
export interface ErasedCounts {
  postgres: {
    users: number;
    sessions: number;
    messages: number;
    api_keys: number;
    preferences: number;
    documents: number;
    usage_records: number;
  };
  session_objects: number;
  cache_entries: number;
}

/** Users in Postgres. Fails with `db_unavailable` or `db_timeout`; undefined: there is no such user. */
export interface UserStore {
  /** Fails with `conflict` when the name or the address is taken, in any letter case. */
  create(user: NewUser): Promise<Result<UserRow>>;
  read(userId: string): Promise<Result<UserRow | undefined>>;
  findForLogin(
    name: { username: string } | { email: string },
  ): Promise<Result<{ id: string; passwordHash: string; isActive: boolean; tokenVersion: number } | undefined>>;
  readPasswordHash(userId: string): Promise<Result<string | undefined>>;
  /** A change of password, role or activity raises the token version in the same statement. */
  update(userId: string, change: UserChange): Promise<Result<UserRow | undefined>>;
  loadAccount(userId: string): Promise<Result<AccountRecord | undefined>>;
  putPreferences(userId: string, preferences: Preferences): Promise<Result<void>>;
  addKey(userId: string, key: KeyRow & { hash: string }): Promise<Result<void>>;
  listKeys(userId: string): Promise<Result<KeyRow[]>>;
  removeKey(userId: string, keyId: string): Promise<Result<void>>;
  touchKey(userId: string, keyId: string, usedAtMs: number): Promise<Result<void>>;
  /** Ids of the user's sessions above `after`, in order. */
  sessionIds(userId: string, after: string | undefined, limit: number): Promise<Result<string[]>>;
  /** Everything of the user in one transaction, counted; with the ids of the sessions that went. */
  erase(userId: string): Promise<Result<{ counts: ErasedCounts["postgres"]; sessionIds: string[] }>>;
}

export interface NewLogin {
  expiresAtMs: number;
  /** As Postgres said it together with the password's hash; another one now means another password, role or activity. */
  tokenVersion: number;
}

export interface Entry {
  reservation: Reservation;
  /** A session that Postgres will not know of is made; erasing the user finds it here. */
  unstoredSessionId?: string | undefined;
}

/** The face of an account's object. One object a user. Expected failures are values; `unauthorized` says no more than that. */
export interface Account {
  check(credential: Credential): Promise<Result<Standing>>;
  /** The same for who asks a model, counted against the user's limits: fails with `rate_limited` and `budget_exceeded` as well. */
  admit(credential: Credential, entry: Entry): Promise<Result<Admitted>>;
  /** The truth about a call that was let in. */
  settle(userId: string, settlement: Settlement): Promise<Result<void>>;
  /** A call that was let in waits for a person, or goes on. */
  wait(reservationId: string, waits: boolean): Promise<Result<void>>;
  openLogin(userId: string, login: NewLogin): Promise<Result<Login>>;
  /** A new generation; an old one that comes again ends the login, since somebody else has it too. */
  refreshLogin(userId: string, login: Login): Promise<Result<Login>>;
  closeLogin(userId: string, loginId: string): Promise<Result<void>>;
  /** Ends every login of the user. */
  closeLogins(userId: string): Promise<Result<void>>;
  /** A new password, role or activity ends every login. */
  update(userId: string, change: UserChange): Promise<Result<UserRow>>;
  putPreferences(userId: string, preferences: Preferences): Promise<Result<void>>;
  addKey(userId: string, key: KeyRow & { hash: string }): Promise<Result<void>>;
  removeKey(userId: string, keyId: string): Promise<Result<boolean>>;
  erase(userId: string): Promise<Result<ErasureReport>>;
}

/** `finished` false: it goes on by itself; the counts are those so far. */
export interface ErasureReport {
  finished: boolean;
  removed: ErasedCounts;
}
