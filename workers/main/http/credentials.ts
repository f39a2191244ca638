/**
 * What a credential says, checked without a look-up: JWTs (HS256 over SECRET_KEY) with an audience for each use, so that a refresh token
 * is no access token; an API key is one with a prefix and a long life. Pure. Whether the login or the key still holds, its account says.
 * Refuses every other algorithm, header, issuer and audience, and a token without an end.
 */
import { createHash } from "node:crypto";
import { decode, sign, verify } from "hono/jwt";
import * as z from "zod";
import type { Credential, Login } from "../../../contracts/accounts.ts";

const ISSUER = "basechat";
const AUDIENCES = { access: "basechat:api", refresh: "basechat:refresh", key: "basechat:key" } as const;
type Use = keyof typeof AUDIENCES;

/** Lets secret scanners know a key when they see one. */
const KEY_PREFIX = "bck_";
const MAX_CHARS = 2_048;
const ACCESS_SECONDS = 15 * 60;
export const REFRESH_SECONDS = 30 * 24 * 3_600;

const Header = z.strictObject({ alg: z.literal("HS256"), typ: z.literal("JWT") });
const common = { iss: z.string(), aud: z.string(), sub: z.uuid(), iat: z.int(), exp: z.int() };
const loginClaims = { ...common, sid: z.uuid(), ver: z.int().min(0) };
const AccessClaims = z.strictObject(loginClaims);
const RefreshClaims = z.strictObject({ ...loginClaims, gen: z.int().min(1) });
const KeyClaims = z.strictObject({ ...common, jti: z.uuid() });

/** Whom a bearer credential claims to be for; undefined for anything else than a valid one. */
export async function verifyCredential(text: string, secret: string): Promise<Credential | undefined> {
  if (text.startsWith(KEY_PREFIX)) {
    const claims = await read(text.slice(KEY_PREFIX.length), { secret, use: "key", schema: KeyClaims });
    return claims && { kind: "key", userId: claims.sub, keyId: claims.jti, hash: hashKey(text) };
  }
  const claims = await read(text, { secret, use: "access", schema: AccessClaims });
  return claims && { kind: "login", userId: claims.sub, loginId: claims.sid, version: claims.ver };
}

export async function verifyRefresh(text: string, secret: string): Promise<(Login & { userId: string }) | undefined> {
  const claims = await read(text, { secret, use: "refresh", schema: RefreshClaims });
  return claims && { userId: claims.sub, loginId: claims.sid, version: claims.ver, generation: claims.gen };
}

/** An access token and the refresh token of the login's present generation. */
export async function issueTokens(userId: string, login: Login, options: { nowSeconds: number; secret: string }) {
  const { nowSeconds, secret } = options;
  const shared = { sub: userId, sid: login.loginId, ver: login.version };
  return {
    access_token: await write("access", { ...shared, ...span(nowSeconds, ACCESS_SECONDS) }, secret),
    token_type: "bearer" as const,
    expires_in: ACCESS_SECONDS,
    refresh_token: await write(
      "refresh",
      { ...shared, gen: login.generation, ...span(nowSeconds, REFRESH_SECONDS) },
      secret,
    ),
  };
}

export interface KeyInput {
  userId: string;
  keyId: string;
  nowSeconds: number;
  lifetimeSeconds: number;
}

/** A new API key. It is shown once; what is kept of it is its hash. */
export async function issueApiKey(input: KeyInput, secret: string): Promise<{ key: string; hash: string }> {
  const { userId, keyId, nowSeconds, lifetimeSeconds } = input;
  const key =
    KEY_PREFIX + (await write("key", { sub: userId, jti: keyId, ...span(nowSeconds, lifetimeSeconds) }, secret));
  return { key, hash: hashKey(key) };
}

function hashKey(key: string): string {
  return createHash("sha256").update(key).digest("hex");
}

function span(nowSeconds: number, seconds: number): { iat: number; exp: number } {
  return { iat: nowSeconds, exp: nowSeconds + seconds };
}

async function write(use: Use, claims: Record<string, unknown>, secret: string): Promise<string> {
  return sign({ iss: ISSUER, aud: AUDIENCES[use], ...claims }, await keyOf(secret), "HS256");
}

async function read<T extends z.ZodType>(
  token: string,
  { secret, use, schema }: { secret: string; use: Use; schema: T },
): Promise<z.output<T> | undefined> {
  if (token.length > MAX_CHARS) return undefined;
  try {
    Header.parse(decode(token).header);
    return schema.parse(await verify(token, await keyOf(secret), { alg: "HS256", iss: ISSUER, aud: AUDIENCES[use] }));
  } catch {
    // The library's errors carry the token.
    return undefined;
  }
}

/** The last secret as the key that it is: an isolate has one, and every request asks for it. */
let imported: { secret: string; key: CryptoKey } | undefined;

async function keyOf(secret: string): Promise<CryptoKey> {
  if (imported?.secret === secret) return imported.key;
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", new TextEncoder().encode(secret), algorithm, false, [
    "sign",
    "verify",
  ]);
  imported = { secret, key };
  return key;
}
