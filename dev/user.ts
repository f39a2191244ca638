/**
 * `npm run user:create -- --username ada --email ada@example.com [--admin] [--key]`: makes a user in the database of DATABASE_URL and
 * prints the password, which is generated unless `--password-stdin` is given; with `--key` an API key too, which SECRET_KEY signs.
 * State: the database's. Refuses what signing up refuses. Nothing that is printed is kept anywhere.
 */
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { parseArgs, parseEnv } from "node:util";
import { newId } from "../contracts/ids.ts";
import { type Scope, SCOPES, SignUp } from "../contracts/users.ts";
import { findAddress } from "../db/migrate.ts";
import { openDb } from "../db/open.ts";
import { hashPassword } from "../workers/main/accounts/password.ts";
import { createUserStore } from "../workers/main/history/users.ts";
import { issueApiKey } from "../workers/main/http/credentials.ts";

const USAGE =
  "Usage: npm run user:create -- --username NAME --email ADDRESS [--admin] [--key] [--password-stdin] [--url postgres://...]";
const TIMEOUT_MS = 30_000;
const KEY_SECONDS = 365 * 24 * 3_600;

/** The command line; the answer is its exit code. */
export async function main(args: string[], print: (line: string) => void): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      ...{ username: { type: "string" }, email: { type: "string" }, url: { type: "string" } },
      ...{ admin: { type: "boolean" }, key: { type: "boolean" }, "password-stdin": { type: "boolean" } },
    },
  });
  const password = values["password-stdin"]
    ? (await text(process.stdin)).replace(/\r?\n$/, "")
    : randomBytes(18).toString("base64url");
  const asked = SignUp.safeParse({ username: values.username, email: values.email, password });
  if (!asked.success) {
    for (const { path, message } of asked.error.issues) print(`${path.join(".")}: ${message}`);
    print(USAGE);
    return 1;
  }
  const address = await findAddress(values.url);
  if (address === undefined) {
    print("No database: set DATABASE_URL in the environment or in .dev.vars, or pass --url.");
    return 1;
  }
  const secret = values.key ? await findSecret() : undefined;
  if (values.key && secret === undefined) {
    print("No SECRET_KEY in the environment or in .dev.vars: a key is signed with the deployment's.");
    return 1;
  }
  const users = createUserStore(openDb({ ...address, timeoutMs: TIMEOUT_MS }));
  const { username, email } = asked.data;
  const id = newId(Date.now(), randomBytes);
  const role = values.admin ? "admin" : "user";
  const made = await users.create({ id, username, email, role, passwordHash: await hashPassword(password) });
  if (!made.ok) {
    print(`Not made: ${made.error.message}.`);
    return 1;
  }
  print(`id        ${id}\nusername  ${username}\nrole      ${role}`);
  if (!values["password-stdin"]) print(`password  ${password}`);
  if (secret === undefined) return 0;
  const nowSeconds = Math.floor(Date.now() / 1_000);
  const keyId = newId(Date.now(), randomBytes);
  const { key, hash } = await issueApiKey({ userId: id, keyId, nowSeconds, lifetimeSeconds: KEY_SECONDS }, secret);
  const scopes = SCOPES.filter((scope: Scope) => scope !== "admin" || role === "admin");
  const times = {
    createdAtMs: nowSeconds * 1_000,
    expiresAtMs: (nowSeconds + KEY_SECONDS) * 1_000,
    lastUsedAtMs: null,
  };
  const added = await users.addKey(id, { id: keyId, name: "made with the user", scopes, hash, ...times });
  print(added.ok ? `key       ${key}` : `No key: ${added.error.message}. Sign in and make one by POST /auth/api-keys.`);
  return added.ok ? 0 : 1;
}

async function findSecret(): Promise<string | undefined> {
  const file = await readFile(".dev.vars", "utf8").catch(() => "");
  return process.env["SECRET_KEY"] ?? parseEnv(file)["SECRET_KEY"];
}

if (import.meta.main) {
  process.exitCode = await main(process.argv.slice(2), console.log).catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    return 1;
  });
}
