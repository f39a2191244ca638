/**
 * Bearer credentials: JWTs (HS256 over SECRET_KEY). An API key is one with a prefix and a long life, so both are verified here,
 * without a look-up. Refuses every other algorithm, issuer and audience, and a token without an end.
 */
import { sign, verify } from "hono/jwt";
import * as z from "zod";

const ISSUER = "basechat";
const AUDIENCE = "basechat";
/** Lets secret scanners know a key when they see one. */
const KEY_PREFIX = "bck_";
const MAX_CHARS = 2_048;

export const Role = z.enum(["user", "admin"]);

export interface User {
  id: string;
  role: z.infer<typeof Role>;
}

const Claims = z.object({ sub: z.uuid(), role: Role, exp: z.int(), iat: z.int(), jti: z.string() });

/** The user that a bearer credential stands for; undefined for anything else than a valid one. */
export async function verifyCredential(credential: string, secret: string): Promise<User | undefined> {
  if (credential.length > MAX_CHARS) return undefined;
  const token = credential.startsWith(KEY_PREFIX) ? credential.slice(KEY_PREFIX.length) : credential;
  try {
    const payload = await verify(token, secret, { alg: "HS256", iss: ISSUER, aud: AUDIENCE });
    const { sub, role } = Claims.parse(payload);
    return { id: sub, role };
  } catch {
    // The library's errors carry the token.
    return undefined;
  }
}

export interface KeyInput extends User {
  keyId: string;
  nowSeconds: number;
  lifetimeSeconds: number;
}

/** A new API key. It is shown once. */
export async function issueApiKey(input: KeyInput, secret: string): Promise<string> {
  const { id, role, keyId, nowSeconds, lifetimeSeconds } = input;
  const claims = {
    iss: ISSUER,
    aud: AUDIENCE,
    sub: id,
    role,
    jti: keyId,
    iat: nowSeconds,
    exp: nowSeconds + lifetimeSeconds,
  };
  return KEY_PREFIX + (await sign(claims, secret, "HS256"));
}
