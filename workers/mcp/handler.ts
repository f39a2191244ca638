/**
 * The HTTP face of this Worker: POST /mcp. No state. Who calls is told by main in headers that main strips from clients.
 * Refuses, before the protocol begins: foreign Origins (403), a missing user (401), other methods (405), session ids,
 * since none are given out (404), and bodies above 4 MiB (413).
 */
import { ERROR_STATUS, type ErrorCode, fail, ok, type Result, toErrorBody } from "../../contracts/errors.ts";
import { isOwnOrigin } from "../../contracts/origins.ts";
import type { ConfigResult } from "./env.ts";
import type { Registry } from "./registry.ts";
import { createToolRunner, type LogLine } from "./run.ts";
import { serveMcp } from "./server.ts";

const MAX_BODY_BYTES = 4 * 1024 * 1024;

interface HandlerDeps {
  config: ConfigResult;
  registry: Registry;
  now: () => number;
  newId: () => string;
  log: (line: LogLine) => void;
}

interface Caller {
  requestId: string;
  userId: string | undefined;
}

/** Answers one request and logs one line about it. Never throws. */
export async function handleRequest(request: Request, deps: HandlerDeps): Promise<Response> {
  const startMs = deps.now();
  const caller = readCaller(request.headers, deps.newId);
  const response = await answer(request, caller, deps).catch((error: unknown) => {
    deps.log({ service: "mcp", request_id: caller.requestId, error: error instanceof Error ? error.name : "unknown" });
    return refuse("internal", "Something went wrong.", caller);
  });
  response.headers.set("x-request-id", caller.requestId);
  response.headers.set("cache-control", "no-store");
  response.headers.set("x-content-type-options", "nosniff");
  deps.log({
    service: "mcp",
    request_id: caller.requestId,
    route: new URL(request.url).pathname === "/mcp" ? "/mcp" : "none",
    method: request.method,
    status: response.status,
    ms: deps.now() - startMs,
  });
  return response;
}

async function answer(request: Request, caller: Caller, deps: HandlerDeps): Promise<Response> {
  const { config, registry, now, log } = deps;
  const url = new URL(request.url);
  if (url.pathname !== "/mcp") return refuse("not_found", "There is nothing here.", caller);
  if (!config.ok) return refuse("not_configured", `Malformed settings: ${config.badKeys.join(", ")}.`, caller);
  if (!isOriginAllowed(request.headers.get("origin"), url, config.config.allowedOrigins)) {
    return refuse("forbidden", "This origin is not allowed.", caller);
  }
  const { requestId, userId } = caller;
  if (userId === undefined) return refuse("unauthorized", "The caller is not known.", caller);
  if (request.method !== "POST") return refuse("method_not_allowed", "Use POST.", caller, { allow: "POST" });
  if (request.headers.has("mcp-session-id")) return refuse("not_found", "There is no such session.", caller);
  const body = await readBody(request.body);
  if (!body.ok) return refuse(body.error.code, body.error.message, caller);
  const context = { requestId, userId, now, signal: request.signal };
  return await serveMcp(request, body.value, { registry, run: createToolRunner({ registry, log }), context });
}

function readCaller(headers: Headers, newId: () => string): Caller {
  const requestId = headers.get("x-request-id") ?? "";
  const userId = headers.get("x-basechat-user") ?? "";
  return {
    requestId: /^[\w.:-]{1,128}$/.test(requestId) ? requestId : newId(),
    userId: /^[\w.:@|-]{1,128}$/.test(userId) ? userId : undefined,
  };
}

/** No Origin: not a browser. */
export function isOriginAllowed(origin: string | null, url: URL, allowed: readonly string[]): boolean {
  return origin === null || allowed.includes(origin) || isOwnOrigin(origin, url);
}

/** The body as text, its bytes counted while they are read. */
async function readBody(body: ReadableStream<Uint8Array> | null): Promise<Result<string>> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > MAX_BODY_BYTES) return fail("payload_too_large", "The body is larger than 4 MiB.");
    chunks.push(chunk);
  }
  try {
    return ok(new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(await new Blob(chunks).arrayBuffer()));
  } catch {
    return fail("invalid_json", "The body is not UTF-8.");
  }
}

function refuse(
  code: ErrorCode,
  message: string,
  { requestId }: Caller,
  headers: Record<string, string> = {},
): Response {
  return Response.json(toErrorBody({ code, message }, requestId), { status: ERROR_STATUS[code], headers });
}
