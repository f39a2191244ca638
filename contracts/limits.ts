/**
 * Limits: so many at once and one more each so often, and what one user may ask of the models. Pure. What stands of a user's limits is
 * told by headers of two kinds: the IETF draft's `RateLimit` and `RateLimit-Policy`, and those that OpenAI's clients read.
 */
import * as z from "zod";
import type { UsageKind } from "./ledger.ts";

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

/** What a user is about to ask of a model. What it takes is estimated; the truth comes with the settlement. */
export interface Reservation {
  /** Of the request: the same one twice is one. */
  id: string;
  model: string;
  promptTokens: number;
  answerTokens: number;
  /** Nobody takes it up again when its end is never told: it is then written down as it was estimated, as of this kind. */
  aloneAs?: UsageKind;
}

export interface Quota {
  limit: number;
  remaining: number;
  /** Until all of it is there again. */
  resetMs: number;
}

/** Both within any minute. */
export interface LimitState {
  requests: Quota;
  tokens: Quota;
}

const WINDOW_SECONDS = 60;

export function limitHeaders(state: LimitState | undefined): Record<string, string> {
  if (state === undefined) return {};
  const quotas = Object.entries(state) as [keyof LimitState, Quota][]; // its two members
  const policies = quotas.map(([name, { limit }]) => `"${name}";q=${limit};w=${WINDOW_SECONDS}`);
  const left = quotas.map(([name, { remaining, resetMs }]) => `"${name}";r=${remaining};t=${toSeconds(resetMs)}`);
  const likeOpenAi = quotas.flatMap(([name, { limit, remaining, resetMs }]) => [
    [`x-ratelimit-limit-${name}`, String(limit)],
    [`x-ratelimit-remaining-${name}`, String(remaining)],
    [`x-ratelimit-reset-${name}`, `${toSeconds(resetMs)}s`],
  ]);
  return {
    "ratelimit-policy": policies.join(", "),
    ratelimit: left.join(", "),
    ...(Object.fromEntries(likeOpenAi) as Record<string, string>), // pairs of text
  };
}

const Told = z.object({ limit: z.coerce.number(), remaining: z.coerce.number(), reset: z.string().regex(/^\d+s$/) });

/** What such headers tell; undefined where there are none. */
export function readLimits(headers: Headers): LimitState | undefined {
  const [requests, tokens] = (["requests", "tokens"] as const).map((name): Quota | undefined => {
    const told = ["limit", "remaining", "reset"].map((what) => [what, headers.get(`x-ratelimit-${what}-${name}`)]);
    const { success, data } = Told.safeParse(Object.fromEntries(told));
    if (!success) return undefined;
    return { limit: data.limit, remaining: data.remaining, resetMs: Number.parseInt(data.reset, 10) * 1_000 };
  });
  return requests && tokens && { requests, tokens };
}

function toSeconds(ms: number): number {
  return Math.ceil(ms / 1_000);
}
