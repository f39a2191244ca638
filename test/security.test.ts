/**
 * Promises about the whole of the API and of the repository: bounds of every field, who leaves an audit line, what health tells, that no
 * query is built from input, what the lock file and the tracked files hold. Made from the routes and the files, so that a new one counts.
 */
import { createHash } from "node:crypto";
import { glob, readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseEnv } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { newSecretKey } from "../dev/local.ts";
import { listRoutes } from "../dev/routes.ts";
import type { Route } from "../workers/main/http/route.ts";
import { type JsonSchema, toJsonSchema } from "./fuzz/values.ts";
import { hashedUser, type House, openHouse, type Tenant } from "./house.ts";
import { fromAnywhere, type Person, signUp } from "./people.ts";
import { findKeys, findQueries } from "./security/sources.ts";

const ROOT = join(import.meta.dirname, "..");
const ROUTES = listRoutes();
const nameOf = ({ method, path }: Route): string => `${method} ${path}`;
const read = (file: string): Promise<string> => readFile(join(ROOT, file), "utf8");

let house: House;
let user: Person;
let admin: Tenant;
beforeAll(async () => {
  house = await openHouse();
  user = await signUp(house);
  admin = await house.newTenant("admin");
});
afterAll(() => house.close());

describe("[S4] what a request may take", () => {
  /** Fields whose bound is a rule that a JSON Schema cannot say, each with a value that is too much. */
  const BOUND_BY_RULE: Readonly<Record<string, unknown>> = {
    "POST /auth/api-keys body.scopes": Array.from({ length: 6 }, () => "chat"),
    "POST /history/users body.password": "aBcDe12345".repeat(8),
    "PATCH /history/users/{user_id} body.password": "aBcDe12345".repeat(8),
    "POST /chat/turns/{turn_id}/approvals body.decisions[].arguments": { expression: "1".repeat(70_000) },
    "GET /chat/turns/{turn_id}/stream query.after": "9".repeat(100),
    "POST /history/sessions body.title": "a".repeat(201),
    "PATCH /history/sessions/{session_id} body.title": "a".repeat(201),
    "GET /cache/explain query.temperature": "99.5",
    // As much as the body: a tool checks its arguments itself.
    "POST /mcp/tools/call body.input_data": undefined,
    // A page's copy of what it was sent: all but the new message is passed over.
    "POST /chat/ui body.messages[]": undefined,
    "POST /chat/ui body.messages[].parts[]": undefined,
  };

  const form = {
    type: "json_schema",
    json_schema: {
      name: "long",
      schema: {
        type: "object",
        properties: Object.fromEntries(Array.from({ length: 9_000 }, (_, at) => [`p${at}`, {}])),
      },
    },
  };
  const labels = Object.fromEntries(Array.from({ length: 17 }, (_, at) => [`label${at}`, "x"]));
  const said = { model: "demo", messages: [{ role: "user", content: "Hello" }] };
  const long = form.json_schema.schema;
  const page = { id: "a-chat", messages: [{ id: "m1", role: "user", parts: [{ type: "text", text: "Hello" }] }] };
  /** The same of fields inside others: a whole body in which one is too much. */
  const BOUND_INSIDE: Readonly<Record<string, object>> = {
    ...Object.fromEntries(
      [
        ...[
          "/chat",
          "/chat/stream",
          "/llm/generate",
          "/llm/generate/stream",
          "/history/chat/with-history",
          "/cache/explain",
        ],
        ...["/chat/sessions/{session_id}/edit", "/chat/sessions/{session_id}/regenerate"],
      ].map((path) => [
        `POST ${path} body.response_format.json_schema.schema`,
        { ...(!path.endsWith("regenerate") && { prompt: "Hello" }), response_format: form },
      ]),
    ),
    "POST /chat/ui body.response_format.json_schema.schema": { ...page, response_format: form },
    "POST /mcp/servers body.headers": {
      ...{ name: "tides", url: "https://tides.example.com/mcp" },
      headers: Object.fromEntries(Array.from({ length: 17 }, (_, at) => [`x-h${at}`, "x"])),
    },
    "POST /v1/chat/completions body.logit_bias": { ...said, logit_bias: { "50256": -100 } },
    "POST /v1/chat/completions body.metadata": { ...said, metadata: labels },
    "POST /v1/chat/completions body.response_format.json_schema.schema": { ...said, response_format: form },
    "POST /v1/chat/completions body.tools[].function.parameters": {
      ...{ ...said, tools: [{ type: "function", function: { name: "mine", parameters: long } }] },
    },
    "POST /v1/responses body.metadata": { input: "Hello", metadata: labels },
    "POST /v1/responses body.text.format.schema": {
      ...{ input: "Hello", text: { format: { type: "json_schema", name: "long", schema: long } } },
    },
    "POST /v1/responses body.tools[].parameters": {
      ...{ input: "Hello", tools: [{ type: "function", name: "mine", parameters: long }] },
    },
  };

  test("[S4] every field of every route has a bound", async () => {
    const unbound = ROUTES.flatMap((route) =>
      (["params", "query", "body"] as const).flatMap((part) => {
        const schema = route[part];
        if (schema === undefined || schema === "raw") return [];
        return unboundIn(toJsonSchema(schema), part).map((field) => `${nameOf(route)} ${field}`);
      }),
    );
    const named = [...Object.keys(BOUND_BY_RULE), ...Object.keys(BOUND_INSIDE)];
    expect(unbound.toSorted()).toEqual(named.toSorted());
  });

  test.for(Object.entries(BOUND_BY_RULE).filter(([, value]) => value !== undefined))(
    "[S4] %s is bound by a rule",
    async ([field, value]) => {
      const [method = "", path = "", place = ""] = field.split(" ");
      const { owned } = user;
      const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: "user_id" | "session_id" | "turn_id") => owned[name]);
      const name = place.split(".").at(-1) ?? "";
      const inList = place.includes("[]") && { decisions: [{ call_id: "a", decision: "approve", [name]: value }] };
      const isQuery = place.startsWith("query");
      const asked = isQuery
        ? `${filled}?prompt=a&${name}=${String(value)}`.replace("stream?prompt=a&", "stream?")
        : filled;
      const body = { username: "somebody", email: "somebody@example.test", name: "A key", [name]: value };
      const only =
        method === "PATCH" || path.endsWith("sessions")
          ? { [name]: value }
          : path.endsWith("keys")
            ? { name: "A", [name]: value }
            : body;
      const response = await house.call(asked, {
        as: path.startsWith("/cache") ? admin : user,
        method,
        ...(!isQuery && { body: inList || only }),
      });
      const text = await response.text();
      expect([response.status, text]).toEqual([
        400,
        expect.stringContaining(isQuery && name === "after" ? "number" : name),
      ]);
    },
  );

  test.for(Object.entries(BOUND_INSIDE))("[S4] %s is bound by a rule, inside another field", async ([field, body]) => {
    const [method = "", path = ""] = field.split(" ");
    const filled = path.replace("{session_id}", user.owned.session_id);
    const response = await house.call(filled, { as: /^\/(mcp|cache)/.test(path) ? admin : user, method, body });
    expect([response.status, await response.text()]).toEqual([400, expect.stringMatching(/invalid/)]);
  });

  test("[S4] [S34] purges, and tries of a password, are limited by user", async () => {
    const purge = () => house.call("/cache/invalidate?dry_run=true", { as: user, method: "DELETE" });
    const purges = await Promise.all(Array.from({ length: 110 }, purge));
    const passed = purges.filter(({ status }) => status === 200).length;
    // One more a second, however long these took.
    expect(passed).toBeGreaterThanOrEqual(100);
    expect(passed).toBeLessThan(110);
    const [refused] = purges.filter(({ status }) => status === 429);
    expect(Number(refused?.headers.get("retry-after"))).toBeGreaterThan(0);
    const statuses: number[] = [];
    for (let at = 0; at < 11; at += 1) {
      const body = { password: "another pass phrase", current_password: `guess number ${at}` };
      statuses.push((await house.call(`/history/users/${user.id}`, { as: user, method: "PATCH", body })).status);
    }
    expect(statuses).toEqual([...Array.from({ length: 10 }, () => 403), 429]);
  });
});

