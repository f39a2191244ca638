/**
 * The authorization matrix: every route as everyone, from the list of routes and the rows of matrix.ts. Nobody who may not learns whether
 * an id exists. State: a house, its people, and how many cells were as expected.
 */
import { randomBytes } from "node:crypto";
import * as z from "zod";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ChatReply, TurnView } from "../contracts/chat.ts";
import { ErrorBody } from "../contracts/errors.ts";
import { newId } from "../contracts/ids.ts";
import { type Scope, SCOPES, UserView } from "../contracts/users.ts";
import { listRoutes } from "../dev/routes.ts";
import { type Route, scopeOf } from "../workers/main/http/route.ts";
import { type House, openHouse, type Tenant } from "./house.ts";
import { type Ids, MATRIX, type Owned, type Row } from "./matrix.ts";
import { expectJson, fromAnywhere, makeKey, makeThings, type Person, signIn, signUp, unique } from "./people.ts";

const ROUTES = listRoutes().map((route) => ({ ...route, name: `${route.method} ${route.path}` }));
const ID_NAMES = [
  "user_id",
  "session_id",
  "turn_id",
  "message_id",
  "question_id",
  "key_id",
  "waiting_turn_id",
] as const;

const CALLERS = [
  ...["owner", "owner, signed in", "other user", "admin", "admin by a key without the scope admin"],
  ...["key without the route's scope", "anonymous", "revoked key", "logged out", "deactivated user", "erased user"],
] as const;
type Caller = (typeof CALLERS)[number];
const SHUT_OUT: readonly Caller[] = ["anonymous", "revoked key", "logged out", "deactivated user", "erased user"];

let house: House;
let people: Awaited<ReturnType<typeof makePeople>>;
let cells = 0;
let blind = 0;

beforeAll(async () => {
  // The shortest memory there is: what was taken back is taken back at once.
  const settings = { ACCOUNT_RECHECK_MS: "1", TOOL_POLICY: JSON.stringify([{ tool: "calculator", action: "ask" }]) };
  house = await openHouse({ settings });
  people = await makePeople();
}, 60_000);
afterAll(async () => {
  await house.close();
  const size = `${ROUTES.length} routes x ${CALLERS.length} callers = ${ROUTES.length * CALLERS.length} cells`;
  console.log(`authorization matrix: ${size}, ${cells} as expected; ${blind} replies that hide whether an id exists`);
});

async function makePeople() {
  const [owner, other, deactivated, erased] = await Promise.all([1, 2, 3, 4].map(() => signUp(house)));
  if (!owner || !other || !deactivated || !erased) throw new Error("nobody");
  const admin = await house.newTenant("admin");
  const without = async (maker: Tenant, all: readonly Scope[]): Promise<Partial<Record<Scope, string>>> => {
    const keys = all.map(async (scope) => {
      const { key } = await makeKey(
        house,
        maker,
        all.filter((one) => one !== scope),
      );
      return [scope, key] as const;
    });
    return Object.fromEntries(await Promise.all(keys));
  };
  return {
    ...{ owner, other, deactivated, erased, admin },
    ownersKeysWithout: await without(owner, SCOPES.slice(0, -1)),
    adminsKeysWithout: await without(admin, SCOPES),
    revokedKey: await revokeKey(owner),
    loggedOut: await logOut(owner),
    deactivatedToken: await shutOut(deactivated, "PATCH", { is_active: false }, admin),
    erasedToken: await shutOut(erased, "DELETE", undefined, erased),
  };
}

/** What is revoked has worked before, so that the house has heard of it. */
async function expectWorks(apiKey: string): Promise<void> {
  expect((await house.call("/auth/me", { as: { id: "", apiKey } })).status).toBe(200);
}

async function revokeKey(owner: Person): Promise<string> {
  const { id, key } = await makeKey(house, owner, SCOPES.slice(0, -1));
  await expectWorks(key);
  expect((await house.call(`/auth/api-keys/${id}`, { as: owner, method: "DELETE" })).status).toBe(204);
  return key;
}

async function logOut(owner: Person): Promise<string> {
  const { access_token: apiKey } = await signIn(house, owner.owned.email);
  await expectWorks(apiKey);
  const { status } = await house.call("/auth/logout", { as: { id: owner.id, apiKey }, body: {} });
  expect(status).toBe(200);
  return apiKey;
}

async function shutOut({ id, apiKey }: Person, method: string, body: unknown, as: Tenant): Promise<string> {
  await expectWorks(apiKey);
  expect((await house.call(`/history/users/${id}`, { as, method, body })).status).toBe(200);
  return apiKey;
}

interface Reply {
  status: number;
  /** Without what is never the same. */
  body: string;
  headers: string[];
}

function pathOf(route: Route, row: Row, owned: Owned): string {
  return row.path?.(owned) ?? route.path.replaceAll(/\{(\w+)\}/g, (_, name: keyof Ids) => owned[name]);
}

