/**
 * Who asks: the bearer credential of the Authorization header, verified without a look-up. Nothing else is read:
 * no cookie, no query. Without SECRET_KEY nobody gets in.
 */
import { AppError } from "../../../contracts/errors.ts";
import { type User, verifyCredential } from "./credentials.ts";

export function createAuthenticator(secretKey: string | undefined) {
  return async function authenticate(authorization = ""): Promise<User> {
    if (secretKey === undefined) throw new AppError("not_configured", "sign-in is not configured: SECRET_KEY");
    const [scheme, credential, ...rest] = authorization.split(" ");
    const bearer = scheme?.toLowerCase() === "bearer" && rest.length === 0;
    const user = bearer && credential ? await verifyCredential(credential, secretKey) : undefined;
    if (user === undefined) throw new AppError("unauthorized", "a valid bearer credential is needed");
    return user;
  };
}
