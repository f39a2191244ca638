/** HTTP itself, over every route of the table: a new route is asked all of this without a word here. */
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText } from "ai";
import { OpenAI } from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Route } from "../workers/main/http/route.ts";
import { DOCUMENT, methodsAt, operationOf, ROUTES } from "./documented.ts";
import { type House, openHouse, readEvents, type Tenant } from "./house.ts";
import { type RawRequest, send, speak } from "./raw-http.ts";

const ID = "01a208de-6660-7c32-a3a9-606e4aa602fc";
const LISTED = "https://good.example";
const LOCAL_PAGE = "http://localhost:5173";
const MCP_PAGE = "https://mcp.example";
const JSON_TYPE = { "content-type": "application/json" };
const MAX_BODY_BYTES = 1024 * 1024;

let house: House;
let as: Tenant;
beforeAll(async () => {
  const settings = { CORS_ORIGINS: `${LISTED}, ${LOCAL_PAGE}`, MCP_ALLOWED_ORIGINS: `${LISTED}, ${MCP_PAGE}` };
  house = await openHouse({ settings });
  as = await house.newTenant("admin");
});
afterAll(() => house.close());

const paths = (): string[] => [...new Set(ROUTES.map(samplePath))];
const JSON_ROUTES = ROUTES.filter(({ body }) => body !== undefined && body !== "raw");
const RAW_ROUTES = ROUTES.filter(({ body }) => body === "raw");
const BODILESS_ROUTES = ROUTES.filter(({ body }) => body === undefined);
const nameOf = ({ method, path }: Route): string => `${method} ${path}`;

/** A path that its route's schema accepts. */
function samplePath(route: Route): string {
  const parameters = operationOf(route)["parameters"] as { in: string; name: string; schema: Schema }[] | undefined;
  const samples = new Map(parameters?.map(({ name, schema }) => [name, sampleOf(schema)]));
  if (route.others === "nobody") samples.set("user_id", as.id);
  return route.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => samples.get(name) ?? "x");
}

type Schema = Partial<{ format: string; enum: string[]; type: string; minimum: number }>;

function sampleOf(schema: Schema): string {
  if (schema.format === "uuid") return ID;
  return schema.enum?.[0] ?? (schema.type === "integer" ? String(schema.minimum ?? 1) : "x");
}

/** Sends the same request to each route, and says which of them answered otherwise than expected. */
async function expectOfEach(
  routes: Route[],
  request: RawRequest,
  isExpected: (answer: { status: number; code: string | undefined }, route: Route) => boolean,
  suffix = "",
): Promise<void> {
  const surprises: string[] = [];
  for (const route of routes) {
    const { status, code, text } = await send(house, samplePath(route) + suffix, {
      as,
      method: route.method,
      ...request,
    });
    if (!isExpected({ status, code }, route)) surprises.push(`${nameOf(route)}: ${status} ${text.slice(0, 200)}`);
  }
  expect(routes.length).toBeGreaterThan(0);
  expect(surprises).toEqual([]);
}

const is =
  (...codes: string[]) =>
  ({ code = "none" }: { code: string | undefined }): boolean =>
    codes.includes(code);
/** A route that reads its body itself says itself what it is; the document has it. */
const isNoFault = ({ status }: { status: number }): boolean => status < 500;