/** The names of fields that hold ids, at any depth. */
function idNames(...schemas: Route["body"][]): string[] {
  const names = new Set<string>();
  const walk = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    for (const [key, inner] of Object.entries(value)) {
      for (const name of key === "properties" ? Object.keys(Object(inner)) : [])
        // A call is named beside its turn, or within the request alone.
        if (name.endsWith("_id") && !name.endsWith("call_id")) names.add(name);
      walk(inner);
    }
  };
  for (const schema of schemas) {
    if (schema !== undefined && schema !== "raw") walk(z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }));
  }
  return [...names];
}

async function send(route: Route, row: Row, owned: Owned, apiKey: string | undefined): Promise<Reply> {
  const response = await house.call(pathOf(route, row, owned), {
    method: route.method,
    headers: { ...fromAnywhere(), ...row.headers },
    ...(row.body && { body: row.body(owned) }),
    ...(apiKey !== undefined && { as: { id: "", apiKey } }),
  });
  const text = await response.text();
  const requestId = response.headers.get("x-request-id") ?? "";
  const challenge = response.headers.get("www-authenticate") ?? "";
  if (response.status === 401 && !/^Bearer\b/.test(challenge)) throw new Error("401 alone");
  return { status: response.status, body: text.replaceAll(requestId, ""), headers: [...response.headers.keys()] };
}

/** The names of the ids that a row's request holds, in its path or in its body. */
function idsOf(route: Route, row: Row): (keyof Ids)[] {
  const used = new Set<keyof Ids>();
  const watched = new Proxy(people.owner.owned, {
    get(owned, name: keyof Owned) {
      const id = ID_NAMES.find((one) => one === name);
      if (id !== undefined) used.add(id);
      return owned[name];
    },
  });
  pathOf(route, row, watched);
  row.body?.(watched);
  return [...used];
}

function nobodysIds(): Ids {
  const ids = ID_NAMES.map((name) => [name, newId(Date.now(), randomBytes)] as const);
  return Object.fromEntries(ids) as Record<keyof Ids, string>; // every name has one
}

function expectedStatus({ access }: Route, { gets }: Row, caller: Caller): number {
  // No credential is looked at, so one that does not hold harms nobody.
  if (access === "open") return gets.owner;
  if (SHUT_OUT.includes(caller)) return 401;
  if (caller === "key without the route's scope") return 403;
  if (caller === "owner" || caller === "owner, signed in") return gets.owner;
  return caller === "admin" ? gets.admin : gets.other;
}

function credentialOf(caller: Caller, route: Route, owner: Person): string | undefined {
  const keys: Record<Caller, string | undefined> = {
    owner: owner.apiKey,
    "owner, signed in": owner.accessToken,
    "other user": people.other.apiKey,
    admin: people.admin.apiKey,
    "admin by a key without the scope admin": people.adminsKeysWithout.admin,
    "key without the route's scope": (route.access === "admin" ? people.adminsKeysWithout : people.ownersKeysWithout)[
      scopeOf(route)
    ],
    anonymous: undefined,
    "revoked key": people.revokedKey,
    "logged out": people.loggedOut,
    "deactivated user": people.deactivatedToken,
    "erased user": people.erasedToken,
  };
  return keys[caller];
}

/** Whose things a caller asks for. */
async function ownerFor(caller: Caller, row: Row, mayCall: boolean): Promise<Person> {
  const { owner } = people;
  if (caller === "deactivated user" && !mayCall) return people.deactivated;
  if (caller === "erased user" && !mayCall) return people.erased;
  if (!mayCall || row.spends === undefined) return { ...owner, owned: { ...owner.owned, unique: unique() } };
  if (row.spends === "user") return signUp(house);
  return { ...owner, owned: { ...owner.owned, ...(await makeThings(house, owner)) } };
}

test("[AUTHZ-1] every route has its row, and every row its route", () => {
  expect(ROUTES.map(({ name }) => name).toSorted()).toEqual(Object.keys(MATRIX).toSorted());
});

test("[AUTHZ-1] every row's request names every id that its route can be given", () => {
  const unnamed = ROUTES.flatMap((route) => {
    const row = MATRIX[route.name];
    const { owned } = people.owner;
    const request = `${row && pathOf(route, row, owned)} ${JSON.stringify(row?.body?.(owned))}`;
    const isNamed = (name: string): boolean => new RegExp(`[?&]${name}=|"${name}":`).test(request);
    return idNames(route.query, route.body).flatMap((name) => (isNamed(name) ? [] : [`${route.name}: ${name}`]));
  });
  expect(unnamed).toEqual([]);
});

