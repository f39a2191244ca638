/**
 * The HTTP face of this Worker: /mcp for clients, who begin a session, and /stateless for main, whose calls need none. No state.
 * Who calls is told by main in headers that main strips from clients.
 * Refuses, before the protocol begins: foreign Origins and Hosts (403), a missing user (401), other methods (405), a client's request
 * without a session (400), handles that are none (404), and bodies above 4 MiB (413).
 */
import { ERROR_STATUS, type ErrorCode, toErrorBody } from "../../contracts/errors.ts";
import { isOwnOrigin, isTrustedHost } from "../../contracts/origins.ts";
import { isTraceparent, traceIdOf } from "../../contracts/trace.ts";
import type { Config } from "./env.ts";
import { isInitialize, parseBody, readBody, refuseMessage } from "./protocol/messages.ts";
import { isOfRevision2026, serveRevision2026 } from "./protocol/revision-2026.ts";
import type { ServerParts } from "./protocol/server.ts";
import { serveStateless } from "./protocol/stateless.ts";
import type { LogLine } from "./run.ts";
import { isHandle, NEW_HANDLE_HEADER, newHandle } from "./session/handle.ts";
import type { Caller, ToolContext } from "./tools/tool.ts";

const MAX_BODY_BYTES = 4 * 1024 * 1024;
const METHODS = { "/mcp": ["GET", "POST", "DELETE"], "/stateless": ["POST"] } as const;
type Path = keyof typeof METHODS;

/** A malformed setting closes the Worker. */
export type Setup = { ok: true; config: Config; parts: ServerParts } | { ok: false; badKeys: string[] };

interface HandlerDeps {
  setup: Setup;
  now: () => number;
  newId: () => string;
  randomBytes: (length: number) => Uint8Array;
  log: (line: LogLine) => void;
  /** The object of a user's session. */
  session(userId: string, handle: string): { fetch(request: Request): Promise<Response> };
}

interface Asker extends Omit<Caller, "userId"> {
  userId: string | undefined;
}

/** Answers one request and logs one line about it. Never throws. */
export async function handleRequest(request: Request, deps: HandlerDeps): Promise<Response> {
  const startMs = deps.now();
  const asker = readAsker(request.headers, deps.newId);
  const path = readPath(request.url);
  const answered = await answer(request, { asker, path, deps }).catch((error: unknown) => {
    deps.log({ service: "mcp", request_id: asker.requestId, error: error instanceof Error ? error.name : "unknown" });
    return refuse("internal", "Something went wrong.", asker);
  });
  const response = new Response(answered.body, answered); // a fetched one's headers are read-only
  response.headers.set("x-request-id", asker.requestId);
  response.headers.set("cache-control", "no-store, no-transform");
  response.headers.set("x-content-type-options", "nosniff");
  deps.log({
    ...{ service: "mcp", request_id: asker.requestId, route: path ?? "none", method: request.method },
    ...{ status: response.status, ms: deps.now() - startMs, ...traceField(asker) },
  });
  return response;
}

interface Asked {
  asker: Asker;
  path: Path | undefined;
  deps: HandlerDeps;
}

async function answer(request: Request, { asker, path, deps }: Asked): Promise<Response> {
  const { setup } = deps;
  const url = new URL(request.url);
  if (path === undefined) return refuse("not_found", "There is nothing here.", asker);
  if (!setup.ok) return refuse("not_configured", `Malformed settings: ${setup.badKeys.join(", ")}.`, asker);
  const { allowedOrigins } = setup.config;
  if (!isHostAllowed(url, allowedOrigins)) return refuse("forbidden", "This host is not ours.", asker);
  if (!isOriginAllowed(request.headers.get("origin"), url, allowedOrigins)) {
    return refuse("forbidden", "This origin is not allowed.", asker);
  }
  const { userId } = asker;
  if (userId === undefined) return refuse("unauthorized", "The caller is not known.", asker);
  if (!METHODS[path].some((method) => method === request.method)) {
    const allow = METHODS[path].join(", ");
    return refuse("method_not_allowed", `Use ${allow}.`, asker, { allow });
  }
  const caller = { ...asker, userId };
  return path === "/mcp"
    ? answerClient(request, caller, { ...deps, parts: setup.parts })
    : answerMain(request, { ...caller, now: deps.now }, setup.parts);
}