describe("bodies", () => {
  test("[B1] empty and missing ones", async () => {
    for (const body of ["", undefined]) {
      await expectOfEach(JSON_ROUTES, { headers: JSON_TYPE, ...(body !== undefined && { body }) }, is("invalid_json"));
      await expectOfEach(RAW_ROUTES, { headers: JSON_TYPE, ...(body !== undefined && { body }) }, isNoFault);
    }
  });

  test("[B3] that are no object, also where none belongs", async () => {
    for (const body of ["null", "[]", '"x"', "1", "true"]) {
      await expectOfEach(JSON_ROUTES, { headers: JSON_TYPE, body }, is("invalid_json"));
      await expectOfEach(BODILESS_ROUTES, { headers: JSON_TYPE, body }, is("invalid_request"));
      await expectOfEach(RAW_ROUTES, { headers: JSON_TYPE, body }, isNoFault);
    }
  });

  test("[B4] in UTF-16, broken UTF-8 and Latin-1", async () => {
    const text = '{"prompt":"é"}';
    const broken = Buffer.concat([Buffer.from('{"prompt":"'), Buffer.from([0xc3, 0x28]), Buffer.from('"}')]);
    for (const body of [Buffer.from(text, "utf16le"), broken, Buffer.from(text, "latin1")]) {
      await expectOfEach(JSON_ROUTES, { headers: JSON_TYPE, body }, is("invalid_json"));
      await expectOfEach(RAW_ROUTES, { headers: JSON_TYPE, body }, isNoFault);
    }
  });

  test("[B5] a byte order mark changes nothing, on any route", () =>
    expectOfEach(JSON_ROUTES, { headers: JSON_TYPE, body: '\uFEFF{"no such field":1}' }, is("invalid_request")));

  test("[B7] nested 10,000 deep, with a million items, with 100,000 names", async () => {
    const deep = "[".repeat(10_000) + "]".repeat(10_000);
    const names = Array.from({ length: 100_000 }, (_, at) => `"${at}":1`).join(",");
    for (const value of [deep, `[${"1,".repeat(1e6)}1]`, `{${names}}`]) {
      await expectOfEach(
        JSON_ROUTES,
        { headers: JSON_TYPE, body: `{"no such field":${value}}` },
        is("invalid_request", "payload_too_large"),
      );
    }
    for (const route of JSON_ROUTES) {
      for (const field of fieldsOf(route)) {
        const body = `{${JSON.stringify(field)}:${deep}}`;
        await expectOfEach([route], { headers: JSON_TYPE, body }, is("invalid_request"));
      }
    }
    await expectOfEach(RAW_ROUTES, { headers: JSON_TYPE, body: deep }, isNoFault);
  });

  test("[B7] a tool's arguments may be anything, but not deep without end", async () => {
    const deep = `{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}`;
    const body = `{"decisions":[{"call_id":"c","decision":"approve","arguments":${deep}}]}`;
    const path = `/chat/turns/${ID}/approvals`;
    const { code } = await send(house, path, { as, method: "POST", headers: JSON_TYPE, body });
    expect(code).toBe("invalid_request");
  });

  test("[B8] one byte over the limit: with a length, in chunks without one; and the limit itself", async () => {
    const over = `{${" ".repeat(MAX_BODY_BYTES - 1)}}`;
    await expectOfEach(JSON_ROUTES, { headers: JSON_TYPE, body: over }, is("payload_too_large"));
    await expectOfEach(JSON_ROUTES, { headers: JSON_TYPE, body: over, chunked: true }, is("payload_too_large"));
    const full = `{"no such field":${" ".repeat(MAX_BODY_BYTES - 19)}1}`;
    expect(full).toHaveLength(MAX_BODY_BYTES);
    await expectOfEach(JSON_ROUTES, { headers: JSON_TYPE, body: full }, is("invalid_request"));
    await expectOfEach(BODILESS_ROUTES, { body: over, chunked: true }, is("invalid_request"));
  });

  test("[B8] longer than the length that was told: what comes after it is no part of the request", async () => {
    // Of a file of any kind a part is a file too.
    for (const route of [...JSON_ROUTES, ...RAW_ROUTES].filter(({ bodyType }) => !Array.isArray(bodyType))) {
      const head = `${route.method} ${samplePath(route)} HTTP/1.1\r\nHost: ${house.url.host}\r\nConnection: close\r\n`;
      const headers = `Authorization: Bearer ${as.apiKey}\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\n`;
      const reply = await speak(house, `${head}${headers}{"prompt":"Hi"}`);
      expect([nameOf(route), reply.slice(0, 12)]).toEqual([nameOf(route), "HTTP/1.1 400"]);
    }
  });

  test("[B8] compressed ones", () =>
    expectOfEach(
      JSON_ROUTES,
      { headers: { ...JSON_TYPE, "content-encoding": "gzip" }, body: Buffer.from([0x1f, 0x8b, 8, 0]) },
      is("unsupported_media_type"),
    ));

  test("[B9] of another media type, of another charset, of none", async () => {
    for (const type of ["text/plain", "multipart/form-data; boundary=x", "application/json; charset=utf-16"]) {
      const headers = { "content-type": type };
      await expectOfEach(JSON_ROUTES, { headers, body: "{}" }, is("unsupported_media_type"));
    }
    await expectOfEach(JSON_ROUTES, { body: "{}" }, is("unsupported_media_type"));
  });

  test("[B32] five megabytes of one word", async () => {
    const { calls } = house.llm.stats();
    const body = JSON.stringify({ prompt: "a ".repeat(2_500_000) });
    await expectOfEach(JSON_ROUTES, { headers: JSON_TYPE, body, chunked: true }, is("payload_too_large"));
    expect(house.llm.stats().calls).toBe(calls);
  });
});

