/**
 * Accounts when things meet: ids in another letter case, answers of Postgres that come late or never, one account by several names.
 * State: a house, and a proxy in front of its Postgres that can hold or lose an answer.
 */
import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type House, openHouse, type Tenant } from "./house.ts";
import { fromAnywhere, signIn, signUp } from "./people.ts";

/** What becomes of a request to Postgres, by its body. */
interface Fate {
  /** Before it is passed on. */
  before?: Promise<unknown>;
  /** When its answer is there. */
  after?: () => Promise<unknown>;
  lose?: true;
}
let fateOf: (body: string) => Fate | undefined = () => undefined;
let house: House;
let admin: Tenant;

const proxy = createServer((request, response) => {
  void (async () => {
    const body = await text(request);
    const { before, after, lose } = fateOf(body) ?? {};
    await before;
    const headers = Object.fromEntries(
      Object.entries(request.headers).flatMap(([name, value]) =>
        typeof value === "string" && name.startsWith("neon-") ? [[name, value]] : [],
      ),
    );
    const answer = await fetch(new URL(request.url ?? "", house.neon.url), { method: "POST", headers, body });
    const content = await answer.text();
    await after?.();
    if (lose) request.socket.destroy();
    else response.writeHead(answer.status, { "content-type": "application/json" }).end(content);
  })();
});

beforeAll(async () => {
  const listening = Promise.withResolvers<void>();
  proxy.listen(0, "127.0.0.1", listening.resolve);
  await listening.promise;
  const address = proxy.address();
  const port = typeof address === "object" ? address?.port : undefined;
  const settings = { ACCOUNT_RECHECK_MS: "1", DATABASE_HTTP_URL: `http://127.0.0.1:${port}/sql` };
  house = await openHouse({ settings });
  admin = await house.newTenant("admin");
});
beforeEach(() => {
  fateOf = () => undefined;
});
afterAll(async () => {
  proxy.close();
  proxy.closeAllConnections();
  await house.close();
});

const chat = (as: Tenant, more: object = {}) =>
  house.call("/chat", { as, body: { prompt: "Still here?", tools: "none", cache: { mode: "no-store" }, ...more } });
const login = (body: object) => house.call("/auth/login", { body, headers: fromAnywhere() });
const isEmpty = (sessionId: string) =>
  expect(house.querySession(sessionId, "select 1 from messages")).rejects.toThrow("no such table");

function changePassword({ id, accessToken, owned }: Awaited<ReturnType<typeof signUp>>): Promise<Response> {
  const body = { password: "another long one", current_password: owned.password };
  return house.call(`/history/users/${id}`, { as: { id, apiKey: accessToken }, method: "PATCH", body });
}

test("[B46] [S1] an id in upper case is the same id: a user who is changed or erased by it is changed or erased", async () => {
  const [one, two] = [await signUp(house), await signUp(house)];
  const byUpperCase = (id: string, more: object) =>
    house.call(`/history/users/${id.toUpperCase()}`, { as: admin, ...more });
  expect((await byUpperCase(one.id, { method: "PATCH", body: { is_active: false } })).status).toBe(200);
  expect((await byUpperCase(two.id, { method: "DELETE" })).status).toBe(200);
  expect([(await chat(one)).status, (await chat(two)).status]).toEqual([401, 401]);
});

test("[ERASE-3] an id in upper case is the same id: a session has one object, and is deleted by either", async () => {
  const person = await signUp(house);
  const { session_id } = person.owned;
  expect((await chat(person, { session_id: session_id.toUpperCase() })).status).toBe(200);
  const path = `/history/sessions/${session_id.toUpperCase()}`;
  expect((await house.call(path, { as: person, method: "DELETE" })).status).toBe(200);
  expect((await house.call(`/history/sessions/${session_id}/messages`, { as: person })).status).toBe(404);
  await isEmpty(session_id);
  await isEmpty(session_id.toUpperCase());
});

