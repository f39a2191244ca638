/**
 * Reads a body once: counted while it comes, strict UTF-8; JSON is then checked by its schema.
 * Refuses other media types, a body over the limit whatever Content-Length says, and everything that the schema does not name.
 */
import type * as z from "zod";
import { AppError } from "../../../contracts/errors.ts";

const MAX_BODY_BYTES = 1024 * 1024;
/** With attachments in base64. What is not such data may have no more than another body. */
const MAX_ATTACHED_BODY_BYTES = 12 * 1024 * 1024;
const ATTACHED_DATA = /"(?:url|image_url|data|file_data)"\s*:\s*"[^"\\]*"/g;
/** A body up to this many times the limit is read to its end: a client that still writes does not see the answer. */
const DRAINED_TIMES = 4;
const MAX_ISSUES = 10;

export async function readJson<T extends z.ZodType>(
  request: Request,
  schema: T,
  takesAttachments = false,
): Promise<z.infer<T>> {
  checkMediaType(request, ["application/json"]);
  const bytes = await readBytes(request, takesAttachments ? MAX_ATTACHED_BODY_BYTES : MAX_BODY_BYTES);
  const text = decode(bytes);
  if (bytes.byteLength > MAX_BODY_BYTES) checkWords(text, bytes.byteLength);
  const value = parseJson(text);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new AppError("invalid_json", "the body must be a JSON object");
  }
  return checkShape(value, schema);
}

/** Data is of one byte a character. */
function checkWords(text: string, bytes: number): void {
  const dataBytes = [...text.matchAll(ATTACHED_DATA)].reduce((sum, [data]) => sum + data.length, 0);
  if (bytes - dataBytes <= MAX_BODY_BYTES) return;
  throw new AppError("payload_too_large", `the body may have ${MAX_BODY_BYTES} bytes at most besides attached data`);
}

/** A file of one of several types, as its media type says. */
export async function readUpload<T extends string>(
  request: Request,
  types: readonly T[],
  maxBytes: number,
): Promise<{ type: T; bytes: Uint8Array }> {
  return { type: checkMediaType(request, types), bytes: await readBytes(request, maxBytes) };
}

/** For a route that takes no body: an empty one is none. */
export async function refuseBody(request: Request): Promise<undefined> {
  if (request.body === null) return;
  const refusal = new AppError("invalid_request", "this route takes no body");
  const bytes = await readBytes(request, MAX_BODY_BYTES, refusal);
  if (bytes.byteLength > 0) throw refusal;
}

function checkMediaType<T extends string>(request: Request, types: readonly T[]): T {
  const [given, ...parameters] = (request.headers.get("content-type") ?? "").toLowerCase().split(";");
  const charset = parameters.map((parameter) => parameter.trim()).find((parameter) => parameter.startsWith("charset="));
  const utf8 = charset === undefined || /^charset="?utf-?8"?$/.test(charset);
  const plain = (request.headers.get("content-encoding") ?? "identity") === "identity";
  const type = types.find((one) => one === given?.trim());
  if (type === undefined || !utf8 || !plain) {
    const allowed = types.join(" or ");
    throw new AppError("unsupported_media_type", `the body must be ${allowed} in UTF-8, not compressed`);
  }
  return type;
}

async function readBytes(
  request: Request,
  maxBytes: number,
  tooLarge = new AppError("payload_too_large", `the body may have ${maxBytes} bytes at most`),
): Promise<Uint8Array> {
  const drainedBytes = maxBytes * DRAINED_TIMES;
  if (Number(request.headers.get("content-length")) > drainedBytes) throw tooLarge;
  const chunks: Uint8Array[] = [];
  let total = 0;
  // A request's body is bytes.
  const body: AsyncIterable<Uint8Array> | Uint8Array[] = request.body ?? [];
  for await (const chunk of body) {
    total += chunk.byteLength;
    if (total > drainedBytes) throw tooLarge;
    if (total <= maxBytes) chunks.push(chunk);
  }
  if (total > maxBytes) throw tooLarge;
  const [only] = chunks;
  if (chunks.length === 1 && only) return only;
  const bytes = new Uint8Array(total);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.byteLength;
  }
  return bytes;
}

export function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch {
    throw new AppError("invalid_json", "the body is not in UTF-8");
  }
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new AppError("invalid_json", "the body is not valid JSON");
  }
}

/** The value as its schema makes it; else an error that names what does not fit, never the value. */
export function checkShape<T extends z.ZodType>(value: unknown, schema: T): z.infer<T> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues
    .slice(0, MAX_ISSUES)
    .map((issue) => ({ path: placeOf(issue).map(String).join("."), message: issue.message }));
  throw new AppError("invalid_request", "the request does not fit its schema", { details: { issues } });
}

/** Of a name that no schema has: that name, where it stands. */
function placeOf(issue: z.core.$ZodIssue): PropertyKey[] {
  return issue.code === "unrecognized_keys" ? [...issue.path, ...issue.keys.slice(0, 1)] : issue.path;
}
