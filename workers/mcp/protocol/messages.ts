/**
 * The body of a POST as JSON-RPC, before a server is made for it. Pure. Refuses what is no message (-32600), a batch whose ids are not
 * its own, and a malformed initialize (-32602): the SDK would answer these with its own text.
 */
import { ErrorCode, isInitializeRequest, JSONRPCMessageSchema } from "@modelcontextprotocol/sdk/types.js";
import { fail, ok, type Result } from "../../../contracts/errors.ts";

/** One more than the SDK's longest batch, which it refuses itself. */
const MAX_CHECKED = 101;

export interface Refusal {
  code: ErrorCode;
  message: string;
}

export type Parsed = { ok: true; message: unknown } | { ok: false; refusal: Refusal };

export function parseBody(body: string): Parsed {
  const message = parseJson(body);
  if (message === undefined) return { ok: false, refusal: { code: ErrorCode.ParseError, message: "Parse error" } };
  const code = findProblem(message);
  return code === undefined ? { ok: true, message } : { ok: false, refusal: { code, message: "Invalid request" } };
}

/** An initialize request, alone: the beginning of a session. */
export function isInitialize(message: unknown): boolean {
  return isInitializeRequest(message);
}

/** An error of the protocol that belongs to no request. */
export function refuseMessage({ code, message }: { code: number; message: string }, status = 400): Response {
  return Response.json({ jsonrpc: "2.0", error: { code, message }, id: null }, { status });
}

/** The body as text, its bytes counted while they are read. */
export async function readBody(body: ReadableStream<Uint8Array> | null, maxBytes: number): Promise<Result<string>> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes) return fail("payload_too_large", "The body is too large.");
    chunks.push(chunk);
  }
  try {
    return ok(new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(await new Blob(chunks).arrayBuffer()));
  } catch {
    return fail("invalid_json", "The body is not UTF-8.");
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The error code of a body that is no message, or no batch of messages with ids of their own. */
function findProblem(body: unknown): ErrorCode | undefined {
  const messages: unknown[] = Array.isArray(body) ? body : [body];
  if (messages.length === 0) return ErrorCode.InvalidRequest;
  const ids = new Set<unknown>();
  for (const message of messages.slice(0, MAX_CHECKED)) {
    const parsed = JSONRPCMessageSchema.safeParse(message);
    if (!parsed.success) return ErrorCode.InvalidRequest;
    if (!("method" in parsed.data)) continue;
    if (parsed.data.method === "initialize" && !isInitializeRequest(message)) return ErrorCode.InvalidParams;
    if (!("id" in parsed.data)) continue;
    if (ids.has(parsed.data.id)) return ErrorCode.InvalidRequest;
    ids.add(parsed.data.id);
  }
  return undefined;
}
