/**
 * Requests to a route, from its own schemas: good ones, ones with a flaw or more in a field, the query, the path, a header or the method,
 * and bodies that are none. Pure; ids are marks (values.ts).
 */
import fc from "fast-check";
import type { Route } from "../../workers/main/http/route.ts";
import { BODIES, CREDENTIALS, HEADERS, METHODS, PATH_CHANGES, QUERIES, STRINGS } from "./hostile.ts";
import { type Making, seldom, textOf, toJsonSchema, valueOf } from "./values.ts";

export interface FuzzRequest {
  /** The route that it is meant for. */
  route: string;
  /** A credential is not looked at. */
  isOpen: boolean;
  method: string;
  path: string;
  headers: Record<string, string>;
  body: string | Buffer | undefined;
  /** Which of the people of the house asks; or what is sent in the place of a credential. */
  as: number | string;
  chunked: boolean;
}

const INITIALIZE =
  '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},' +
  '"clientInfo":{"name":"fuzz","version":"1"}}}';

/** Bodies of routes that read them themselves. */
const RAW_BODIES: Readonly<Record<string, readonly string[]>> = {
  "/mcp": [
    ...[INITIALIZE, INITIALIZE, INITIALIZE],
    '{"jsonrpc":"2.0","id":1,"method":"tools/list"}',
    '{"jsonrpc":"2.0","id":0,"method":"ping"}',
    '{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"echo","arguments":{"text":"x"}}}',
    '{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"calculator","arguments":{"expression":"1+1"}}}',
    '{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"calculator","arguments":{"expression":"((((("}}}',
    '{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"__proto__","arguments":{"__proto__":1}}}',
    '{"jsonrpc":"2.0","id":null,"method":"ping"}',
    '{"jsonrpc":"2.0","method":"notifications/initialized"}',
    '{"jsonrpc":"1.0","id":1,"method":"ping"}',
    '[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"ping"}]',
    `[${Array.from({ length: 101 }, (_, id) => `{"jsonrpc":"2.0","id":${id},"method":"ping"}`).join(",")}]`,
    '{"jsonrpc":"2.0","id":1,"method":"nothing","params":[1]}',
  ],
  "/history/sessions/{session_id}/attachments": ["a,b\n1,2\n", "\u0000", " ", "%PDF-1.4\n%%EOF", "<svg/>"],
  "/history/import": [
    "\n",
    "{}",
    '{"type":"session","version":1,"id":"01a208de-e947-7048-8025-8d0d150d1078","title":"\\u0000 x","model_type":null,' +
      '"model_name":"m","is_active":true,"created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"}\n',
    '[{"title":"a","create_time":1,"update_time":1,"mapping":{},"conversation_id":"01a208de-e947-7048-8025-8d0d150d1078"}]',
    '[{"title":"a","mapping":{"a":{"id":"a","parent":"b","children":["b"]},"b":{"id":"b","parent":"a","children":["a"]}}}]',
  ],
};

const MOODS = [
  { weight: 4, badPercent: 0 },
  { weight: 4, badPercent: 10 },
  { weight: 2, badPercent: 45 },
];

/** How often a route is asked, beside the others' ten: whoever is erased cannot ask any more; signing in costs 0.2 s. */
const WEIGHTS: Readonly<Record<string, number>> = {
  "DELETE /history/users/{user_id}": 1,
  "PATCH /history/users/{user_id}": 4,
  "DELETE /history/sessions/{session_id}": 3,
  "POST /history/users": 8,
  "POST /auth/login": 4,
  "GET /health": 2,
  "GET /openapi.json": 1,
  "GET /docs": 1,
  "GET /docs/{file}": 2,
};
const WEIGHT = 10;

/** `people`: how many may ask. */
export function anyRequest(routes: readonly Route[], people: number): fc.Arbitrary<FuzzRequest> {
  return fc.oneof(
    ...routes.map((route) => {
      const weight = WEIGHTS[`${route.method} ${route.path}`] ?? WEIGHT;
      return { weight, arbitrary: requestTo(route, people) };
    }),
  );
}

/** With nothing in it that is meant to be bad. */
export function goodRequest(route: Route, people: number): fc.Arbitrary<FuzzRequest> {
  return requestOf(route, people, 0);
}

function requestTo(route: Route, people: number): fc.Arbitrary<FuzzRequest> {
  return fc.oneof(
    ...MOODS.map(({ weight, badPercent }) => ({ weight, arbitrary: requestOf(route, people, badPercent) })),
  );
}

