/**
 * Limits: of requests that need no credential by the address that they come from, as Cloudflare tells it; of others by whatever is named.
 * Throws rate_limited with the time to wait. A limit that cannot be asked lets nobody pass: it guards passwords and costs.
 */
import { AppError } from "../../../contracts/errors.ts";
import type { Allowance, Limiter } from "../../../contracts/limits.ts";

/** The limit of this name. */
export type FindLimiter = (name: string) => Limiter;

export type LimitRequest = (raw: Request, what: string, allowance: Allowance) => Promise<void>;

/** Set by Cloudflare on every request; a local run has none. */
const ADDRESS_HEADER = "cf-connecting-ip";

export function createRequestLimit(find: FindLimiter): LimitRequest {
  return (raw, what, allowance) => take(find(`${what} from ${addressOf(raw)}`), allowance);
}

function addressOf({ headers }: Request): string {
  return headers.get(ADDRESS_HEADER) ?? "local";
}

export async function take(limiter: Limiter, allowance: Allowance): Promise<void> {
  const verdict = await Promise.resolve(limiter.take(allowance)).catch((cause: unknown) => {
    throw new AppError("overloaded", "the limit cannot be checked now", { retryAfterSeconds: 2, cause });
  });
  if (verdict.allowed) return;
  throw new AppError("rate_limited", "too many attempts", { retryAfterSeconds: verdict.retryAfterSeconds });
}