test("[ERASE-1] what was read of a user before the erasure, and comes after it, brings no key back", async () => {
  const person = await signUp(house);
  const [read, erased] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let isPut = false;
  fateOf = (body) => {
    if (body.includes('insert into \\"user_preferences\\"')) isPut = true;
    else if (isPut && /select.+user_preferences/.test(body)) {
      isPut = false;
      return { after: () => (read.resolve(), erased.promise) };
    }
    return undefined;
  };
  const path = `/history/users/${person.id}`;
  const change = house.call(`${path}/preferences`, { as: person, method: "PUT", body: { max_tokens: 100 } });
  await read.promise;
  expect((await house.call(path, { as: admin, method: "DELETE" })).status).toBe(200);
  erased.resolve();
  await change;
  expect((await chat(person)).status).toBe(401);
});

test("[ERASE-1] a first turn that ends while its user is erased leaves no object behind", async () => {
  const person = await signUp(house);
  const body = { prompt: "Go on", tools: "none", model: "demo:tokens.40.gap.20", cache: { mode: "no-store" } };
  const stream = await house.call("/chat/stream", { as: person, body });
  const sessionId = stream.headers.get("x-session-id") ?? "";
  const saved = Promise.withResolvers<void>();
  fateOf = (asked) => {
    if (asked.includes('insert into \\"messages\\"') && asked.includes(sessionId)) {
      return { after: () => Promise.resolve(saved.resolve()) };
    }
    // The list of the user's sessions is older than the session.
    return asked.includes('delete from \\"users\\"') ? { before: saved.promise } : undefined;
  };
  const erased = await house.call(`/history/users/${person.id}`, { as: person, method: "DELETE" });
  await stream.text();
  expect(erased.status).toBe(200);
  await isEmpty(sessionId);
  expect(await house.sql`select 1 from chat_sessions where id = ${sessionId}`).toEqual([]);
});

test("[AUTH-7] a new password whose answer was lost has ended every login", async () => {
  const person = await signUp(house);
  const other = await signIn(house, person.owned.email);
  fateOf = (body) => (body.includes('update \\"users\\"') ? { lose: true } : undefined);
  expect((await changePassword(person)).status).toBe(503);
  fateOf = () => undefined;
  expect(await house.sql`select token_version from users where id = ${person.id}`).toEqual([{ token_version: 1 }]);
  const refreshed = await house.call("/auth/refresh", { body: { refresh_token: other.refresh_token } });
  expect(refreshed.status).toBe(401);
});

test("[B46] a password that is replaced while it signs in signs nobody in", async () => {
  const person = await signUp(house);
  const [read, changed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let isFirst = true;
  fateOf = (body) => {
    if (!isFirst || !/lower\(.{0,40}email/.test(body)) return undefined;
    isFirst = false;
    return { after: () => (read.resolve(), changed.promise) };
  };
  const late = login({ email: person.owned.email, password: person.owned.password });
  await read.promise;
  expect((await changePassword(person)).status).toBe(200);
  changed.resolve();
  expect((await late).status).toBe(401);
});

test("[B51] an account has one limit, whatever it is called", async () => {
  const person = await signUp(house);
  const { username } = (await house.sql`select username from users where id = ${person.id}`)[0] ?? {};
  for (let attempt = 0; attempt < 10; attempt += 1) await login({ username, password: "a guess" });
  const { email, password } = person.owned;
  for (const body of [
    { username, password },
    { email, password },
    { email: email.toUpperCase(), password },
  ]) {
    expect((await login(body)).status).toBe(429);
  }
});

test("[B21] NUL in a name that signs in is refused", async () => {
  for (const name of [{ username: "a\u0000b" }, { email: "a\u0000@example.test" }]) {
    expect((await login({ ...name, password: "xxxxxxxxxx" })).status).toBe(400);
  }
});

test("[AUTH-3] a user has a hundred keys at most", async () => {
  const person = await signUp(house);
  const as = { id: person.id, apiKey: person.accessToken };
  const make = () => house.call("/auth/api-keys", { as, body: { name: "one more" } });
  const statuses = [];
  for (let made = 0; made < 101; made += 1) statuses.push((await make()).status);
  expect(statuses.filter((status) => status === 409).length).toBeGreaterThan(0);
  expect(await house.sql`select count(*)::int4 as keys from api_keys where user_id = ${person.id}`).toEqual([
    { keys: 100 },
  ]);
});
