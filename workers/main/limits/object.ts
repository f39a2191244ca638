/**
 * The Durable Object of one limit, named by what is limited: an account's sign-ins, an address's sign-ups. Generic cell rate: one number,
 * the time at which the allowance is full again, in SQLite, so that a restart forgives nothing. Exact, since an object does one thing at a time.
 */
import { DurableObject } from "cloudflare:workers";
import type { Allowance, Limiter, Verdict } from "../../../contracts/limits.ts";

export class LimiterObject<Env = unknown> extends DurableObject<Env> implements Limiter {
  readonly #storage: DurableObjectStorage;
  readonly #now: () => number;

  constructor(state: DurableObjectState, env: Env, now: () => number) {
    super(state, env);
    this.#storage = state.storage;
    this.#now = now;
  }

  take({ burst, everyMs }: Allowance): Verdict {
    const nowMs = this.#now();
    const fullAtMs = Math.max(this.#read(), nowMs) + everyMs;
    const waitMs = fullAtMs - burst * everyMs - nowMs;
    if (waitMs > 0) return { allowed: false, retryAfterSeconds: Math.ceil(waitMs / 1_000) };
    this.#write(fullAtMs);
    return { allowed: true };
  }

  reset(): void {
    void this.#storage.deleteAll();
  }

  /** The allowance is full: nothing needs to be known. */
  override async alarm(): Promise<void> {
    const fullAtMs = this.#read();
    if (fullAtMs > this.#now()) await this.#storage.setAlarm(fullAtMs);
    else await this.#storage.deleteAll();
  }

  #read(): number {
    this.#storage.sql.exec("CREATE TABLE IF NOT EXISTS allowance (id INTEGER PRIMARY KEY, full_at INTEGER NOT NULL)");
    return Number(this.#storage.sql.exec("SELECT full_at FROM allowance").toArray()[0]?.["full_at"] ?? 0);
  }

  #write(fullAtMs: number): void {
    this.#storage.sql.exec(
      "INSERT INTO allowance (id, full_at) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET full_at = excluded.full_at",
      fullAtMs,
    );
    void this.#storage.setAlarm(fullAtMs);
  }
}
