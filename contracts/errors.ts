/**
 * Error codes, their HTTP status, and the one wire form of an error.
 * Pure. Public messages are ours; causes (vendor text, SQL, stacks) never enter a wire form.
 */
import * as z from "zod";
import type { Usage } from "./chat.ts";
import type { LimitState } from "./limits.ts";

/** Every code the API can answer with. A new code does not compile without a status. */
export const ERROR_STATUS = {
  invalid_json: 400,
  invalid_request: 400,
  model_not_found: 400,
  unsupported_modality: 400,
  context_length_exceeded: 400,
  unauthorized: 401,
  forbidden: 403,
  not_found: 404,
  method_not_allowed: 405,
  conflict: 409,
  turn_in_progress: 409,
  turn_expired: 410,
  session_deleted: 410,
  payload_too_large: 413,
  uri_too_long: 414,
  unsupported_media_type: 415,
  idempotency_mismatch: 422,
  rate_limited: 429,
  budget_exceeded: 429,
  cancelled: 499,
  internal: 500,
  upstream_error: 502,
  upstream_auth: 502,
  upstream_truncated: 502,
  tool_loop_limit: 502,
  invalid_model_output: 502,
  not_configured: 503,
  overloaded: 503,
  interrupted: 503,
  db_timeout: 503,
  db_unavailable: 503,
  upstream_timeout: 504,
  cache_miss: 504,
} as const satisfies Record<string, number>;

export type ErrorCode = keyof typeof ERROR_STATUS;

/** An expected failure as plain data: it crosses RPC and storage unchanged. */
export interface Failure {
  code: ErrorCode;
  /** Safe to show: never a vendor's text, SQL, a prompt or a key. */
  message: string;
  /** When the caller may try again, in seconds. */
  retryAfterSeconds?: number;
  details?: Record<string, unknown>;
  /** How the user's limits stand, for the headers. */
  limits?: LimitState;
  /** What providers took for answers that came to nothing; for the ledger, not for the wire. */
  usage?: Usage;
}

/** The outcome of a call that is expected to fail at times; only bugs throw. */
export type Result<T> = { ok: true; value: T } | { ok: false; error: Failure };

/** In which a session's object tells main the code of an error; no client sees it. */
export const CODE_HEADER = "x-error-code";

export const ok = <T>(value: T): Result<T> => ({ ok: true, value });

export const fail = (code: ErrorCode, message: string, more: Partial<Failure> = {}): Result<never> => ({
  ok: false,
  error: { ...more, code, message },
});

/** A `Failure` that unwinds the stack to the route's error handler. `cause` is for the log only. */
export class AppError extends Error {
  readonly failure: Failure;

  constructor(code: ErrorCode, message: string, more: Partial<Failure> & { cause?: unknown } = {}) {
    const { cause, ...rest } = more;
    super(message, { cause });
    this.name = "AppError";
    this.failure = { ...rest, code, message };
  }
}

/** The value; a failure unwinds the stack. */
export function orThrow<T>(result: Result<T>): T {
  if (result.ok) return result.value;
  const { code, message, ...more } = result.error;
  throw new AppError(code, message, more);
}

/** A client may repeat the request unchanged: it was our or an upstream's trouble. */
export function isRetryable(code: ErrorCode): boolean {
  const status = ERROR_STATUS[code];
  return status === 429 || status >= 502;
}

export const ErrorBody = z
  .strictObject({
    error: z.strictObject({
      code: z.enum(Object.keys(ERROR_STATUS) as [ErrorCode, ...ErrorCode[]]), // keys of a const object
      message: z.string(),
      request_id: z.string(),
      details: z.record(z.string(), z.unknown()).optional(),
    }),
  })
  .meta({ id: "Error" });
export type ErrorBody = z.infer<typeof ErrorBody>;

/** The one wire form of an error. */
export function toErrorBody(failure: Failure, requestId: string): ErrorBody {
  const { code, message, details } = failure;
  return { error: { code, message, request_id: requestId, ...(details && { details }) } };
}
