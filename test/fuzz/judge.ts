/**
 * What is wrong with a reply to a fuzz request: nothing, or why no client should ever see it. Pure but for the API's document.
 */
import { AnyError, findMismatch } from "../documented.ts";
import type { FuzzReply } from "./client.ts";
import type { FuzzRequest } from "./requests.ts";

/** Traces of a stack, of SQL, or of where the code lies. */
const INTERNALS =
  /\n? {4}at |\.(ts|js):\d+|\b(select|insert into|update|delete from)\b.+\b(from|values|set|where)\b|syntax error|relation "|SQLITE_|NeonDbError|TypeError|Drizzle/i;
/** Strings of a request that are long enough to be nobody else's. */
const TELLING_CHARS = 14;

export async function findFault(
  request: FuzzRequest,
  reply: FuzzReply,
  secrets: readonly string[],
): Promise<string | undefined> {
  const { status, text } = reply;
  if (status >= 500 && !isAskedFor(request, reply)) return `${status}: ${text.slice(0, 300)}`;
  if (status >= 300) {
    const fault = findInError(request, reply);
    if (fault !== undefined) return `${status}: ${fault}: ${text.slice(0, 300)}`;
  }
  if (secrets.some((secret) => text.includes(secret))) return `${status}: the reply holds a credential`;
  const { method, path } = request;
  const response = new Response(status === 204 || method === "HEAD" || text === "" ? null : text, reply);
  return findMismatch({ method, path, response });
}

/**
 * `only-if-cached` asks for an error in place of a model's answer, a place that a local runtime does not have is refused, and the demo model
 * cannot make JSON of every question.
 */
function isAskedFor({ body }: FuzzRequest, { status, text }: FuzzReply): boolean {
  if (status === 502) return text.includes('"invalid_model_output"') && String(body).includes("json_");
  if (status === 503) return text.includes('"not_configured"') && /"residency" *: *"eu"/.test(String(body));
  return status === 504 && text.includes('"cache_miss"') && String(body).includes("only-if-cached");
}

function findInError(request: FuzzRequest, { headers, text }: FuzzReply): string | undefined {
  if (request.method === "HEAD") return undefined;
  if (INTERNALS.test(text)) return "it shows how it is made";
  if (stringsOf(request.body).some((told) => text.includes(told))) return "it repeats what was sent";
  const requestId = headers.get("x-request-id");
  if (requestId === null) return "it has no request id";
  const body = parse(text);
  if (typeof body === "object" && body !== null && "jsonrpc" in body) return undefined;
  const parsed = AnyError.safeParse(body);
  if (!parsed.success) return "it is no error of ours";
  return parsed.data.error.request_id === requestId ? undefined : "its request id is another one";
}

/** The values of a body that are texts, not its names: those are told in an error, so that they can be mended. */
function stringsOf(body: string | Buffer | undefined): string[] {
  const found: string[] = [];
  const left: unknown[] = [parse(String(body))];
  while (left.length > 0) {
    const value = left.pop();
    if (typeof value === "string" && value.length >= TELLING_CHARS) found.push(value);
    else if (typeof value === "object" && value !== null) for (const inner of Object.values(value)) left.push(inner);
  }
  return found;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
