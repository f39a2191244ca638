/**
 * Who asks: the bearer credential of the Authorization header, verified without a look-up. Nothing else is read:
 * no cookie, no query. Without SECRET_KEY nobody gets in.
 */
import { createMiddleware } from "hono/factory";
import { AppError } from "../../../contracts/errors.ts";
import type { AppContext } from "./context.ts";
import { verifyCredential } from "./credentials.ts";

export function requireUser(secretKey: string | undefined) {
  return createMiddleware<AppContext>(async function checkUser(context, next) {
    if (secretKey === undefined) throw new AppError("not_configured", "sign-in is not configured: SECRET_KEY");
    const [scheme, credential, ...rest] = (context.req.header("authorization") ?? "").split(" ");
    const bearer = scheme?.toLowerCase() === "bearer" && rest.length === 0;
    const user = bearer && credential ? await verifyCredential(credential, secretKey) : undefined;
    if (user === undefined) throw new AppError("unauthorized", "a valid bearer credential is needed");
    context.set("user", user);
    await next();
  });
}