/** The names that a route's body has in the document. */
function fieldsOf(route: Route): string[] {
  const body = operationOf(route)["requestBody"] as { content: Record<string, { schema: Record<string, unknown> }> };
  const schema = body.content["application/json"]?.schema ?? {};
  const name =
    String(schema["$ref"] ?? "")
      .split("/")
      .at(-1) ?? "";
  const named = DOCUMENT.components.schemas[name] ?? schema;
  return Object.keys(named["properties"] ?? {});
}

describe("paths and methods", () => {
  test("[B10] an Accept that asks for something else is not looked at", async () => {
    for (const route of ROUTES.filter(({ access }) => access !== "open")) {
      const { headers } = await send(house, samplePath(route), {
        method: route.method,
        headers: { accept: "image/png" },
      });
      expect([nameOf(route), headers.get("content-type")]).toEqual([nameOf(route), "application/json"]);
    }
    const { status, headers } = await send(house, "/chat/health", { as, headers: { accept: "image/png" } });
    expect([status, headers.get("content-type")]).toEqual([200, "application/json"]);
  });

  test("[B11] every other method of every path is 405, and Allow says which there are", async () => {
    const methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"];
    for (const path of paths()) {
      const allowed = methodsAt(path);
      for (const method of methods.filter((other) => !allowed.includes(other))) {
        const { status, headers, code = method } = await send(house, path, { as, method });
        const allow = headers.get("allow")?.split(", ").toSorted();
        const expected = {
          path,
          method,
          status: 405,
          allow: allowed,
          code: method === "HEAD" ? method : "method_not_allowed",
        };
        expect({ path, method, status, allow, code }).toEqual(expected);
      }
    }
  });

  test("[B11] a method that HTTP does not have is refused before it gets here", async () => {
    const reply = await speak(house, `BREW /chat HTTP/1.1\r\nHost: ${house.url.host}\r\nConnection: close\r\n\r\n`);
    expect(reply).toMatch(/^HTTP\/1\.1 (400|405|501) /);
  });

  test("[B12] a path near a route is not that route, and never another one", async () => {
    for (const route of ROUTES) {
      const path = samplePath(route);
      const isOpenEnded = route.path.endsWith("}"); // whatever follows is part of its last value
      const variants = [
        `${path}/`,
        `/${path}`,
        path.replace("/", "/%2f"),
        path.replace(/[a-z]/, (letter) => letter.toUpperCase()),
      ];
      for (const variant of [...variants, `${path}%2f..%2fhealth`, `${path}%00`, `${path};x=1`, `${path}%20`]) {
        const { status, code } = await send(house, variant, { as, method: route.method });
        const refusals = isOpenEnded
          ? ["not_found", "invalid_request", "invalid_json", "unsupported_media_type"]
          : ["not_found"];
        expect(refusals, `${route.method} ${variant}: ${status}`).toContain(code);
      }
    }
  });

  test("[B12] dots are resolved before a route is looked for, and the route found checks for itself", async () => {
    for (const route of ROUTES.filter(({ access }) => access !== "open")) {
      for (const prefix of ["/docs/%2e%2e", "/docs/..", "/health/%2E%2e/./docs/.%2e"]) {
        const { code } = await send(house, prefix + samplePath(route), { method: route.method });
        expect([prefix, nameOf(route), code]).toEqual([prefix, nameOf(route), "unauthorized"]);
      }
    }
  });

  test("[B13] a URL of 17 KB, 200 values, names in brackets, a name that comes twice", async () => {
    await expectOfEach(ROUTES, {}, is("uri_too_long"), `?a=${"a".repeat(17 * 1_024)}`);
    await expectOfEach(ROUTES, {}, is("uri_too_long"), `?${"a=1&".repeat(200)}`);
    await expectOfEach(ROUTES, {}, is("invalid_request"), "?a[b]=c");
    await expectOfEach(ROUTES, {}, is("invalid_request"), "?limit=1&limit=2");
    const { status } = await send(house, `/chat/health?${"&".repeat(99)}`, { as });
    expect(status).toBe(200);
  });

  test("[B84] an upgrade to WebSocket, Expect, HTTP/1.0 and requests sent at once are answered", async () => {
    const upgrade =
      "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
    for (const route of ROUTES) {
      const line = `${route.method} ${samplePath(route)} HTTP/1.1\r\nHost: ${house.url.host}\r\n`;
      const reply = await speak(house, `${line}${upgrade}Content-Length: 0\r\n\r\n`);
      expect(reply, nameOf(route)).toMatch(/^HTTP\/1\.1 [24]/);
    }
    const ask = (version: string, headers = "") =>
      `GET /chat/health HTTP/${version}\r\nHost: ${house.url.host}\r\nAuthorization: Bearer ${as.apiKey}\r\n${headers}\r\n`;
    expect(await speak(house, ask("1.0"))).toMatch(/^HTTP\/1\.[01] (200|505) /);
    expect(await speak(house, ask("1.1", "Expect: 100-continue\r\nConnection: close\r\n"))).toMatch(
      /^HTTP\/1\.1 (100|200|417) /,
    );
    const both = await speak(house, ask("1.1") + ask("1.1", "Connection: close\r\n"), 2);
    expect(both.match(/HTTP\/1\.1 200 /g)).toHaveLength(2);
  });
});

