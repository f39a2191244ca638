/**
 * /auth: signing in and out, and API keys. An unknown user and a wrong password are one answer after the same work. A login is limited for
 * each account and each address; a key is shown once.
 */
import * as z from "zod";
import type { KeyRow, UserStore } from "../../../contracts/accounts.ts";
import { AppError, type ErrorCode } from "../../../contracts/errors.ts";
import { Id } from "../../../contracts/params.ts";
import type { LoginRequest } from "../../../contracts/users.ts";
import * as api from "../../../contracts/users.ts";
import type { Accounts } from "../accounts/client.ts";
import { verifyPassword } from "../accounts/password.ts";
import { issueApiKey, issueTokens, REFRESH_SECONDS, verifyRefresh } from "../http/credentials.ts";
import { type FindLimiter, type LimitRequest, take } from "../http/limits.ts";
import { type Call, openRoute, type Route, route } from "../http/route.ts";
import { orThrow, viewOf } from "./users.ts";

export interface AuthRoutesDeps {
  secretKey: string | undefined;
  users: UserStore;
  accounts: Accounts;
  findLimiter: FindLimiter;
  limitRequest: LimitRequest;
  now: () => number;
  newId: () => string;
}

const LOGINS_OF_ADDRESS = { burst: 30, everyMs: 10_000 };
const LOGINS_OF_ACCOUNT = { burst: 10, everyMs: 60_000 };
const REFRESHES_OF_ADDRESS = { burst: 60, everyMs: 1_000 };
const DAY_SECONDS = 24 * 3_600;
const UNAVAILABLE: ErrorCode[] = ["db_unavailable", "db_timeout", "overloaded", "not_configured"];
const SIGN_IN_FAILS: ErrorCode[] = ["unauthorized", "rate_limited", ...UNAVAILABLE];
const KeyPath = z.strictObject({ key_id: Id });
const LogoutRequest = z.strictObject({ everywhere: z.boolean().default(false) });
const LoggedOut = z.strictObject({ logged_out: z.literal(true) });

export function authRoutes(deps: AuthRoutesDeps): Route[] {
  return [...signInRoutes(deps), ...loginRoutes(deps), ...keyRoutes(deps)];
}

function signInRoutes(deps: AuthRoutesDeps): Route[] {
  const shared = { method: "POST", access: "open", answers: { 200: api.Tokens }, fails: SIGN_IN_FAILS } as const;
  return [
    openRoute(
      {
        ...shared,
        path: "/auth/login",
        body: api.LoginRequest,
        summary: "Sign in with a username or an email address",
      },
      async ({ body, raw }) => {
        const secret = requireSecret(deps.secretKey);
        await deps.limitRequest(raw, "login", LOGINS_OF_ADDRESS);
        const { id: userId, tokenVersion } = await checkPassword(deps, body);
        const asked = { expiresAtMs: deps.now() + REFRESH_SECONDS * 1_000, tokenVersion };
        const login = orThrow(await deps.accounts.ask(userId, (account) => account.openLogin(userId, asked)));
        return Response.json(await issueTokens(userId, login, { nowSeconds: seconds(deps.now()), secret }));
      },
    ),
    openRoute(
      {
        ...{ ...shared, path: "/auth/refresh", body: api.RefreshRequest },
        summary: "New tokens for a refresh token, which is then used up; one that comes again ends the login",
      },
      async ({ body, raw }) => {
        const secret = requireSecret(deps.secretKey);
        await deps.limitRequest(raw, "refresh", REFRESHES_OF_ADDRESS);
        const asked = await verifyRefresh(body.refresh_token, secret);
        if (asked === undefined) throw new AppError("unauthorized", "a valid refresh token is needed");
        const { userId, ...login } = asked;
        const next = orThrow(await deps.accounts.ask(userId, (account) => account.refreshLogin(userId, login)));
        return Response.json(await issueTokens(userId, next, { nowSeconds: seconds(deps.now()), secret }));
      },
    ),
  ];
}

function loginRoutes({ accounts, users }: AuthRoutesDeps): Route[] {
  return [
    route(
      {
        ...{ method: "POST", path: "/auth/logout", access: "user", scope: "account", body: LogoutRequest },
        ...{ answers: { 200: LoggedOut }, fails: UNAVAILABLE },
        summary: "Ends this login, or every login of the user; API keys stay",
      },
      async ({ user: { id, credential }, body }) => {
        if (credential.kind === "key" && !body.everywhere)
          throw new AppError("invalid_request", "an API key is no login: revoke it, or say everywhere");
        accounts.forget(id);
        const ended = await accounts.ask(id, (account) =>
          body.everywhere || credential.kind === "key"
            ? account.closeLogins(id)
            : account.closeLogin(id, credential.loginId),
        );
        accounts.forget(id);
        orThrow(ended);
        return Response.json({ logged_out: true });
      },
    ),
    route(
      {
        ...{ method: "GET", path: "/auth/me", access: "user", scope: "account", answers: { 200: api.Me } },
        ...{ summary: "Who this credential stands for", fails: UNAVAILABLE },
      },
      async ({ user: { id, scopes } }) => {
        const user = orThrow(await users.read(id));
        if (user === undefined) throw new AppError("unauthorized", "a valid bearer credential is needed");
        return Response.json({ user: viewOf(user), scopes });
      },
    ),
  ];
}