test("[S34] what changes something takes no credential from a cookie, and no JSON that a form could send", async () => {
  const changing = ROUTES.filter(({ method, access }) => method !== "GET" && access !== "open");
  expect(changing.length).toBeGreaterThan(20);
  const key = user.apiKey;
  for (const route of changing) {
    const path = route.path.replaceAll(/\{\w+\}/g, user.owned.session_id);
    const cookie = { cookie: `access_token=${key}; session=${key}; authorization=Bearer ${key}` };
    const byCookie = await house.call(path, { method: route.method, headers: cookie });
    expect([nameOf(route), byCookie.status]).toEqual([nameOf(route), 401]);
    if (route.body === undefined || route.body === "raw" || route.params !== undefined) continue;
    const headers = { "content-type": "text/plain" };
    const as = route.access === "admin" ? admin : user;
    const asForm = await house.call(path, { as, method: route.method, body: "{}", headers });
    expect([nameOf(route), asForm.status]).toEqual([nameOf(route), 415]);
  }
});

test("[S30] what an admin does to a user leaves a line: who, what, to whom, by which request, and not a word of what was set", async () => {
  const victim = await signUp(house);
  const path = `/history/users/${victim.id}`;
  const acts = [
    { action: "change_user", path, method: "PATCH", body: { username: "renamed-by-an-admin", is_active: true } },
    {
      action: "change_preferences",
      path: `${path}/preferences`,
      method: "PUT",
      body: { default_model: "set-by-an-admin" },
    },
    { action: "erase_user", path, method: "DELETE" },
  ];
  for (const { action, ...act } of acts) {
    const response = await house.call(act.path, { as: admin, ...act });
    expect(response.status).toBe(200);
    const request_id = response.headers.get("x-request-id");
    const lines = house.lines.filter((line) => line["route"] === "audit" && line["request_id"] === request_id);
    const [by, whom] = [hashedUser(admin), hashedUser(victim)];
    const trace_id: unknown = expect.stringMatching(/^[0-9a-f]{32}$/);
    const line = { level: "info", service: "main", request_id, trace_id, route: "audit", action, by, user: whom };
    expect(lines).toEqual([line]);
  }
  expect(JSON.stringify(house.lines)).not.toMatch(/renamed-by-an-admin/);
  await house.call(`/history/users/${user.id}/preferences`, { as: user, method: "PUT", body: {} });
  expect(house.lines.filter((line) => line["user"] === hashedUser(user) && line["route"] === "audit")).toEqual([]);
});