/**
 * A client's request goes to the object of its session, which reads it itself; the first one begins a session. A client of revision
 * 2026-07-28 has none.
 */
async function answerClient(
  request: Request,
  caller: Caller,
  deps: HandlerDeps & { parts: ServerParts },
): Promise<Response> {
  const handle = request.headers.get("mcp-session-id");
  if (handle !== null) {
    if (!isHandle(handle)) return refuseMessage({ code: -32001, message: "Session not found" }, 404);
    return deps.session(caller.userId, handle).fetch(withRequestId(request, caller));
  }
  if (request.method !== "POST") return refuseMessage({ code: -32000, message: "Mcp-Session-Id is required" });
  const body = await readBody(request.body, MAX_BODY_BYTES);
  if (!body.ok) return refuse(body.error.code, body.error.message, caller);
  const parsed = parseBody(body.value);
  if (!parsed.ok) return refuseMessage(parsed.refusal);
  if (await isOfRevision2026(request, parsed.message)) {
    const context = { ...caller, now: deps.now, signal: request.signal };
    return serveRevision2026(request, parsed.message, { parts: deps.parts, context });
  }
  if (!isInitialize(parsed.message)) return refuseMessage({ code: -32000, message: "Mcp-Session-Id is required" });
  const fresh = newHandle(deps.randomBytes);
  const headers = new Headers(request.headers);
  headers.set(NEW_HANDLE_HEADER, fresh);
  const begin = new Request(request.url, { method: "POST", headers, body: body.value });
  return deps.session(caller.userId, fresh).fetch(withRequestId(begin, caller));
}

async function answerMain(
  request: Request,
  caller: Omit<ToolContext, "signal">,
  parts: ServerParts,
): Promise<Response> {
  if (request.headers.has("mcp-session-id")) return refuse("not_found", "There is no such session.", caller);
  const body = await readBody(request.body, MAX_BODY_BYTES);
  if (!body.ok) return refuse(body.error.code, body.error.message, caller);
  const parsed = parseBody(body.value);
  if (!parsed.ok) return refuseMessage(parsed.refusal);
  const context = { ...caller, signal: request.signal };
  return serveStateless(request, parsed.message, { parts, context });
}

function withRequestId(request: Request, { requestId }: Caller): Request {
  const headers = new Headers(request.headers);
  headers.set("x-request-id", requestId);
  return new Request(request, { headers });
}

/** For a log line. */
function traceField({ traceparent }: Pick<Asker, "traceparent">): { trace_id?: string } {
  const id = traceIdOf(traceparent);
  return id === undefined ? {} : { trace_id: id };
}

function readPath(url: string): Path | undefined {
  const { pathname } = new URL(url);
  return pathname === "/mcp" || pathname === "/stateless" ? pathname : undefined;
}

/** Who asks, as main says it. */
export function readAsker(headers: Headers, newId: () => string): Asker {
  const requestId = headers.get("x-request-id") ?? "";
  const userId = headers.get("x-basechat-user") ?? "";
  const traceparent = headers.get("traceparent");
  return {
    ...(traceparent !== null && isTraceparent(traceparent) && { traceparent }),
    requestId: /^[\w.:-]{1,128}$/.test(requestId) ? requestId : newId(),
    userId: /^[\w.:@|-]{1,128}$/.test(userId) ? userId : undefined,
    denied: (headers.get("x-basechat-denied") ?? "").split(",").filter((glob) => glob !== ""),
    isAdmin: headers.get("x-basechat-role") === "admin",
  };
}

/** Over plain http a page may have brought its own name to our address: only this machine's names and those of allowed origins count. */
export function isHostAllowed(url: URL, allowed: readonly string[]): boolean {
  return isTrustedHost(url) || allowed.some((origin) => new URL(origin).host === url.host);
}

/** No Origin: not a browser. */
export function isOriginAllowed(origin: string | null, url: URL, allowed: readonly string[]): boolean {
  return origin === null || allowed.includes(origin) || isOwnOrigin(origin, url);
}

function refuse(
  code: ErrorCode,
  message: string,
  { requestId }: Pick<Asker, "requestId">,
  headers: Record<string, string> = {},
): Response {
  return Response.json(toErrorBody({ code, message }, requestId), { status: ERROR_STATUS[code], headers });
}
