/**
 * A client's signal that also aborts when its account takes the credential back: for replies that last longer than such a word holds.
 * State: a timer, until the reply has ended.
 */
import type { Credential } from "../../../contracts/accounts.ts";
import type { Accounts } from "../accounts/client.ts";

export interface StandingSignal {
  signal: AbortSignal;
  /** Stops asking. */
  end(): void;
}

export type WhileStanding = (credential: Credential, client: AbortSignal) => StandingSignal;

/** `onRecheck`: each time that an account is asked again. */
export function createWhileStanding(
  accounts: Pick<Accounts, "check">,
  recheckMs: number,
  onRecheck: () => void,
): WhileStanding {
  return function whileStanding(credential, client) {
    const revoked = new AbortController();
    const timer = setInterval(() => void recheck(), recheckMs);
    async function recheck(): Promise<void> {
      onRecheck();
      const verdict = await accounts.check(credential, { fresh: true });
      // Only the account's own no: one that cannot be reached has not taken anything back.
      if (!verdict.ok && verdict.error.code === "unauthorized") revoked.abort();
    }
    return { signal: AbortSignal.any([client, revoked.signal]), end: () => clearInterval(timer) };
  };
}