function requestOf(route: Route, people: number, badPercent: number): fc.Arbitrary<FuzzRequest> {
  const rarely = badPercent / 5;
  return fc
    .record({
      method: seldom(rarely, fc.constant<string>(route.method), fc.constantFrom(...METHODS)),
      path: pathOf(route, badPercent),
      query: queryOf(route, badPercent),
      body: bodyOf(route, badPercent),
      headers: headersOf(badPercent),
      as: seldom<number | string>(rarely, fc.nat(people - 1), fc.constantFrom(...CREDENTIALS)),
      chunked: seldom(badPercent, fc.constant(false), fc.constant(true)),
    })
    .map(({ query, path, headers, ...rest }) => ({
      ...{ route: `${route.method} ${route.path}`, isOpen: route.access === "open", ...rest },
      path: query === "" ? path : `${path}?${query}`,
      headers: { ...typeOf(route), ...headers },
    }));
}

function typeOf({ path, body, bodyType }: Route): Record<string, string> {
  if (body === undefined) return {};
  const protocol = { accept: "application/json, text/event-stream", "mcp-session-id": "{{mcp_session own 0}}" };
  const type = [bodyType ?? "application/json"].flat().at(-1) ?? "";
  return { "content-type": type, ...(path === "/mcp" && protocol) };
}

function makingOf(schema: { $defs?: Making["defs"] }, badPercent: number): Making {
  return { badPercent, defs: schema.$defs ?? {} };
}

function pathOf({ path, params }: Route, badPercent: number): fc.Arbitrary<string> {
  const schema = params ? toJsonSchema(params) : {};
  const parts = path.split("/").map((part) => {
    const name = /^\{(\w+)\}$/.exec(part)?.[1];
    if (name === undefined) return fc.constant(part);
    return textOf(schema.properties?.[name] ?? {}, makingOf(schema, badPercent), name).map(encode);
  });
  const written = fc.tuple(...parts).map((made) => made.join("/"));
  const changed = fc.tuple(written, fc.constantFrom(...PATH_CHANGES)).map(([made, change]) => change(made));
  return seldom(badPercent / 5, written, changed);
}

/** A mark is left as it is for the sender. */
function encode(text: string): string {
  return text.startsWith("{{") ? text : encodeURIComponent(text.toWellFormed()).replaceAll(".", "%2e");
}

function queryOf({ query }: Route, badPercent: number): fc.Arbitrary<string> {
  const schema = query ? toJsonSchema(query) : {};
  const making = makingOf(schema, badPercent);
  const pairs = Object.entries(schema.properties ?? {}).map(([name, value]) => {
    const pair = textOf(value, making, name).map((text) => `${name}=${encode(text)}`);
    const absence = schema.required?.includes(name) ? 5 : 70;
    return seldom(absence, pair, fc.constant(""));
  });
  const good = fc.tuple(...pairs).map((made) => made.filter((pair) => pair !== "").join("&"));
  return seldom(badPercent / 3, good, fc.constantFrom(...QUERIES));
}

function bodyOf({ body, path }: Route, badPercent: number): fc.Arbitrary<string | Buffer | undefined> {
  const hostile = fc.constantFrom<string | Buffer | undefined>(...BODIES);
  if (body === undefined) return seldom<string | Buffer | undefined>(badPercent / 3, fc.constant(undefined), hostile);
  if (body === "raw") {
    return seldom<string | Buffer | undefined>(badPercent / 2, fc.constantFrom(...(RAW_BODIES[path] ?? [""])), hostile);
  }
  const schema = toJsonSchema(body);
  const written = valueOf(schema, makingOf(schema, badPercent / 2)).map((value) => JSON.stringify(value));
  return seldom<string | Buffer | undefined>(badPercent / 5, written, hostile);
}

function headersOf(badPercent: number): fc.Arbitrary<Record<string, string>> {
  const one = fc
    .constantFrom(...Object.keys(HEADERS))
    .chain((name) => fc.constantFrom(...(HEADERS[name] ?? [])).map((value) => ({ [name]: value })));
  const strange = fc.constantFrom(...STRINGS.filter(isSendable)).map((value) => ({ "idempotency-key": value }));
  const none = fc.constant<Record<string, string>>({});
  const keyed = fc.nat(40).map((at) => ({ "idempotency-key": `key-${at}` }));
  const mostly = fc.oneof({ weight: 12, arbitrary: none }, { weight: 1, arbitrary: keyed });
  return seldom<Record<string, string>>(badPercent / 2, mostly, fc.oneof(one, one, strange));
}

function isSendable(text: string): boolean {
  return /^[\x20-\x7e\x80-\xff]{0,500}$/.test(text);
}