test("[S32] health tells states, times and numbers, and nothing of settings, versions or addresses", async () => {
  const state = ["status"];
  const fields: Record<string, string[]> = {
    "GET /health": ["configuration", "status"],
    // Of whoever is no admin.
    "GET /health/ready": state,
    "GET /chat/health": state,
    "GET /history/health": [
      ...["outbox.messages", "outbox.oldest_seconds", "outbox.sessions"],
      ...["dead_letters", "latency_ms", "schema.expected", "schema.found", "status"],
    ],
    "GET /cache/health": ["enabled", "latency_ms", "semantic", "status"],
    "GET /llm/health": [
      ...["configuration", "status", "providers[].latency_ms", "providers[].provider", "providers[].status"],
      ...["breaker", "draining", "in_flight", "latency_ms", "node", "status"].map(
        (name) => `providers[].nodes[].${name}`,
      ),
    ],
    "GET /mcp/health": ["latency_ms", "status", "tools"],
  };
  const routes = ROUTES.filter(({ path }) => /\/(health|ready)$/.test(path));
  expect(routes.map(nameOf).toSorted()).toEqual(Object.keys(fields).toSorted());
  const { version } = JSON.parse(await read("package.json"));
  for (const route of routes) {
    const response = await house.call(route.path, route.access === "open" ? {} : { as: user });
    const text = await response.text();
    expect([nameOf(route), leavesOf(JSON.parse(text)).toSorted()]).toEqual([
      nameOf(route),
      fields[nameOf(route)]?.toSorted(),
    ]);
    expect(text).not.toMatch(/https?:|postgres:|127\.0\.0\.1|localhost|local-|basechat/);
    expect(text).not.toContain(version);
    // Only whether it is up is for everyone.
    expect((await house.call(route.path, { headers: fromAnywhere() })).status).toBe(
      route.access === "open" ? 200 : 401,
    );
  }
});