test.for(ROUTES)("[AUTHZ-1] [S1] [S5] [B38] [B46] [B52] $name", async (route) => {
  const row = MATRIX[route.name];
  if (row === undefined) throw new Error("test/matrix.ts has no row for this route");
  const expected = CALLERS.map((caller) => ({ caller, status: expectedStatus(route, row, caller) }));
  // Those who may come last: what they do may change what the others ask for.
  expected.sort((a, b) => b.status - a.status);
  const seen: typeof expected = [];
  for (const { caller, status } of expected) {
    const owner = await ownerFor(caller, row, status < 400);
    const reply = await send(route, row, owner.owned, credentialOf(caller, route, owner));
    seen.push({ caller, status: reply.status });
    if (reply.status === status) cells += 1;
  }
  expect(seen).toEqual(expected);
});

test.for(ROUTES.filter(({ access }) => access !== "open"))(
  "[AUTHZ-1] [S1] [B46] $name tells those who are shut out nothing",
  async (route) => {
    const row = MATRIX[route.name];
    if (row === undefined) throw new Error("test/matrix.ts has no row for this route");
    for (const caller of [...SHUT_OUT, "key without the route's scope"] as const) {
      const owner = await ownerFor(caller, row, false);
      const credential = credentialOf(caller, route, owner);
      const found = await send(route, row, owner.owned, credential);
      const missing = await send(route, row, { ...owner.owned, ...nobodysIds() }, credential);
      expect({ caller, ...missing }).toEqual({ caller, ...found });
      blind += 1;
    }
  },
);

test.for(ROUTES.filter(({ name }) => Object.values(MATRIX[name]?.gets ?? {}).includes(404)))(
  "[AUTHZ-1] [S1] [B38] $name: somebody else's id, wherever it stands, is a missing one",
  async (route) => {
    const row = MATRIX[route.name];
    if (row === undefined) throw new Error("test/matrix.ts has no row for this route");
    const { owner, other, admin } = people;
    const ids = idsOf(route, row);
    expect(ids.length).toBeGreaterThan(0);
    for (const [as, gets] of [
      [other, row.gets.other],
      [admin, row.gets.admin],
    ] as const) {
      if (gets !== 404) continue;
      // Each id alone, with the others his own, and all of them at once.
      for (const names of [...ids.map((id) => [id]), ids]) {
        const own = as === admin ? owner.owned : other.owned;
        const pick = (from: Ids): Owned => ({ ...own, ...Object.fromEntries(names.map((name) => [name, from[name]])) });
        const foreign = await send(route, row, pick(owner.owned), as.apiKey);
        const missing = await send(route, row, pick(nobodysIds()), as.apiKey);
        expect({ names, ...foreign }).toEqual({ names, ...missing, status: 404 });
        blind += 1;
      }
    }
  },
);

test("[S5] [B52] what is an admin's alone is refused to a user, also for oneself", async () => {
  const { owner, admin, adminsKeysWithout } = people;
  const path = `/history/users/${owner.id}`;
  for (const body of [{ role: "admin" }, { is_active: true }, { role: "user" }]) {
    expect((await house.call(path, { as: owner, method: "PATCH", body })).status).toBe(403);
  }
  const body = { name: "More", scopes: ["admin"] };
  for (const apiKey of [owner.apiKey, owner.accessToken, adminsKeysWithout.admin ?? ""]) {
    expect((await house.call("/auth/api-keys", { as: { id: "", apiKey }, body })).status).toBe(403);
  }
  const changed = house.call(path, { as: admin, method: "PATCH", body: { role: "user" } });
  expect(await expectJson(changed, UserView)).toMatchObject({ role: "user" });
});

test("[S5] a key is never given more than its maker has", async () => {
  const { owner, ownersKeysWithout } = people;
  for (const scope of ["chat", "history", "mcp"] as const) {
    const as = { id: owner.id, apiKey: ownersKeysWithout[scope] ?? "" };
    const asked = house.call("/auth/api-keys", { as, body: { name: "More", scopes: [scope] } });
    const { error } = await expectJson(asked, ErrorBody, 403);
    expect(error.code).toBe("forbidden");
  }
});

test("[AUTHZ-2] who was shut out stops no turn, waits in no queue, and learns nothing of a key that came before", async () => {
  const { owner, revokedKey } = people;
  const { waiting_turn_id } = await makeThings(house, owner);
  const readTurn = () => expectJson(house.call(`/chat/turns/${waiting_turn_id}`, { as: owner }), TurnView);
  const { session_id } = await readTurn();
  const headers = { "idempotency-key": unique() };
  await expectJson(house.call("/chat", { as: owner, body: { prompt: "Hello" }, headers }), ChatReply);
  const as = { id: owner.id, apiKey: revokedKey };
  for (const on_busy of ["interrupt", "enqueue", "reject"] as const) {
    const body = { prompt: "Stop", session_id, on_busy };
    await expectJson(house.call("/chat", { as, body }), ErrorBody, 401);
    await expectJson(house.call("/chat", { as, body, headers }), ErrorBody, 401);
  }
  expect(await readTurn()).toMatchObject({ state: "waiting" });
});
