/**
 * The way to the accounts' objects. What an account said of a credential holds for a few seconds, so that a busy client costs few
 * questions. State: that memory, bounded, of plain data. A revocation made here is seen here at once, elsewhere when the memory is old.
 */
import type { Account, Admitted, Credential, Entry, Standing } from "../../../contracts/accounts.ts";
import { fail, type Result } from "../../../contracts/errors.ts";
import type { Served } from "../../../contracts/log.ts";
import type { Settlement } from "../../../contracts/ledger.ts";
import { NO_PREFERENCES, type Preferences } from "../../../contracts/users.ts";

const MAX_KEPT = 2_000;
const RETRY_AFTER_SECONDS = 2;

/** What is used of a Durable Object namespace. */
export interface AccountObjects<Id> {
  idFromName(name: string): Id;
  get(id: Id): Account;
}

/** What an account's object answers by RPC; the request that is served goes with each question. */
export interface AccountStub {
  answer(served: Served | undefined, name: keyof Account, asked: unknown[]): Promise<unknown>;
}

/** The account behind a stub. */
export function accountAt(stub: AccountStub, servedRequest: () => Served | undefined): Account {
  const get =
    (_target: object, name: string) =>
    (...asked: unknown[]) =>
      stub.answer(servedRequest(), name as keyof Account, asked);
  return new Proxy({}, { get }) as Account; // all of whose members are methods
}

export interface CheckOptions {
  /** Asks the account in any case. */
  fresh?: boolean | undefined;
}

export interface Accounts {
  /** What the credential may do: as the account said it lately, or says it now. */
  check(credential: Credential, options?: CheckOptions): Promise<Result<Standing>>;
  /** The account's word now on who is about to ask a model, counted against the user's limits. */
  admit(credential: Credential, entry: Entry): Promise<Result<Admitted>>;
  /** Tells what a call took that was let in. Never throws: what cannot be told stays as it was estimated. */
  settle(userId: string, settlement: Settlement): Promise<void>;
  /** Tells that a call waits for a person, or goes on. Never throws. */
  wait(userId: string, reservationId: string, waits: boolean): Promise<void>;
  /** What is known here of the user's preferences, however old: a guess, to be confirmed. */
  guess(userId: string): Preferences;
  /** One question to the user's account, once more on a new stub when the runtime says that this may help. */
  ask<T>(userId: string, question: (account: Account) => Promise<Result<T>>): Promise<Result<T>>;
  /** Forgets what the account said: it is about to change. */
  forget(userId: string): void;
}

interface Kept {
  userId: string;
  verdict: Result<Standing>;
  atMs: number;
}

export function createAccounts<Id>(
  objects: AccountObjects<Id>,
  { now, holdsMs }: { now: () => number; holdsMs: number },
): Accounts {
  const kept = new Map<string, Kept>();
  const preferences = new Map<string, Preferences>();

  async function ask<T>(userId: string, question: (account: Account) => Promise<Result<T>>): Promise<Result<T>> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        // A stub that has failed stays broken: each attempt has its own.
        return await question(objects.get(objects.idFromName(userId)));
      } catch (cause) {
        const { overloaded, retryable } = cause as { overloaded?: boolean; retryable?: boolean }; // of the runtime's errors
        if (overloaded || !retryable || attempt > 1) {
          return fail("overloaded", "the account cannot be reached now", { retryAfterSeconds: RETRY_AFTER_SECONDS });
        }
      }
    }
  }

  /** What was said of the credential itself. */
  function remember(credential: Credential, verdict: Result<Standing>): void {
    const { userId } = credential;
    if (verdict.ok || verdict.error.code === "unauthorized") {
      keep(kept, nameOf(credential), { userId, verdict, atMs: now() });
    }
    if (verdict.ok) keep(preferences, userId, verdict.value.preferences);
  }

  return {
    ask,
    async check(credential, { fresh = false } = {}) {
      const lately = kept.get(nameOf(credential));
      if (!fresh && lately !== undefined && now() - lately.atMs < holdsMs) return lately.verdict;
      const verdict = await ask(credential.userId, (account) => account.check(credential));
      remember(credential, verdict);
      return verdict;
    },
    async admit(credential, entry) {
      const admitted = await ask(credential.userId, (account) => account.admit(credential, entry));
      remember(credential, admitted);
      return admitted;
    },
    async settle(userId, settlement) {
      await ask(userId, (account) => account.settle(userId, settlement));
    },
    async wait(userId, reservationId, waits) {
      await ask(userId, (account) => account.wait(reservationId, waits));
    },
    guess: (userId) => preferences.get(userId) ?? NO_PREFERENCES,
    forget(userId) {
      for (const [name, entry] of kept) if (entry.userId === userId) kept.delete(name);
    },
  };
}

function nameOf(credential: Credential): string {
  return credential.kind === "key" ? `key ${credential.hash}` : `login ${credential.loginId} ${credential.version}`;
}

/** A map keeps the order of insertion: the first one is the oldest. */
function keep<T>(map: Map<string, T>, name: string, value: T): void {
  map.delete(name);
  const [oldest] = map.keys();
  if (map.size >= MAX_KEPT && oldest !== undefined) map.delete(oldest);
  map.set(name, value);
}