describe("the repository", () => {
  test("[S26] no query is built from input: every part that is put into one is a constant of ours", async () => {
    /** What may stand in a query's text, by file. */
    const constants: Record<string, string[]> = {
      "workers/main/accounts/logins.ts": ["MAX_LOGINS - 1"],
      "workers/main/session/checkpoints.ts": ['index < 0 ? "REPLACE" : "IGNORE"', "table"],
      "workers/main/session/erase.ts": ["table"],
      "workers/main/session/storage.ts": ["name", "definition"],
      "workers/main/session/turns.ts": ["where"],
    };
    const found: Record<string, string[]> = {};
    let queries = 0;
    for await (const file of glob("{workers,db}/**/*.ts", { cwd: ROOT })) {
      if (file.endsWith(".test.ts") || /^db\/(draft|drift|migrate|migrations|snapshots)\.ts$/.test(file)) continue;
      const { count, parts } = findQueries(await read(file));
      queries += count;
      if (parts.length > 0) found[file] = parts;
    }
    expect(queries).toBeGreaterThan(50);
    expect(found).toEqual(constants);
    const bad = ["sql.exec(`SELECT ${x}`)", 'sql.exec("SELECT " + x)', "db.execute(sql.raw(x))", "sql.query(`${x}`)"];
    expect(bad.map((source) => findQueries(source).parts)).toEqual([["x"], ["+ x"], ["sql.raw"], ["x"]]);
    expect(findQueries("sql.exec(`SELECT ?`, x); db.execute(sql`select ${x}`)").parts).toEqual([]);
  });

  test("[S14] dependencies are pinned exactly, and the lock file holds the hash of each", async () => {
    const { dependencies, devDependencies, allowScripts } = JSON.parse(await read("package.json"));
    const text = await read("package-lock.json");
    const lock: Lock = JSON.parse(text);
    const { "": root, ...packages } = lock.packages;
    expect(
      Object.values({ ...dependencies, ...devDependencies }).filter(
        (range) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(String(range)),
      ),
    ).toEqual([]);
    expect({ dependencies: root?.dependencies, devDependencies: root?.devDependencies }).toEqual({
      dependencies,
      devDependencies,
    });
    // npm writes no hash of what it has not fetched: builds for other machines.
    const unhashed = Object.entries(packages).filter(
      ([, { integrity, optional }]) => integrity === undefined && optional !== true,
    );
    expect(unhashed.map(([path]) => path)).toEqual([]);
    expect(Object.values(packages).filter(({ integrity }) => integrity && !integrity.startsWith("sha512-"))).toEqual(
      [],
    );
    // No host: whoever installs uses their own registry.
    expect(text).not.toMatch(/"resolved"/);
    expect(await read(".npmrc")).not.toMatch(/registry=|_auth/i);
    const scripted = Object.entries(packages).flatMap(([path, { hasInstallScript, optional }]) =>
      hasInstallScript && !optional ? [path.split("node_modules/").at(-1) ?? ""] : [],
    );
    expect(new Set(scripted)).toEqual(new Set(Object.keys(allowScripts)));
  });

  test("[S18] no file holds a key, the example names no real one, and each install makes its own", async () => {
    const found: string[] = [];
    let files = 0;
    const exclude = (path: string): boolean =>
      /^(node_modules|\.git|\.dev|\.wrangler|dist|\.dev\.vars)$/.test(path.split("/").at(-1) ?? "");
    for await (const file of glob(["*", ".*", "{.ci,bench,contracts,db,dev,docs,public,test,workers}/**/*.*"], {
      cwd: ROOT,
      exclude,
    })) {
      if (exclude(file)) continue;
      if (file === "package-lock.json" || file.startsWith("public/docs/swagger")) continue;
      const text = await read(file).catch(() => "");
      files += 1;
      found.push(...findKeys(text).map((key) => `${file}: ${key}`));
    }
    expect(files).toBeGreaterThan(200);
    expect(found).toEqual([]);
    const planted = ["sk-", "AKIA", "ghp_"].map((prefix) => prefix + "Ab1Cd2Ef3Gh4Ij5K".repeat(2).toUpperCase());
    const random = createHash("sha256").update("always the same").digest("base64url");
    expect(findKeys([...planted, random].join("\n"))).toHaveLength(4);

    const example = await read(".dev.vars.example");
    const values = parseEnv(example.replaceAll(/^# (?=[A-Z][A-Z0-9_]+=)/gm, ""));
    const secret = Object.entries(values).filter(([name]) => /(KEY|TOKEN|SECRET|CLIENT_ID|PASSWORD)$/.test(name));
    expect(secret.length).toBeGreaterThan(4);
    expect(secret.filter(([, value]) => value !== "")).toEqual([]);
    const ignored = (await read(".gitignore")).split("\n");
    expect(ignored).toEqual(expect.arrayContaining([".dev.vars", ".dev/"]));
    const keys = [newSecretKey(), newSecretKey()];
    expect(new Set(keys).size).toBe(2);
    expect(Math.min(...keys.map((key) => key.length))).toBeGreaterThanOrEqual(32);
  });
});

interface Lock {
  packages: Record<
    string,
    {
      integrity?: string;
      optional?: boolean;
      hasInstallScript?: boolean;
      dependencies?: Record<string, string>;
      devDependencies?: Record<string, string>;
    }
  >;
}

/** The paths of fields that may be as long, as many or as large as they like. */
function unboundIn(root: JsonSchema, part: string): string[] {
  const defs = root.$defs ?? {};
  const found = new Set<string>();
  const walk = (schema: JsonSchema, path: string): void => {
    const { $ref, anyOf = [], oneOf = [], type, properties = {}, items, additionalProperties: more } = schema;
    if ($ref !== undefined) walk(defs[$ref.split("/").at(-1) ?? ""] ?? {}, path);
    for (const choice of [...anyOf, ...oneOf]) walk(choice, path);
    const isListed = schema.enum !== undefined || schema.const !== undefined;
    const isWritten =
      /^(uuid|date|date-time)$/.test(schema.format ?? "") || /\{\d+(,\d+)?\}\$$/.test(schema.pattern ?? "");
    if (type === "string" && !isListed && !isWritten && schema.maxLength === undefined) found.add(path);
    if (type === "array" && schema.maxItems === undefined) found.add(path);
    if ((type === "number" || type === "integer") && !isListed && schema.maximum === undefined) found.add(path);
    if (type === "object" && more !== false) found.add(path);
    if (items !== undefined) walk(items, `${path}[]`);
    for (const [name, inner] of Object.entries(properties)) walk(inner, `${path}.${name}`);
  };
  walk(root, part);
  return [...found];
}

function leavesOf(value: unknown, path = ""): string[] {
  if (Array.isArray(value) && value.length > 0) return leavesOf(value[0], `${path}[]`);
  if (typeof value !== "object" || value === null || Array.isArray(value)) return [path];
  return Object.entries(value).flatMap(([name, inner]) => leavesOf(inner, path === "" ? name : `${path}.${name}`));
}
