/**
 * A route is data: where it is, who may call it, what it takes and gives, and its handler. The router, the API document, the
 * authorization matrix and the checks of replies in tests are all made from the same list. Pure.
 */
import * as z from "zod";
import type { ErrorCode } from "../../../contracts/errors.ts";
import type { Scope } from "../../../contracts/users.ts";
import type { User } from "./auth.ts";

/** What a reply's body is: JSON of a schema, nothing, or text of another media type. */
export type Answer = z.ZodType | "empty" | TextType;
export type TextType =
  | "text/event-stream"
  | "application/x-ndjson"
  | "text/markdown"
  | "text/html"
  | "text/plain"
  | "text/css"
  | "text/csv"
  | "text/javascript"
  | "image/png"
  | "image/jpeg"
  | "image/webp"
  | "image/gif"
  | "audio/wav"
  | "audio/mpeg"
  | "application/pdf";

export interface RouteSpec<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType> {
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** With `{name}` for what `params` checks. */
  path: string;
  summary: string;
  /** More than the summary, in Markdown. */
  description?: string;
  /** Its section in the document; left out: the path's first segment. */
  tag?: string;
  /** `open`: anyone. `user`: whoever has a valid credential. `admin`: the role as well. */
  access: "open" | "user" | "admin";
  /** What an API key must be made for; left out: what the path begins with. */
  scope?: Scope;
  /** A credential of the route's own, which lets in nobody in particular: true of the header that holds it. */
  opens?(authorization: string): boolean;
  /** The account is asked later, together with the user's limits: by the session's object, or by the call of a model. Both refuse as the others do. */
  checkedBy?: "session" | "call";
  /** Of a path with `{user_id}`: who may name another user than oneself. Anyone else's looks like a missing one. */
  others?: "admin" | "nobody";
  params?: P;
  /** Strict; every value is text. */
  query?: Q;
  /** JSON. Left out: a request with a body is refused. `raw`: the handler reads the body itself. */
  body?: B | "raw";
  /** The body may be larger by what is attached to its messages. */
  takesAttachments?: boolean;
  /** The media types of a raw body, for the document; left out: JSON. */
  bodyType?: string | readonly string[];
  /** Request headers that the handler reads, for the document. */
  headers?: Record<string, string>;
  /** By status; a list where the request decides which of several forms it gets. */
  answers: Partial<Record<number, Answer | readonly Answer[]>>;
  /** Codes that it may fail with, besides those that every route of its kind has. */
  fails?: ErrorCode[];
}

/** What a handler is given, checked. */
export interface OpenCall<P, Q, B> {
  params: P;
  query: Q;
  body: B;
  requestId: string;
  traceparent: string;
  raw: Request;
}
export interface Call<P = unknown, Q = unknown, B = unknown> extends OpenCall<P, Q, B> {
  user: User;
}

/** On whose behalf a session is asked. */
export function asker({ user, requestId, traceparent }: Call) {
  return { userId: user.id, requestId, traceparent };
}

/** One of a list: its inputs' types are known to its handler alone. */
export interface Route extends RouteSpec<z.ZodType, z.ZodType, z.ZodType> {
  handle(call: Call): Response | Promise<Response>;
}

const SCOPE_OF_PATH: Record<string, Scope> = { history: "history", mcp: "mcp", auth: "account" };

export function scopeOf({ scope, path }: Pick<Route, "scope" | "path">): Scope {
  return scope ?? SCOPE_OF_PATH[path.split("/")[1] ?? ""] ?? "chat";
}

const Nothing = z.strictObject({});
type None = typeof Nothing;

export function route<P extends z.ZodType = None, Q extends z.ZodType = None, B extends z.ZodType = z.ZodUndefined>(
  spec: RouteSpec<P, Q, B> & { access: "user" | "admin" },
  handle: (call: Call<z.output<P>, z.output<Q>, z.output<B>>) => Response | Promise<Response>,
): Route {
  // Each input has been parsed by its own schema when the handler is called.
  return { ...spec, handle };
}

/** A route that anyone may call: there is no user. */
export function openRoute<P extends z.ZodType = None, Q extends z.ZodType = None, B extends z.ZodType = z.ZodUndefined>(
  spec: RouteSpec<P, Q, B> & { access: "open" },
  handle: (call: OpenCall<z.output<P>, z.output<Q>, z.output<B>>) => Response | Promise<Response>,
): Route {
  return { ...spec, handle: handle as unknown as Route["handle"] }; // as above
}
