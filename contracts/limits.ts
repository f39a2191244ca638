/** Limits: so many at once, and one more each so often. Pure types. */
export interface Allowance {
  /** How many may come at once. */
  burst: number;
  /** How long until one more may, in milliseconds. */
  everyMs: number;
}

export type Verdict = { allowed: true } | { allowed: false; retryAfterSeconds: number };

/** One limit: its object's face. */
export interface Limiter {
  take(allowance: Allowance): Verdict | Promise<Verdict>;
  /** Forgives what was taken. */
  reset(): void | Promise<void>;
}
