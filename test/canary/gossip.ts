/**
 * A gossip in front of a service: it passes everything on, or answers with all that it was told, in one of the forms of a failure.
 * State: what it has heard, and its mode: `up`, or the name of a form. A client of it must not repeat a word of that.
 */
import type { ServerResponse } from "node:http";
import { serveStandIn, type StandIn, type StandInRequest } from "../../dev/stand-ins/serve.ts";

export interface Gossip extends StandIn {
  /** Everything that it was sent, as text. */
  heard: string[];
}

interface GossipOptions {
  name: string;
  /** What it stands in front of, which takes other credentials: `headers` go in the place of the client's. */
  target: () => string;
  headers: Record<string, string>;
}

type Form = (told: string, response: ServerResponse) => void;

const json = (response: ServerResponse, status: number, body: unknown): void =>
  void response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
const text = (response: ServerResponse, status: number, type: string, body: string): void =>
  void response.writeHead(status, { "content-type": type }).end(body);

/** An error as OpenAI, PostgreSQL and Upstash write theirs, all in one. */
const errorOf = (told: string, code: string) => ({
  error: { message: told, type: told, param: told, code },
  ...{ message: told, severity: "ERROR", code, detail: told, hint: told, where: told, constraint: told },
});

const FORMS: Readonly<Record<string, Form>> = {
  ...Object.fromEntries(
    [400, 401, 403, 404, 409, 413, 422, 429, 500, 503].map((status): [string, Form] => [
      String(status),
      (told, response) => json(response, status, errorOf(told, "invalid_request")),
    ]),
  ),
  syntax: (told, response) => json(response, 400, errorOf(told, "42601")),
  unique: (told, response) => json(response, 400, errorOf(told, "23505")),
  values: (told, response) => json(response, 400, errorOf(told, "22P02")),
  context: (told, response) => json(response, 400, errorOf(told, "context_length_exceeded")),
  command: (told, response) => json(response, 400, { error: `ERR unknown command ${told}` }),
  commands: (told, response) => json(response, 200, [{ error: `ERR ${told}` }, { result: told }]),
  result: (told, response) => json(response, 200, { result: told }),
  odd: (told, response) =>
    json(response, 200, { rows: [[told]], fields: [{ name: told }], choices: [{ message: told }] }),
  page: (told, response) => text(response, 502, "text/html", `<html><body>${told}</body></html>`),
  login: (told, response) => text(response, 200, "text/html", `<html><title>Sign in</title>${told}</html>`),
  plain: (told, response) => text(response, 200, "text/plain", told),
  away: (told, response) =>
    void response.writeHead(302, { location: `https://elsewhere.example/?${encodeURI(told)}` }).end(),
  stream: (told, response) =>
    text(response, 200, "text/event-stream", `data: ${JSON.stringify(errorOf(told, "x"))}\n\n`),
  frames: (told, response) =>
    text(response, 200, "text/event-stream", `data: {"choices":${told}\n\nevent: ${told}\n\n`),
  header: (told, response) =>
    void response
      .writeHead(400, { "content-type": "application/json", "x-told": encodeURI(told).slice(0, 8_000) })
      .end("{"),
};

export const GOSSIP_FORMS = Object.keys(FORMS);

export async function serveGossip({ name, target, headers }: GossipOptions): Promise<Gossip> {
  const heard: string[] = [];
  const standIn = await serveStandIn({
    name,
    modes: GOSSIP_FORMS,
    handle: async (request, response, { mode }) => {
      const told = `${JSON.stringify(request.headers)} ${request.body.toString("utf8")}`;
      heard.push(told);
      const form = FORMS[mode];
      if (form === undefined) await pass(request, response, { target: target(), headers });
      else form(told, response);
    },
  });
  return { ...standIn, heard };
}

async function pass(
  { method, path, headers, body, signal }: StandInRequest,
  response: ServerResponse,
  to: { target: string; headers: Record<string, string> },
): Promise<void> {
  const kept = Object.entries(headers).filter(([name]) => !["host", "connection", "content-length"].includes(name));
  const answer = await fetch(to.target + path, {
    ...{ method, signal },
    headers: { ...Object.fromEntries(kept.map(([name, value]) => [name, String(value)])), ...to.headers },
    ...(body.length > 0 && { body: new Uint8Array(body) }),
  });
  const named = [...answer.headers].filter(([name]) => !["content-encoding", "content-length"].includes(name));
  response.writeHead(answer.status, Object.fromEntries(named));
  for await (const piece of answer.body ?? []) response.write(piece);
  response.end();
}
