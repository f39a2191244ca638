/** The API's document against the router, a public linter, the page that shows it, and the replies that the tests see. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { lintDocument } from "../dev/openapi.ts";
import { noParts } from "../dev/routes.ts";
import { createApp } from "../workers/main/app.ts";
import { DOCUMENT, findMismatch, operationOf, ROUTES } from "./documented.ts";
import { type House, openHouse, type Tenant } from "./house.ts";

const ID = "01a208de-6660-7c32-a3a9-606e4aa602fc";

let house: House;
let as: Tenant;
beforeAll(async () => {
  house = await openHouse();
  as = await house.newTenant("admin");
});
afterAll(() => house.close());

const nameOf = ({ method, path }: { method: string; path: string }): string => `${method} ${path}`;
const documented = Object.entries(DOCUMENT.paths).flatMap(([path, operations]) =>
  Object.keys(operations).map((method) => ({ method: method.toUpperCase(), path })),
);

describe("the document and the router", () => {
  test("[API-1] [S9] every route that the router serves is documented, and every documented one is served", () => {
    const served = createApp(noParts())
      .routes.filter(({ method }) => method !== "ALL")
      .map(({ method, path }) => nameOf({ method, path: path.replaceAll(/:(\w+)/g, "{$1}") }));
    expect(served.length).toBeGreaterThan(10);
    expect(served.toSorted()).toEqual(documented.map(nameOf).toSorted());
  });

  test("[API-1] a deployment shows the same document to anyone, and it names neither a host nor a setting", async () => {
    const response = await house.call("/openapi.json");
    const text = await response.text();
    expect(JSON.parse(text)).toEqual(DOCUMENT);
    expect(text).not.toMatch(/https?:\/\/|localhost|127\.0\.0\.1|[A-Z]+_(KEY|URL|TOKEN|SECRET)/);
    const { version } = JSON.parse(await readFile(join(import.meta.dirname, "../package.json"), "utf8"));
    expect(DOCUMENT).toMatchObject({ openapi: "3.1.0", info: { version }, servers: [{ url: "/" }] });
  });

  test("[API-1] every documented route answers as itself", async () => {
    for (const { method, path } of documented) {
      const body = method === "GET" || method === "DELETE" ? {} : { body: "" };
      const response = await house.call(path.replaceAll(/\{\w+\}/g, ID), { as, method, ...body });
      expect(await response.text(), nameOf({ method, path })).not.toMatch(/no such route|no such method/);
    }
  });

  test("[S9] paths that a scanner tries lead nowhere", async () => {
    const guesses = ["", ".env", ".git/config", "admin", "api", "debug", "console", "graphql", "status"];
    const more = ["swagger", "swagger.json", "api-docs", "v1", "v2/api-docs", "redoc", "index.html", "server-status"];
    const nearby = [
      "docs/",
      "docs/index.html",
      "public/docs/start.js",
      "openapi.yaml",
      "chat/../docs",
      "cdn-cgi/mf/reload",
    ];
    for (const path of [...guesses, ...more, ...nearby]) {
      const response = await house.call(`/${path}`, { as });
      expect([path, response.status]).toEqual([path, path === "chat/../docs" ? 200 : 404]);
    }
  });

  test("[API-1] says who may call a route", () => {
    for (const route of ROUTES) {
      const { security, responses } = operationOf(route);
      expect(security).toEqual(route.access === "open" ? [] : [{ bearer: [] }]);
      expect(Object.hasOwn(responses, "401") || route.access === "open").toBe(true);
    }
  });
});

describe("the linter", () => {
  test("[API-2] finds nothing in the document", async () => {
    expect(await lintDocument(DOCUMENT)).toMatchObject({ passed: true });
  });

  test("[API-2] would find what is wrong", async () => {
    const lost = { $ref: "#/components/responses/nowhere" };
    const operation = { ...operationOf(ROUTES[0] ?? noRoute()), responses: { 200: lost } };
    const { passed, text } = await lintDocument({ ...DOCUMENT, paths: { "/health": { get: operation } } });
    expect({ passed, text }).toEqual({ passed: false, text: expect.stringContaining("no-unresolved-refs") });
  });
});

describe("replies in tests", () => {
  const exchange = (path: string, status: number, body?: unknown) => {
    const response = body === undefined ? new Response(null, { status }) : Response.json(body, { status });
    return findMismatch({ method: "GET", path, response });
  };
  const failure = (code: string) => ({ error: { code, message: "no", request_id: "1" } });

  test("[API-3] are held against the document", async () => {
    expect(await exchange("/chat/health", 200, { status: "healthy" })).toBeUndefined();
    expect(await exchange("/chat/health", 200, { status: "healthy", more: 1 })).toMatch(/#\/more: /);
    expect(await exchange("/chat/health", 200, {})).toMatch(/required/i);
    expect(await exchange("/chat/health", 418, {})).toMatch(/no such status/);
    const text = new Response("healthy", { headers: { "content-type": "text/plain" } });
    expect(await findMismatch({ method: "GET", path: "/chat/health", response: text })).toMatch(/no such type/);
  });

  test("[API-3] an error has a code that its route names", async () => {
    expect(await exchange("/chat/health", 401, failure("unauthorized"))).toBeUndefined();
    expect(await exchange(`/chat/turns/${ID}`, 503, failure("overloaded"))).toBeUndefined();
    expect(await exchange(`/chat/turns/${ID}`, 503, failure("interrupted"))).toMatch(/does not name interrupted/);
  });

  test("[API-3] what belongs to no route is the error envelope", async () => {
    expect(await exchange("/nothing", 404, failure("not_found"))).toBeUndefined();
    expect(await exchange("/chat", 405, failure("method_not_allowed"))).toBeUndefined();
    expect(await exchange("/nothing", 404, { detail: "Not Found" })).toMatch(/no error/);
    expect(await exchange("/nothing", 200, failure("not_found"))).toMatch(/without a route/);
  });

  test("[API-3] one that does not fit fails the call, and its house as well", async () => {
    const own = await openHouse();
    const { responses } = operationOf(ROUTES.find(({ path }) => path === "/chat/health") ?? noRoute());
    const kept = responses["401"];
    delete responses["401"];
    try {
      await expect(own.call("/chat/health")).rejects.toThrow("GET /chat/health answered 401 application/json");
      await expect(own.close()).rejects.toThrow("the document has no such status");
    } finally {
      if (kept) responses["401"] = kept;
    }
  });
});

describe("the page", () => {
  const LOCAL = /^('none'|'self'|'unsafe-inline'|data:)$/;

  test("[API-4] /docs and all that it loads come from this host", async () => {
    const page = await house.call("/docs");
    expect(page.headers.get("content-type")).toBe("text/html; charset=utf-8");
    const html = await page.text();
    const links = [...html.matchAll(/<(?:script|link|img)[^>]* (?:src|href)="([^"]*)"/g)].map(([, link = ""]) => link);
    expect(links.length).toBeGreaterThanOrEqual(3);
    for (const link of links.filter((target) => !target.startsWith("data:"))) {
      expect(link).toMatch(/^\/docs\//);
      const file = await house.call(link);
      expect([link, file.status, file.headers.get("x-content-type-options")]).toEqual([link, 200, "nosniff"]);
      expect(file.headers.get("content-type")).toMatch(link.endsWith(".css") ? /^text\/css/ : /^text\/javascript/);
      const text = await file.text();
      expect(text.length).toBeGreaterThan(100);
      // A script's own requests are what the policy is for.
      const styles = link.endsWith(".css") ? text : "";
      expect(styles).not.toMatch(/@import|url\((?!["']?(data:|#))/);
    }
    const start = await (await house.call("/docs/start.js")).text();
    expect([...start.matchAll(/url: "([^"]*)"/gi)].map(([, url]) => url)).toEqual(["/openapi.json"]);
  });

  test("[API-4] its policy lets nothing be loaded from elsewhere and no inline script run", async () => {
    const page = await house.call("/docs");
    const policy = page.headers.get("content-security-policy") ?? "";
    const directives = new Map(
      policy.split("; ").map((directive) => {
        const [name = "", ...sources] = directive.split(" ");
        return [name, sources];
      }),
    );
    expect(directives.get("default-src")).toEqual(["'none'"]);
    expect(directives.get("script-src")).toEqual(["'self'"]);
    expect([...directives.values()].flat().filter((source) => !LOCAL.test(source))).toEqual([]);
    expect(await page.text()).not.toMatch(/<script(?![^>]* src=)|\son\w+=|javascript:/i);
  });

  test("[API-4] gives nothing but its own files", async () => {
    for (const file of ["package.json", "index.html", "..%2f..%2fpackage.json", "__proto__", "swagger-ui.js"]) {
      const response = await house.call(`/docs/${file}`);
      expect([file, response.status]).toEqual([file, file.includes("%") ? 400 : 404]);
    }
  });
});

function noRoute(): never {
  throw new Error("there is no such route");
}
