/**
 * Requests as fetch would not send them: a GET with a body, a path that is not tidied, whatever is written to the socket.
 * A reply that the API's document does not describe fails as in a house's `call`. No state.
 */
import { type IncomingHttpHeaders, request as httpRequest } from "node:http";
import { connect } from "node:net";
import { findMismatch } from "./documented.ts";
import type { House, Tenant } from "./house.ts";

export interface RawRequest {
  as?: Tenant;
  method?: string;
  headers?: Record<string, string>;
  body?: string | Buffer;
  /** Without Content-Length. */
  chunked?: boolean;
}

export interface RawReply {
  status: number;
  headers: Headers;
  text: string;
  /** Of the error envelope. */
  code: string | undefined;
}

export async function send(house: House, path: string, options: RawRequest = {}): Promise<RawReply> {
  const { method = "GET" } = options;
  const { status, headers, text } = await exchange(house, path, options);
  const isBodiless = method === "HEAD" || status === 204;
  const mismatch = await findMismatch({
    ...{ method, path },
    response: new Response(isBodiless ? null : text, { status, headers }),
  });
  if (mismatch !== undefined) throw new Error(`not as the API's document says:\n${mismatch}`);
  return { status, headers, text, code: /"code":"(\w+)"/.exec(text)?.[1] };
}

type Plain = Omit<RawReply, "code">;

function exchange(
  house: House,
  path: string,
  { as, method = "GET", headers, body, chunked }: RawRequest,
): Promise<Plain> {
  const length = body === undefined ? {} : { "content-length": String(Buffer.byteLength(body)) };
  const framing = chunked ? { "transfer-encoding": "chunked" } : length;
  const credential = as && { authorization: `Bearer ${as.apiKey}` };
  return new Promise((resolve, reject) => {
    const options = { method, path, host: house.url.hostname, port: house.url.port, agent: false };
    const request = httpRequest({ ...options, headers: { ...credential, ...framing, ...headers } }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => void chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const text = Buffer.concat(chunks).toString();
        resolve({ status: response.statusCode ?? 0, headers: toHeaders(response.headers), text });
      });
    });
    request.on("error", reject);
    if (chunked) for (const piece of pieces(body ?? "")) request.write(piece);
    request.end(chunked ? undefined : body);
  });
}

function toHeaders(received: IncomingHttpHeaders): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(received)) headers.set(name, String(value));
  return headers;
}

function pieces(body: string | Buffer): Buffer[] {
  const bytes = Buffer.from(body);
  const size = 100_000;
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) => bytes.subarray(at * size, (at + 1) * size));
}

/** Writes text to a socket and gives what comes back until the other side is done, or until it holds so many status lines. */
export function speak(house: House, text: string, replies = 1): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(house.url.port), house.url.hostname);
    let received = "";
    socket.setEncoding("utf8");
    socket.on("data", (piece: string) => {
      received += piece;
      if (received.split(/HTTP\/1\.[01] (?!100)/).length > replies && received.includes("\r\n\r\n")) socket.end();
    });
    socket.on("close", () => resolve(received));
    socket.on("error", reject);
    socket.write(text);
  });
}