describe("pages of other origins", () => {
  const FOREIGN = [
    "https://evil.example",
    "null",
    "https://good.example.evil.com",
    "https://good.example:444",
    "http://good.example",
  ];

  test("[B54] get nothing from any route, whatever their credential", async () => {
    const { calls } = house.llm.stats();
    for (const origin of FOREIGN) await expectOfEach(ROUTES, { headers: { origin } }, is("forbidden"));
    await expectOfEach(ROUTES, { headers: { "sec-fetch-site": "cross-site" } }, is("forbidden"));
    const form = { origin: "https://evil.example", cookie: `token=${as.apiKey}`, "content-type": "text/plain" };
    await expectOfEach(JSON_ROUTES, { headers: form, body: '{"prompt":"Hi"}' }, is("forbidden"));
    expect(house.llm.stats().calls).toBe(calls);
  });

  test("[B54] but our own pages, listed ones and followed links do", async () => {
    const isLetIn = ({ code }: { code: string | undefined }): boolean => code !== "forbidden";
    for (const origin of [house.url.origin, LISTED, LOCAL_PAGE]) {
      await expectOfEach(ROUTES, { headers: { origin }, as: nobody }, isLetIn);
    }
    await expectOfEach(ROUTES, { headers: { origin: LISTED, "sec-fetch-site": "cross-site" }, as: nobody }, isLetIn);
    const link = { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" };
    expect((await send(house, "/docs", { headers: link })).status).toBe(200);
    expect((await send(house, "/chat", { as, method: "POST", headers: link })).code).toBe("forbidden");
  });

  test("[B55] a preflight lets listed pages in, and no others", async () => {
    const wanted = { "access-control-request-method": "POST", "access-control-request-headers": "authorization" };
    for (const path of paths()) {
      for (const origin of FOREIGN) {
        const { status, headers } = await send(house, path, { method: "OPTIONS", headers: { origin, ...wanted } });
        expect([path, status, headers.get("access-control-allow-origin")]).toEqual([path, 204, null]);
      }
      const { status, headers } = await send(house, path, {
        method: "OPTIONS",
        headers: { origin: LISTED, ...wanted },
      });
      expect([path, status, headers.get("access-control-allow-origin")]).toEqual([path, 204, LISTED]);
      expect(headers.get("access-control-allow-credentials")).toBeNull();
      expect(headers.get("access-control-allow-methods")?.split(",")).toEqual(
        expect.arrayContaining(["GET", "POST", "DELETE"]),
      );
      const allowed = headers.get("access-control-allow-headers")?.toLowerCase();
      for (const name of ["authorization", "content-type", "idempotency-key", "last-event-id"])
        expect(allowed).toContain(name);
    }
  });

  test("[V1-11] a listed page may use OpenAI's own client and the AI SDK, with every header that they send", async () => {
    const sent = new Set<string>();
    const noting: typeof fetch = (input, init) => {
      for (const [name] of new Request(input, init).headers) if (name !== "accept") sent.add(name);
      return fetch(input, init);
    };
    const baseURL = `${house.url.origin}/v1`;
    const { apiKey } = as;
    const named = { organization: "org", project: "proj", defaultHeaders: { "OpenAI-Beta": "assistants=v2" } };
    const client = new OpenAI({ ...{ apiKey, baseURL, fetch: noting, maxRetries: 0 }, ...named });
    const messages = [{ role: "user" as const, content: "Hello" }];
    await client.models.list();
    await client.chat.completions.stream({ model: "demo", messages }).finalContent();
    await client.responses.stream({ model: "demo", input: "Hello" }).finalResponse();
    const sdk = createOpenAICompatible({ name: "basechat", apiKey, baseURL, fetch: noting });
    await generateText({ model: sdk("demo"), messages });
    expect([...sent]).toEqual(expect.arrayContaining(["x-stainless-helper-method", "openai-project", "user-agent"]));

    const preflight = async (origin: string, names: string[]) => {
      const wanted = { "access-control-request-method": "POST", "access-control-request-headers": names.join(",") };
      const headers = { origin, ...wanted };
      const reply = await send(house, "/v1/chat/completions", { method: "OPTIONS", headers });
      const allowed = reply.headers.get("access-control-allow-headers")?.toLowerCase().split(",") ?? [];
      return {
        origin: reply.headers.get("access-control-allow-origin"),
        refused: names.filter((name) => !allowed.includes(name)),
      };
    };
    expect(await preflight(LISTED, [...sent].toSorted())).toEqual({ origin: LISTED, refused: [] });
    expect((await preflight("https://evil.example", [...sent])).origin).toBeNull();
    const strange = ["x-forwarded-for", "cookie", "x-stainless-", "x-stainless-lang;q=1"];
    expect((await preflight(LISTED, strange)).refused).toEqual(strange);
  });

  test("[B55] a listed page may read replies, errors and streams, and the headers that say something", async () => {
    const headers = { origin: LISTED };
    const replies = [
      await house.call("/chat/health", { as, headers }),
      await house.call("/chat/health", { headers }),
      await house.call("/nothing", { as, headers }),
      await house.call("/chat", { as, headers, method: "GET" }),
      await house.call(`/chat/health?${"a=1&".repeat(200)}`, { as, headers }),
      await house.call("/chat/stream", { as, headers, body: { prompt: "Hi" } }),
    ];
    expect(replies.map(({ status }) => status)).toEqual([200, 401, 404, 405, 414, 200]);
    for (const reply of replies) {
      expect(reply.headers.get("access-control-allow-origin")).toBe(LISTED);
      expect(reply.headers.get("access-control-allow-credentials")).toBeNull();
      expect(reply.headers.get("vary")).toMatch(/\bOrigin\b/);
      const exposed = reply.headers.get("access-control-expose-headers")?.split(",");
      expect(exposed).toEqual(expect.arrayContaining(["X-Request-Id", "X-Turn-Id", "X-Session-Id", "X-Cache"]));
      expect(exposed).toEqual(expect.arrayContaining(["Retry-After", "Idempotent-Replayed", "Age", "RateLimit"]));
      await reply.body?.cancel();
    }
  });

  test("[B55] /mcp takes a page that is in both lists, and refuses one that is in one of them", async () => {
    const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "page", version: "1" } };
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize", params });
    const headers = { ...JSON_TYPE, accept: "application/json, text/event-stream" };
    const statuses: Record<string, number> = {};
    for (const origin of [LISTED, LOCAL_PAGE, MCP_PAGE]) {
      const reply = await send(house, "/mcp", { as, method: "POST", body, headers: { ...headers, origin } });
      statuses[origin] = reply.status;
    }
    expect(statuses).toEqual({ [LISTED]: 200, [LOCAL_PAGE]: 403, [MCP_PAGE]: 403 });
  });

  test("[B55] a list that is malformed lets nobody in", async () => {
    const closed = await openHouse({ settings: { CORS_ORIGINS: `${LISTED}, *` } });
    const { code } = await send(closed, "/health", { headers: { origin: LISTED } });
    expect(code).toBe("forbidden");
    expect(await (await closed.call("/health")).json()).toMatchObject({ configuration: ["CORS_ORIGINS is malformed"] });
    await closed.close();
  });
});

