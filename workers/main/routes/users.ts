/**
 * /history/users: signing up, reading, changing and erasing a user, and preferences. A user sees and changes only itself; an admin all,
 * and only an admin roles and activity. Passwords are hashed here and go no further.
 */
import type { ErasureReport, UserRow, UserStore } from "../../../contracts/accounts.ts";
import { AppError, type ErrorCode, type Result } from "../../../contracts/errors.ts";
import type { Log } from "../../../contracts/log.ts";
import { UserPath } from "../../../contracts/params.ts";
import { ErasedUser, Preferences, SignUp, UserPatch, UserView } from "../../../contracts/users.ts";
import type { Accounts } from "../accounts/client.ts";
import { hashPassword, verifyPassword } from "../accounts/password.ts";
import type { User } from "../http/auth.ts";
import { type FindLimiter, type LimitRequest, take } from "../http/limits.ts";
import { type Call, openRoute, type Route, route } from "../http/route.ts";

export interface UsersRoutesDeps {
  users: UserStore;
  accounts: Accounts;
  /** Anyone may sign up; false: nobody. */
  isSignUpOpen: boolean;
  findLimiter: FindLimiter;
  limitRequest: LimitRequest;
  newId: () => string;
  log: Log;
}

const SIGN_UPS = { burst: 10, everyMs: 60_000 };
/** Of one account: whoever holds a credential of it must not find out its password by trying. */
const NEW_PASSWORDS = { burst: 10, everyMs: 60_000 };
const UNAVAILABLE: ErrorCode[] = ["db_unavailable", "db_timeout", "overloaded"];

export function usersRoutes(deps: UsersRoutesDeps): Route[] {
  return [signUpRoute(deps), ...userRoutes(deps), ...preferencesRoutes(deps)];
}

function signUpRoute({ users, isSignUpOpen, limitRequest, newId }: UsersRoutesDeps): Route {
  return openRoute(
    {
      ...{ method: "POST", path: "/history/users", access: "open", body: SignUp, answers: { 201: UserView } },
      ...{ summary: "Sign up", fails: ["conflict", "forbidden", "rate_limited", ...UNAVAILABLE] },
    },
    async ({ body: { username, email, password }, raw }) => {
      if (!isSignUpOpen) throw new AppError("forbidden", "this deployment's users are made by its admins");
      await limitRequest(raw, "sign-up", SIGN_UPS);
      const passwordHash = await hashPassword(password);
      const created = orThrow(await users.create({ id: newId(), username, email, passwordHash }));
      return Response.json(viewOf(created), { status: 201 });
    },
  );
}

function userRoutes(deps: UsersRoutesDeps): Route[] {
  const shared = {
    ...({ path: "/history/users/{user_id}", access: "user", others: "admin", scope: "account" } as const),
    ...{ params: UserPath, fails: ["not_found", "conflict", ...UNAVAILABLE] satisfies ErrorCode[] },
  };
  return [
    route({ ...shared, method: "GET", summary: "A user", answers: { 200: UserView } }, async ({ params }) => {
      const user = orThrow(await deps.users.read(params.user_id));
      if (user === undefined) throw noSuchUser();
      return Response.json(viewOf(user));
    }),
    route(
      {
        ...{ ...shared, method: "PATCH", body: UserPatch, answers: { 200: UserView } },
        fails: [...shared.fails, "rate_limited"],
        summary: "Changes a user; a new password, role or activity ends every login",
      },
      async (call) => Response.json(viewOf(await changeUser(deps, call))),
    ),
    route(
      {
        ...{ ...shared, method: "DELETE", answers: { 200: ErasedUser, 202: ErasedUser } },
        summary: "Erases a user and everything of theirs; 202: it goes on by itself",
      },
      async ({ params, user, requestId }) => {
        const userId = params.user_id;
        if (userId !== user.id && orThrow(await deps.users.read(userId)) === undefined) throw noSuchUser();
        deps.accounts.forget(userId);
        const report = orThrow(await deps.accounts.ask(userId, (account) => account.erase(userId)));
        deps.accounts.forget(userId);
        audit(deps.log, { action: "erase_user", by: user, userId, requestId });
        return Response.json(toErased(userId, report), { status: report.finished ? 200 : 202 });
      },
    ),
  ];
}

