/**
 * A client of a deployment's API, as any user's. State: the credential, and the sessions that it has made. Refuses an answer with another
 * status than the one that a step expects, naming the error's code and the request's id.
 */
import * as z from "zod";
import { createEventDecoder, isTerminal, type NumberedEvent } from "../../contracts/events.ts";

const TIMEOUT_MS = 120_000;
const ErrorBody = z.object({ error: z.object({ code: z.string(), request_id: z.string() }) });

interface Asked {
  method?: string;
  body?: object;
  headers?: Record<string, string>;
  /** Statuses that are right; left out: 200. */
  expect?: readonly number[];
}

export class ApiClient {
  token: string | undefined;
  readonly sessions = new Set<string>();
  readonly #url: URL;

  constructor(url: URL, token: string | undefined) {
    this.#url = url;
    this.token = token;
  }

  async call(path: string, { method, body, headers, expect = [200] }: Asked = {}): Promise<Response> {
    const response = await fetch(new URL(path, this.#url), {
      method: method ?? (body === undefined ? "GET" : "POST"),
      headers: {
        ...(this.token !== undefined && { authorization: `Bearer ${this.token}` }),
        ...(body !== undefined && { "content-type": "application/json" }),
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const session = response.headers.get("x-session-id");
    if (session !== null) this.sessions.add(session);
    if (!expect.includes(response.status))
      throw new Error(`${method ?? ""} ${path}: ${await describe(response)}`.trim());
    return response;
  }

  async read<T extends z.ZodType>(schema: T, path: string, asked?: Asked): Promise<z.output<T>> {
    const response = await this.call(path, asked);
    const parsed = schema.safeParse(await response.json());
    if (!parsed.success) throw new Error(`${path}: not what the API's document says: ${z.prettifyError(parsed.error)}`);
    return parsed.data;
  }
}

/** A status; and of our own errors the code and the request's id, by which the logs are searched. */
async function describe(response: Response): Promise<string> {
  const parsed = ErrorBody.safeParse(await response.json().catch(() => undefined));
  if (!parsed.success) return `answered ${response.status}`;
  const { code, request_id } = parsed.data.error;
  return `answered ${response.status} ${code} (request ${request_id})`;
}

/** A stream's events; leaves as soon as `until` holds. */
export async function readEvents(
  { body }: Response,
  until: (event: NumberedEvent) => boolean = isTerminal,
): Promise<NumberedEvent[]> {
  if (body === null) throw new Error("the stream has no body");
  const decoder = createEventDecoder();
  const events: NumberedEvent[] = [];
  for await (const text of body.pipeThrough(new TextDecoderStream())) {
    for (const event of decoder.push(text)) {
      events.push(event);
      if (until(event)) return events;
    }
  }
  throw new Error(`the stream broke after ${events.length} events`);
}
