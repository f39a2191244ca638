/**
 * Who asks: the bearer credential of the Authorization header, checked here without a look-up, and then by the user's account: whether it
 * still holds, with which role and scopes. Nothing else is read: no cookie, no query. Without SECRET_KEY nobody gets in.
 */
import type { Credential } from "../../../contracts/accounts.ts";
import { AppError, orThrow } from "../../../contracts/errors.ts";
import { type Preferences, type Role, type Scope, SCOPES } from "../../../contracts/users.ts";
import type { Accounts } from "../accounts/client.ts";
import { holdsToken } from "./scrape-token.ts";
import { verifyCredential } from "./credentials.ts";

export interface User {
  id: string;
  role: Role;
  scopes: Scope[];
  preferences: Preferences;
  credential: Credential;
}

/** `later`: the account is asked by whoever asks the model, for the user's limits as well; what is told here is a guess. */
export type Authenticate = (authorization: string | undefined, later: boolean) => Promise<User>;

export function createAuthenticator(secretKey: string | undefined, accounts: Accounts): Authenticate {
  return async function authenticate(authorization = "", later): Promise<User> {
    if (secretKey === undefined) throw new AppError("not_configured", "sign-in is not configured: SECRET_KEY");
    const [scheme, text, ...rest] = authorization.split(" ");
    const isBearer = scheme?.toLowerCase() === "bearer" && rest.length === 0;
    const credential = isBearer && text ? await verifyCredential(text, secretKey) : undefined;
    if (credential === undefined) throw new AppError("unauthorized", "a valid bearer credential is needed");
    const id = credential.userId;
    if (later) return { id, credential, role: "user", scopes: [...SCOPES], preferences: accounts.guess(id) };
    return { id, credential, ...orThrow(await accounts.check(credential)) };
  };
}

/** Who may see how the deployment is: an admin, with a key only if it is made for that, and whoever has the scrape token. */
export function createKeepers(scrapeToken: string | undefined, authenticate: Authenticate) {
  return async function isKeeper(authorization = ""): Promise<boolean> {
    if (holdsToken(authorization, scrapeToken)) return true;
    const user = await authenticate(authorization, false).catch(() => undefined);
    return user?.role === "admin" && user.scopes.includes("admin");
  };
}
