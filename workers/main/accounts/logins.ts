/**
 * Logins of a user, in the account's SQLite: one a device. A refresh token is of one generation, and each refresh begins the next one:
 * an old token that comes back was copied, and ends the login. Pure but for the rows.
 */
import type { Login } from "../../../contracts/accounts.ts";
import { readLogin } from "./storage.ts";

/** A client whose refresh got no answer asks again with the token before: within this time it is no thief. */
const GRACE_MS = 30_000;
/** The oldest one ends when another would be one too many. */
const MAX_LOGINS = 50;

export function openLogin(
  sql: SqlStorage,
  login: Login,
  { nowMs, expiresAtMs }: { nowMs: number; expiresAtMs: number },
): void {
  sql.exec("DELETE FROM logins WHERE expires_at <= ? OR version <> ?", nowMs, login.version);
  sql.exec(
    `DELETE FROM logins WHERE id IN (SELECT id FROM logins ORDER BY rotated_at DESC, id DESC LIMIT -1 OFFSET ${MAX_LOGINS - 1})`,
  );
  sql.exec(
    "INSERT INTO logins (id, version, generation, rotated_at, expires_at) VALUES (?, ?, ?, ?, ?)",
    login.loginId,
    login.version,
    login.generation,
    nowMs,
    expiresAtMs,
  );
}

export function holds(sql: SqlStorage, loginId: string, version: number, nowMs: number): boolean {
  const login = readLogin(sql, loginId);
  return login !== undefined && login.version === version && login.expiresAtMs > nowMs;
}

/** The login's next generation; undefined when it has ended, which a token that was used long ago makes it. */
export function rotateLogin(
  sql: SqlStorage,
  asked: Login,
  { nowMs, expiresAtMs }: { nowMs: number; expiresAtMs: number },
): Login | undefined {
  if (!holds(sql, asked.loginId, asked.version, nowMs)) return undefined;
  const login = readLogin(sql, asked.loginId);
  if (login === undefined) return undefined;
  const { loginId, version, generation } = login;
  if (asked.generation === generation - 1 && nowMs - login.rotatedAtMs < GRACE_MS)
    return { loginId, version, generation };
  if (asked.generation !== generation) {
    closeLogin(sql, loginId);
    return undefined;
  }
  sql.exec(
    "UPDATE logins SET generation = generation + 1, rotated_at = ?, expires_at = ? WHERE id = ?",
    nowMs,
    expiresAtMs,
    loginId,
  );
  return { loginId, version, generation: generation + 1 };
}

export function closeLogin(sql: SqlStorage, loginId: string): void {
  sql.exec("DELETE FROM logins WHERE id = ?", loginId);
}

/** Ends all logins: from here on tokens are of another version. */
export function closeLogins(sql: SqlStorage): void {
  sql.exec("UPDATE account SET token_version = token_version + 1");
  sql.exec("DELETE FROM logins");
}