describe("headers of replies", () => {
  const SECURE = {
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=15552000; includeSubDomains",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "x-powered-by": null,
    server: null,
  };

  function expectSecure(name: string, headers: Headers): void {
    const found = Object.fromEntries(Object.keys(SECURE).map((header) => [header, headers.get(header)]));
    expect({ name, ...found }).toEqual({ name, ...SECURE });
    expect(headers.get("content-security-policy"), name).toMatch(/^default-src 'none'; .*frame-ancestors 'none'/);
    expect(headers.get("cache-control"), name).toMatch(/^(no-store|public, max-age=3600)/);
    expect(headers.get("x-request-id"), name).toMatch(/^[0-9a-f-]{36}$/);
  }

  test("[S8] every route's replies and refusals have the security headers", async () => {
    for (const route of ROUTES) {
      const path = samplePath(route);
      for (const request of [{ as }, {}, { as, headers: { origin: "https://evil.example" } }]) {
        expectSecure(nameOf(route), (await send(house, path, { method: route.method, ...request })).headers);
      }
      expectSecure(
        `${path} too long`,
        (await send(house, `${path}?${"a&".repeat(200)}`, { as, method: route.method })).headers,
      );
    }
  });

  test("[S8] so have 404, 405, HEAD, OPTIONS and preflights", async () => {
    expectSecure("/nothing", (await send(house, "/nothing")).headers);
    const preflight = { origin: LISTED, "access-control-request-method": "POST" };
    for (const path of paths()) {
      expectSecure(`HEAD ${path}`, (await send(house, path, { as, method: "HEAD" })).headers);
      expectSecure(`OPTIONS ${path}`, (await send(house, path, { method: "OPTIONS" })).headers);
      expectSecure(`preflight ${path}`, (await send(house, path, { method: "OPTIONS", headers: preflight })).headers);
    }
  });

  test("[S8] so have a turn's reply, its streams, and a HEAD of one, which has no body", async () => {
    const reply = await house.call("/chat", { as, body: { prompt: "Hi" } });
    expectSecure("POST /chat", reply.headers);
    const stream = await house.call("/chat/stream", { as, body: { prompt: "Hi again" } });
    expectSecure("POST /chat/stream", stream.headers);
    await readEvents(stream);
    const path = `/chat/turns/${stream.headers.get("x-turn-id")}/stream`;
    const head = await house.call(path, { as, method: "HEAD" });
    expectSecure("HEAD of a stream", head.headers);
    expect([head.status, head.headers.get("content-type"), await head.text()]).toEqual([
      200,
      "text/event-stream; charset=utf-8",
      "",
    ]);
  });
});

const nobody: Tenant = { id: "", apiKey: "" };
