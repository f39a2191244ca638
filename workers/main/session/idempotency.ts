/**
 * Idempotency keys: which turn a key started, and with which body. Rows live in the object that the key leads to, for at least
 * 24 hours, in a table that the first one makes. Keys arrive as SHA-256 of user, route and key, so that nobody meets another's.
 */
import { AppError } from "../../../contracts/errors.ts";
import type { Idempotency } from "../../../contracts/session.ts";
import { hasTable } from "./storage.ts";

const TABLE = "idempotency";
const KEPT_MS = 24 * 3_600_000;

/** The turn that this key started; undefined for a key not seen before. Throws idempotency_mismatch for another body. */
export function findClaim(sql: SqlStorage, { key, bodyHash }: Idempotency): { turnId: string | null } | undefined {
  if (!hasTable(sql, TABLE)) return undefined;
  const [row] = sql
    .exec<{ body_hash: string; turn_id: string | null }>(
      "SELECT body_hash, turn_id FROM idempotency WHERE key = ?",
      key,
    )
    .toArray();
  if (row !== undefined && row.body_hash !== bodyHash) {
    throw new AppError("idempotency_mismatch", "this Idempotency-Key came with another body before");
  }
  return row && { turnId: row.turn_id };
}

/** `turnId` null: the turn is in another object. */
export function claim(sql: SqlStorage, { key, bodyHash }: Idempotency, turnId: string | null, nowMs: number): void {
  sql.exec(`CREATE TABLE IF NOT EXISTS idempotency (
    key TEXT PRIMARY KEY,
    body_hash TEXT NOT NULL,
    turn_id TEXT,
    claimed_at INTEGER NOT NULL
  ) WITHOUT ROWID`);
  sql.exec(
    "INSERT INTO idempotency (key, body_hash, turn_id, claimed_at) VALUES (?, ?, ?, ?)",
    key,
    bodyHash,
    turnId,
    nowMs,
  );
}

export function forgetClaims(sql: SqlStorage, nowMs: number): void {
  if (hasTable(sql, TABLE)) sql.exec("DELETE FROM idempotency WHERE claimed_at < ?", nowMs - KEPT_MS);
}

/** When the newest claim may be forgotten; 0 without any. */
export function claimsEndMs(sql: SqlStorage): number {
  if (!hasTable(sql, TABLE)) return 0;
  const newest = "SELECT max(claimed_at) AS at FROM idempotency";
  const { at } = sql.exec<{ at: number | null }>(newest).one();
  return at === null ? 0 : at + KEPT_MS;
}
