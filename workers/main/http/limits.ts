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
  const address = headers.get(ADDRESS_HEADER) ?? "local";
  return address.includes(":") ? networkOf(address) : address;
}

/** The first 64 bits of an IPv6 address: what is behind them is one customer's to choose. */
function networkOf(address: string): string {
  const [head = "", tail] = address.toLowerCase().split("::");
  const groups = head.split(":").filter((group) => group !== "");
  const after = (tail ?? "").split(":").filter((group) => group !== "");
  const missing = tail === undefined ? 0 : Math.max(0, 8 - groups.length - after.length);
  const all = [...groups, ...Array.from({ length: missing }, () => "0"), ...after];
  return all
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ""))
    .join(":");
}

export async function take(limiter: Limiter, allowance: Allowance): Promise<void> {
  const verdict = await Promise.resolve(limiter.take(allowance)).catch((cause: unknown) => {
    throw new AppError("overloaded", "the limit cannot be checked now", { retryAfterSeconds: 2, cause });
  });
  if (verdict.allowed) return;
  throw new AppError("rate_limited", "too many attempts", { retryAfterSeconds: verdict.retryAfterSeconds });
}