function preferencesRoutes({ users, accounts, log }: UsersRoutesDeps): Route[] {
  const shared = {
    ...({ path: "/history/users/{user_id}/preferences", access: "user", others: "admin", scope: "account" } as const),
    ...{ params: UserPath, answers: { 200: Preferences }, fails: ["not_found", ...UNAVAILABLE] satisfies ErrorCode[] },
  };
  return [
    route({ ...shared, method: "GET", summary: "What fills in what a chat request leaves out" }, async ({ params }) => {
      const account = orThrow(await users.loadAccount(params.user_id));
      if (account === undefined) throw noSuchUser();
      return Response.json(account.preferences);
    }),
    route(
      { ...shared, method: "PUT", body: Preferences, summary: "Replaces the preferences" },
      async ({ params: { user_id: userId }, body, user, requestId }) => {
        if (orThrow(await users.read(userId)) === undefined) throw noSuchUser();
        accounts.forget(userId);
        orThrow(await accounts.ask(userId, (account) => account.putPreferences(userId, body)));
        accounts.forget(userId);
        if (user.id !== userId) audit(log, { action: "change_preferences", by: user, userId, requestId });
        return Response.json(body);
      },
    ),
  ];
}

async function changeUser(
  deps: UsersRoutesDeps,
  { params, body, user, requestId }: Call<{ user_id: string }, unknown, UserPatch>,
): Promise<UserRow> {
  const { user_id: userId } = params;
  const { username, email, password, current_password: current, role, is_active: isActive } = body;
  if ((role !== undefined || isActive !== undefined) && user.role !== "admin")
    throw new AppError("forbidden", "role and is_active are an admin's to change");
  if (password !== undefined) await take(deps.findLimiter(`new password of ${userId}`), NEW_PASSWORDS);
  if (password !== undefined && user.id === userId) await requirePassword(deps.users, userId, current);
  const passwordHash = password === undefined ? undefined : await hashPassword(password);
  deps.accounts.forget(userId);
  const change = { username, email, passwordHash, role, isActive };
  const changed = await deps.accounts.ask(userId, (account) => account.update(userId, change));
  deps.accounts.forget(userId);
  if (user.role === "admin") audit(deps.log, { action: "change_user", by: user, userId, requestId });
  return orThrow(changed);
}

/** Whoever sits down at somebody's open login cannot lock its owner out. */
async function requirePassword(users: UserStore, userId: string, current: string | undefined): Promise<void> {
  const stored = orThrow(await users.readPasswordHash(userId));
  if (!(await verifyPassword(current ?? "", stored))) {
    throw new AppError("forbidden", "current_password must be the password until now");
  }
}

interface Audited {
  action: string;
  by: User;
  userId: string;
  requestId: string;
}

function audit(log: Log, { action, by, userId, requestId }: Audited): void {
  log({ service: "main", request_id: requestId, route: "audit", action, by: by.id, user: userId });
}

function toErased(user_id: string, { finished, removed }: ErasureReport) {
  return { user_id, finished, removed };
}

export function viewOf({ id, username, email, role, isActive, createdAtMs, updatedAtMs }: UserRow): UserView {
  const [created_at, updated_at] = [new Date(createdAtMs).toISOString(), new Date(updatedAtMs).toISOString()];
  return { id, username, email, role, is_active: isActive, created_at, updated_at };
}

export function orThrow<T>(result: Result<T>): T {
  if (result.ok) return result.value;
  const { code, message, ...more } = result.error;
  throw new AppError(code, message, more);
}

function noSuchUser(): AppError {
  return new AppError("not_found", "there is no such user");
}
