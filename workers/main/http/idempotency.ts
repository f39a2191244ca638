/**
 * The Idempotency-Key header. A key is its user's and its route's own: what goes on is a SHA-256 of all three, and one of the body.
 * Refuses keys that are empty, longer than 255 characters or not printable ASCII.
 */
import { createHash } from "node:crypto";
import { AppError } from "../../../contracts/errors.ts";
import type { Idempotency } from "../../../contracts/session.ts";

export interface KeyedRequest {
  userId: string;
  route: string;
  key: string | undefined;
  /** As it was checked: equal requests give equal text, however they were spaced. */
  body: unknown;
}

export function readIdempotency({ userId, route, key, body }: KeyedRequest): Idempotency | undefined {
  if (key === undefined) return undefined;
  if (!/^[\x21-\x7e]{1,255}$/.test(key)) {
    throw new AppError("invalid_request", "Idempotency-Key must be 1 to 255 printable ASCII characters");
  }
  return { key: sha256([userId, route, key]), bodyHash: sha256(body) };
}

/** Ten bytes that a key always gives: a session made under a key is found again under it. */
export function bytesOfKey({ key }: Idempotency): Uint8Array {
  return Uint8Array.from({ length: 10 }, (_, at) => Number.parseInt(key.slice(2 * at, 2 * at + 2), 16));
}

function sha256(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex");
}
