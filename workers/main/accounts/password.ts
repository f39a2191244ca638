/**
 * Passwords: scrypt with a salt of its own each, kept as `scrypt$log2(N)$r$p$salt$hash` (hexadecimal). Pure but for the salt's randomness.
 * About 0.2 s of CPU by intent; unknown users cost the same.
 */
import { scrypt, timingSafeEqual } from "node:crypto";
import { toHex } from "../../../contracts/ids.ts";

const COST = { log2N: 14, r: 8, p: 5 };
const SALT_BYTES = 16;
const HASH_BYTES = 32;
const MAX_MEMORY_BYTES = 64 * 1024 * 1024;

export async function hashPassword(password: string): Promise<string> {
  const salt = toHex(crypto.getRandomValues(new Uint8Array(SALT_BYTES)));
  return ["scrypt", COST.log2N, COST.r, COST.p, salt, await derive(password, salt, COST)].join("$");
}

/** `stored` undefined, or no hash at all: false, after the same work. */
export async function verifyPassword(password: string, stored: string | undefined): Promise<boolean> {
  const [scheme, log2N, r, p, salt = "", hash = ""] = (stored ?? "").split("$");
  const isHash = scheme === "scrypt" && hash.length === 2 * HASH_BYTES;
  const cost = isHash ? { log2N: Number(log2N), r: Number(r), p: Number(p) } : COST;
  const derived = await derive(password, salt, cost);
  const encoder = new TextEncoder();
  return timingSafeEqual(encoder.encode(derived), encoder.encode(isHash ? hash : "0".repeat(2 * HASH_BYTES))) && isHash;
}

function derive(password: string, salt: string, { log2N, r, p }: typeof COST): Promise<string> {
  const options = { N: 2 ** log2N, r, p, maxmem: MAX_MEMORY_BYTES };
  return new Promise((resolve, reject) => {
    // Composed, so that the same characters typed on another keyboard are the same password.
    scrypt(password.normalize("NFC"), salt, HASH_BYTES, options, (error, key) =>
      error === null ? resolve(toHex(key)) : reject(error),
    );
  });
}
