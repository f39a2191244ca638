/**
 * Those who watch a turn. While anyone does, each one's account is asked again every few seconds, and whoever may no longer look is cut
 * off, without a terminal event: coming back needs a credential that holds. State: the viewers, as long as they watch.
 */
import type { Credential } from "../../../contracts/accounts.ts";
import type { Meter } from "../../../contracts/metrics.ts";
import type { Accounts } from "../accounts/client.ts";
import { type Viewable, viewLog } from "./log.ts";

export interface ViewersDeps {
  accounts: Pick<Accounts, "check">;
  recheckMs: number;
  keepAliveMs: number;
  meter: Meter;
}

export class Viewers {
  readonly #deps: ViewersDeps;
  readonly #watching = new Map<AbortController, Credential>();
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(deps: ViewersDeps) {
    this.#deps = deps;
  }

  /** The log's frames after event `after`, for as long as the credential holds. */
  watch(log: Viewable, after: number, credential: Credential): ReadableStream<Uint8Array> {
    const gone = new AbortController();
    this.#watching.set(gone, credential);
    this.#deps.meter.stream(1);
    this.#timer ??= setInterval(() => void this.#recheck(), this.#deps.recheckMs);
    return viewLog(log, after, {
      ...{ keepAliveMs: this.#deps.keepAliveMs, signal: gone.signal },
      onEnd: () => this.#forget(gone),
    });
  }

  #forget(viewer: AbortController): void {
    if (this.#watching.delete(viewer)) this.#deps.meter.stream(-1);
    if (this.#watching.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  async #recheck(): Promise<void> {
    // Figures of an isolate that is not heard of for long are taken for gone.
    this.#deps.meter.flushSoon();
    const credentials = new Map([...this.#watching.values()].map((one) => [JSON.stringify(one), one]));
    const refused = new Set<string>();
    for (const [name, credential] of credentials) {
      const verdict = await this.#deps.accounts.check(credential, { fresh: true });
      // Only the account's own no: one that cannot be reached has not taken anything back.
      if (!verdict.ok && verdict.error.code === "unauthorized") refused.add(name);
    }
    for (const [viewer, credential] of this.#watching) if (refused.has(JSON.stringify(credential))) viewer.abort();
  }
}