function keyRoutes(deps: AuthRoutesDeps): Route[] {
  const shared = { access: "user", scope: "account" } as const;
  return [
    route(
      {
        ...{
          ...shared,
          method: "POST",
          path: "/auth/api-keys",
          body: api.ApiKeyRequest,
          answers: { 201: api.NewApiKey },
        },
        ...{ summary: "Makes an API key; this reply alone shows it", fails: ["conflict", ...UNAVAILABLE] },
      },
      async (call) => Response.json(await makeKey(deps, call), { status: 201 }),
    ),
    route(
      {
        ...{ ...shared, method: "GET", path: "/auth/api-keys", answers: { 200: api.ApiKeyList } },
        ...{ summary: "The API keys, newest first", fails: UNAVAILABLE },
      },
      async ({ user }) => {
        const keys = orThrow(await deps.users.listKeys(user.id));
        return Response.json({ api_keys: keys.map(keyView) });
      },
    ),
    route(
      {
        ...{ ...shared, method: "DELETE", path: "/auth/api-keys/{key_id}", params: KeyPath },
        ...{ answers: { 204: "empty" }, summary: "Revokes an API key", fails: ["not_found", ...UNAVAILABLE] },
      },
      async ({ user: { id }, params }) => {
        deps.accounts.forget(id);
        const removed = orThrow(await deps.accounts.ask(id, (account) => account.removeKey(id, params.key_id)));
        deps.accounts.forget(id);
        if (!removed) throw new AppError("not_found", "there is no such API key");
        return new Response(null, { status: 204 });
      },
    ),
  ];
}

/** The user whose password it is. An account's limit is forgiven by the right password. */
async function checkPassword({ users, findLimiter }: AuthRoutesDeps, request: LoginRequest) {
  const { username = "", email, password } = request;
  const found = orThrow(await users.findForLogin(email === undefined ? { username } : { email }));
  // Of the account, however it was called; a name that nobody has is limited alike.
  const limiter = findLimiter(`login of ${found?.id ?? (email ?? username).toLowerCase()}`);
  await take(limiter, LOGINS_OF_ACCOUNT);
  const isRight = await verifyPassword(password, found?.passwordHash);
  if (!isRight || !found?.isActive) throw new AppError("unauthorized", "the name or the password is wrong");
  await limiter.reset();
  return found;
}

async function makeKey(
  deps: AuthRoutesDeps,
  { user, body }: Call<unknown, unknown, z.infer<typeof api.ApiKeyRequest>>,
) {
  const forbidden = body.scopes.filter(
    (scope) => !user.scopes.includes(scope) || (scope === "admin" && user.role !== "admin"),
  );
  if (forbidden.length > 0)
    throw new AppError("forbidden", `a key cannot be given more than its maker has: ${forbidden.join(", ")}`);
  const nowMs = deps.now();
  const lifetimeSeconds = body.expires_in_days * DAY_SECONDS;
  const keyId = deps.newId();
  const input = { userId: user.id, keyId, nowSeconds: seconds(nowMs), lifetimeSeconds };
  const { key, hash } = await issueApiKey(input, requireSecret(deps.secretKey));
  const row: KeyRow = {
    ...{ id: keyId, name: body.name, scopes: body.scopes, lastUsedAtMs: null },
    ...{ createdAtMs: nowMs, expiresAtMs: (seconds(nowMs) + lifetimeSeconds) * 1_000 },
  };
  orThrow(await deps.accounts.ask(user.id, (account) => account.addKey(user.id, { ...row, hash })));
  return { ...keyView(row), key };
}

function keyView({ id, name, scopes, createdAtMs, expiresAtMs, lastUsedAtMs }: KeyRow): api.ApiKeyView {
  const time = (ms: number): string => new Date(ms).toISOString();
  const last_used_at = lastUsedAtMs === null ? null : time(lastUsedAtMs);
  return { id, name, scopes, created_at: time(createdAtMs), expires_at: time(expiresAtMs), last_used_at };
}

function requireSecret(secretKey: string | undefined): string {
  if (secretKey === undefined) throw new AppError("not_configured", "sign-in is not configured: SECRET_KEY");
  return secretKey;
}

function seconds(ms: number): number {
  return Math.floor(ms / 1_000);
}
