/**
 * Puts routes into the router. Each request is checked in this order: who asks, the path, the query, the body; the handler sees only
 * what has passed. Refuses what no schema names: a query's unknown or repeated names, a body where none belongs.
 */
import type { Context, Hono } from "hono";
import * as z from "zod";
import { AppError } from "../../../contracts/errors.ts";
import { checkShape, readJson, refuseBody } from "./body.ts";
import type { AppContext } from "./context.ts";
import type { Authenticate, User } from "./auth.ts";
import { type Route, scopeOf } from "./route.ts";

const Nothing = z.strictObject({});

export function serveRoutes(app: Hono<AppContext>, routes: Route[], authenticate: Authenticate): void {
  for (const route of routes) {
    app.on(route.method, route.path.replaceAll(/\{(\w+)\}/g, ":$1"), (context) => answer(route, context, authenticate));
  }
}

async function answer(route: Route, context: Context<AppContext>, authenticate: Authenticate): Promise<Response> {
  const { req } = context;
  const { requestId, traceparent, stages } = context.var;
  const authorization = req.header("authorization");
  const isOpen = route.access === "open" || (authorization !== undefined && route.opens?.(authorization) === true);
  const who = () => identify(route, authorization, authenticate);
  const user = isOpen ? undefined : await stages.during("auth", who);
  context.set("userId", user?.id);
  stages.to("input");
  const params = checkShape(req.param(), route.params ?? Nothing);
  if (route.others !== undefined) requireSelf(params, user, route.others);
  const query = checkShape(readQuery(req.url), route.query ?? Nothing);
  const body = await readBody(req.raw, route);
  // An open route's handler is not given a user, by its type; one with a credential of its own asks for none.
  const call = { params, query, body, requestId, traceparent, raw: req.raw, user: user as User };
  const attributes = { "http.route": route.path };
  const response = await stages.during("handler", async () => route.handle(call), { attributes });
  stages.to("other");
  return req.method === "HEAD" ? withoutBody(response) : response;
}

/** A stream that nobody reads would stay open. */
async function withoutBody(response: Response): Promise<Response> {
  await response.body?.cancel();
  return new Response(null, response);
}

/** Whoever asks, with a credential that may be used for this route. */
async function identify(route: Route, authorization: string | undefined, authenticate: Authenticate): Promise<User> {
  const user = await authenticate(authorization, route.checkedBy !== undefined);
  const scope = scopeOf(route);
  if (!user.scopes.includes(scope)) {
    throw new AppError("forbidden", `this needs an API key with the scope ${scope}`, { details: { scope } });
  }
  if (route.access === "admin" && user.role !== "admin") throw new AppError("forbidden", "this needs the admin role");
  return user;
}

function requireSelf(params: unknown, user: User | undefined, others: "admin" | "nobody"): void {
  const { user_id: userId } = params as { user_id?: string }; // a route that says so names the user in its path
  if (userId === user?.id || (others === "admin" && user?.role === "admin")) return;
  throw new AppError("not_found", "there is no such user");
}

function readBody(raw: Request, { body, takesAttachments }: Route): Promise<unknown> {
  if (body === "raw") return Promise.resolve(undefined);
  return body === undefined ? refuseBody(raw) : readJson(raw, body, takesAttachments);
}

function readQuery(url: string): Record<string, string> {
  const pairs = [...new URL(url).searchParams];
  if (new Set(pairs.map(([name]) => name)).size < pairs.length) {
    throw new AppError("invalid_request", "a query's names may come once only");
  }
  // Not by assignment: a name like __proto__ must be a member, to be refused.
  return Object.fromEntries(pairs);
}
