/**
 * A local stack on stand-ins: the settings that point the Workers at them, and its users with their API keys.
 * Used by `npm run dev`, the tests and the benchmarks alike. No state.
 */
import { randomBytes } from "node:crypto";
import { newId } from "../contracts/ids.ts";
import { openSql, type Sql } from "../db/open.ts";
import { type Role, SCOPES } from "../contracts/users.ts";
import { issueApiKey } from "../workers/main/http/credentials.ts";

export const LOCAL_DATABASE_URL = "postgres://basechat:local@localhost/basechat";
export const LOCAL_REDIS_TOKEN = "local-token";
export const LOCAL_LLM_KEY = "local-key";
/** The stand-in's models; a fault of it is part of the name (`demo:cut.3`). Nothing else is known. */
export const LOCAL_MODELS = JSON.stringify({
  models: { demo: {}, "demo:*": {}, "gpt-4o-mini": {}, "gpt-4o": {} },
});

export interface StandInUrls {
  llm: string;
  redis: string;
  neon: string;
}

/** Settings of all three Workers, as .dev.vars holds them. */
export function localSettings(urls: StandInUrls, secretKey: string): Record<string, string> {
  return {
    SECRET_KEY: secretKey,
    DATABASE_URL: LOCAL_DATABASE_URL,
    DATABASE_HTTP_URL: `${urls.neon}/sql`,
    UPSTASH_REDIS_REST_URL: urls.redis,
    UPSTASH_REDIS_REST_TOKEN: LOCAL_REDIS_TOKEN,
    OPENAI_API_KEY: LOCAL_LLM_KEY,
    OPENAI_BASE_URL: `${urls.llm}/v1`,
    DEFAULT_MODEL: "demo",
    MODELS: LOCAL_MODELS,
  };
}

export function newSecretKey(): string {
  return randomBytes(32).toString("base64url");
}

export function openLocalSql(neonUrl: string): Sql {
  return openSql({ databaseUrl: LOCAL_DATABASE_URL, httpUrl: `${neonUrl}/sql`, timeoutMs: 30_000 });
}

/** No password hashes to this: the user has keys only. */
const NO_PASSWORD = "!";
const KEY_LIFETIME_SECONDS = 365 * 24 * 3_600;

/** Finds or makes a user by name and issues an API key for it. */
export async function makeUserWithKey(
  sql: Sql,
  { username, role, secretKey }: { username: string; role: Role; secretKey: string },
): Promise<{ id: string; apiKey: string }> {
  const fresh = newId(Date.now(), randomBytes);
  const [row] = await sql`
    insert into users (id, username, email, password_hash, role)
    values (${fresh}, ${username}, ${`${username}@example.test`}, ${NO_PASSWORD}, ${role})
    on conflict (lower(username)) do update set role = excluded.role returning id`;
  const id = String(row?.["id"]);
  const nowSeconds = Math.floor(Date.now() / 1_000);
  const input = {
    userId: id,
    keyId: newId(Date.now(), randomBytes),
    nowSeconds,
    lifetimeSeconds: KEY_LIFETIME_SECONDS,
  };
  const { key, hash } = await issueApiKey(input, secretKey);
  await sql`delete from api_keys where user_id = ${id} and name = 'local'`;
  const expiresAt = new Date((nowSeconds + KEY_LIFETIME_SECONDS) * 1_000).toISOString();
  await sql`
    insert into api_keys (id, user_id, name, hash, scopes, expires_at)
    values (${input.keyId}, ${id}, 'local', ${hash}, ${SCOPES.filter((scope) => role === "admin" || scope !== "admin")}, ${expiresAt})`;
  return { id, apiKey: key };
}
