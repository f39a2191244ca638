/** Users, sign-in, API keys and roles: what gets in, what does not, and how soon that changes. */
import { createHmac } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ChatReply } from "../contracts/chat.ts";
import { ErrorBody } from "../contracts/errors.ts";
import { isTerminal } from "../contracts/events.ts";
import type * as z from "zod";
import { ApiKeyList, ErasedUser, Me, NewApiKey, Preferences, Tokens, UserView } from "../contracts/users.ts";
import { type House, openHouse, readEvents, type Tenant, untilRows } from "./house.ts";

const SECRET_KEY = "a secret of this test alone, 32 characters or more";
const PASSWORD = "correct horse battery";

let house: House;
let admin: Tenant;
beforeAll(async () => {
  house = await openHouse({ settings: { SECRET_KEY, ACCOUNT_RECHECK_MS: "100" } });
  admin = await house.newTenant("admin");
});
afterAll(() => house.close());

let made = 0;
interface Person {
  user: z.infer<typeof UserView>;
  as: Tenant;
  tokens: z.infer<typeof Tokens>;
}

/** Each from an address of their own: limits of addresses are tested by themselves. */
function from(address: string) {
  return { "cf-connecting-ip": address };
}

async function signUp(more: object = {}): Promise<Response> {
  made += 1;
  const body = { username: `Person-${made}`, email: `Person-${made}@example.test`, password: PASSWORD, ...more };
  return house.call("/history/users", { body, headers: from(`2001:db8:0:${made.toString(16)}::1`) });
}

async function signIn(body: object, address?: string): Promise<Response> {
  made += 1;
  return house.call("/auth/login", { body, headers: from(address ?? `2001:db8:0:${made.toString(16)}::1`) });
}

async function newPerson(): Promise<Person> {
  const user = UserView.parse(await (await signUp()).json());
  return { user, ...(await loginOf(user)) };
}

async function loginOf({ id, username }: z.infer<typeof UserView>): Promise<Pick<Person, "as" | "tokens">> {
  const tokens = Tokens.parse(await (await signIn({ username, password: PASSWORD })).json());
  return { tokens, as: { id, apiKey: tokens.access_token } };
}

const refresh = (refresh_token: string) => house.call("/auth/refresh", { body: { refresh_token } });
const statusOf = async (as: Tenant, path = "/auth/me") => (await house.call(path, { as })).status;

async function expectError(response: Response, status: number, code: string): Promise<void> {
  const { error } = ErrorBody.parse(await response.json());
  expect({ status: response.status, code: error.code }).toEqual({ status, code });
}

test("[AUTH-1] sign up, sign in by name or address in any letter case, refresh, sign out", async () => {
  const { user } = await newPerson();
  expect(user).toMatchObject({ role: "user", is_active: true });
  for (const name of [{ username: user.username.toUpperCase() }, { email: user.email.toLowerCase() }]) {
    const tokens = Tokens.parse(await (await signIn({ ...name, password: PASSWORD })).json());
    const as = { id: user.id, apiKey: tokens.access_token };
    expect(Me.parse(await (await house.call("/auth/me", { as })).json()).user).toEqual(user);
    const next = Tokens.parse(await (await refresh(tokens.refresh_token)).json());
    expect(await statusOf({ id: user.id, apiKey: next.access_token })).toBe(200);
    expect((await house.call("/auth/logout", { as, body: {} })).status).toBe(200);
    expect(await statusOf(as)).toBe(401);
    expect((await refresh(next.refresh_token)).status).toBe(401);
  }
});

test("[B40] bad users are refused, taken names and addresses in any letter case", async () => {
  for (const more of [
    { email: "no address" },
    { email: `${"a".repeat(300)}@example.test` },
    { username: "a".repeat(300) },
    { username: "" },
    { username: "two words" },
    { username: "nul\u0000byte" },
  ]) {
    await expectError(await signUp(more), 400, "invalid_request");
  }
  const { user } = await newPerson();
  await expectError(await signUp({ username: user.username.toUpperCase() }), 409, "conflict");
  await expectError(await signUp({ email: user.email.toUpperCase() }), 409, "conflict");
  const { as } = await newPerson();
  const patch = { as, method: "PATCH", body: { username: user.username.toLowerCase() } };
  await expectError(await house.call(`/history/users/${as.id}`, patch), 409, "conflict");
});

test("[B41] [S3] nobody gives themselves a role, an id, a date or a token version", async () => {
  const { as, user } = await newPerson();
  for (const more of [{ role: "admin" }, { id: admin.id }, { created_at: user.created_at }, { token_version: 7 }]) {
    await expectError(await signUp(more), 400, "invalid_request");
    const response = await house.call(`/history/users/${as.id}`, { as, method: "PATCH", body: more });
    expect([400, 403]).toContain(response.status);
  }
  const unchanged = await house.call(`/history/users/${as.id}`, { as });
  expect(UserView.parse(await unchanged.json())).toEqual(user);
});

test("[B42] weak, long and odd passwords are refused", async () => {
  const passwords = ["", "short", "aaaaaaaaaaaa", "ä".repeat(37), "nul\u0000byte in it", "x".repeat(500_000)];
  for (const password of passwords) await expectError(await signUp({ password }), 400, "invalid_request");
  await expectError(await signUp({ username: "longenoughname", password: "longenoughname" }), 400, "invalid_request");
});

/** A token as our own are, but for what is changed. */
function forge(claims: object, header: object = { alg: "HS256", typ: "JWT" }, hash = "sha256"): string {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const text = `${encode(header)}.${encode(claims)}`;
  return `${text}.${createHmac(hash, SECRET_KEY).update(text).digest("base64url")}`;
}

function claimsOf(token: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString());
}

test("[B44] [S2] a token of another algorithm, or that names its key, is none", async () => {
  const { tokens, user } = await newPerson();
  const claims = claimsOf(tokens.access_token);
  expect(await statusOf({ id: user.id, apiKey: forge(claims) })).toBe(200);
  const header = { alg: "HS256", typ: "JWT" };
  const forged = [
    `${forge(claims, { alg: "none", typ: "JWT" }).split(".").slice(0, 2).join(".")}.`,
    forge(claims, { alg: "none", typ: "JWT" }),
    forge(claims, { alg: "HS512", typ: "JWT" }, "sha512"),
    forge(claims, { alg: "RS256", typ: "JWT" }),
    ...[{ kid: "../../dev/null" }, { jku: "https://example.test/keys" }, { x5u: "https://example.test/x" }].map(
      (more) => forge(claims, { ...header, ...more }),
    ),
    forge(claims, { ...header, crit: ["exp"] }),
    forge(claims).replace(/.$/, (last) => (last === "A" ? "Q" : "A")),
  ];
  for (const apiKey of forged) expect(await statusOf({ id: user.id, apiKey })).toBe(401);
});

test("[B45] [S2] a token with a claim that is wrong, missing or of another type is none", async () => {
  const { tokens, user } = await newPerson();
  const claims = claimsOf(tokens.access_token);
  const nowSeconds = Math.floor(Date.now() / 1_000);
  const { exp: _exp, ...endless } = claims;
  const { sub: _sub, ...nobody } = claims;
  const wrong = [
    { ...claims, exp: nowSeconds - 1 },
    { ...claims, nbf: nowSeconds + 3_600 },
    { ...claims, exp: String(nowSeconds + 3_600) },
    endless,
    { ...claims, aud: "basechat:refresh" },
    { ...claims, aud: "somebody" },
    { ...claims, iss: "somebody" },
    nobody,
    { ...claims, sub: 7 },
    { ...claims, sid: "01a208da-e947-7048-8025-8d0d150d1078" },
    { ...claims, ver: Number(claims["ver"]) + 1 },
    { ...claims, role: "admin" },
    { ...claims, sub: admin.id },
  ];
  for (const forged of wrong) expect(await statusOf({ id: user.id, apiKey: forge(forged) })).toBe(401);
  expect(await statusOf({ id: user.id, apiKey: `a.${"b".repeat(100_000)}.c` })).not.toBe(200);
  expect(await statusOf({ id: user.id, apiKey: tokens.refresh_token })).toBe(401);
});

test("[B46] tokens end with a logout everywhere, a new password, a deactivation and the user", async () => {
  const person = await newPerson();
  const { id } = person.user;
  const other = await loginOf(person.user);
  expect((await house.call("/auth/logout", { as: person.as, body: { everywhere: true } })).status).toBe(200);
  expect([await statusOf(person.as), await statusOf(other.as)]).toEqual([401, 401]);
  expect((await refresh(other.tokens.refresh_token)).status).toBe(401);

  const again = await loginOf(person.user);
  const body = { password: "another good one", current_password: PASSWORD };
  const wrong = { as: again.as, method: "PATCH", body: { ...body, current_password: "wrong" } };
  await expectError(await house.call(`/history/users/${id}`, wrong), 403, "forbidden");
  expect((await house.call(`/history/users/${id}`, { as: again.as, method: "PATCH", body })).status).toBe(200);
  expect(await statusOf(again.as)).toBe(401);
  await expectError(await signIn({ username: person.user.username, password: PASSWORD }), 401, "unauthorized");

  const renewed = Tokens.parse(
    await (await signIn({ username: person.user.username, password: body.password })).json(),
  );
  const as = { id, apiKey: renewed.access_token };
  const activity = (is_active: boolean) =>
    house.call(`/history/users/${id}`, { as: admin, method: "PATCH", body: { is_active } });
  expect((await activity(false)).status).toBe(200);
  expect([await statusOf(as), (await refresh(renewed.refresh_token)).status]).toEqual([401, 401]);
  await expectError(await signIn({ username: person.user.username, password: body.password }), 401, "unauthorized");
  expect((await activity(true)).status).toBe(200);
  expect(await statusOf(as)).toBe(401);
  const last = Tokens.parse(await (await signIn({ username: person.user.username, password: body.password })).json());
  const gone = { id, apiKey: last.access_token };
  expect((await house.call(`/history/users/${id}`, { as: gone, method: "DELETE" })).status).toBe(200);
  expect(await statusOf(gone)).toBe(401);
});

test("[B50] odd keys get nobody in, and ask Postgres nothing", async () => {
  const before = Number(house.neon.stats()["queries"]);
  for (const key of ["' OR '1'='1", "%", "_", "bck_", "bck_%", "bck_a.b.c", "x".repeat(10_000)]) {
    const response = await house.call("/auth/me", { headers: { authorization: `Bearer ${encodeURIComponent(key)}` } });
    expect(response.status).toBe(401);
  }
  expect(Number(house.neon.stats()["queries"])).toBe(before);
});

test("[B51] a wrong password and an unknown user look alike; an account's attempts are limited, whoever makes them", async () => {
  const { user } = await newPerson();
  const bodyOf = async (response: Response) => {
    const { error } = ErrorBody.parse(await response.json());
    return { status: response.status, ...error, request_id: "" };
  };
  const wrong = await bodyOf(await signIn({ username: user.username, password: "wrong password" }));
  expect(await bodyOf(await signIn({ username: "nobody-at-all", password: "wrong password" }))).toEqual(wrong);
  expect(wrong).toMatchObject({ status: 401, code: "unauthorized" });
  const attempts = [];
  for (let attempt = 0; attempt < 12; attempt += 1) {
    attempts.push((await signIn({ username: user.username.toUpperCase(), password: "wrong password" })).status);
  }
  expect(attempts.filter((status) => status === 401)).toHaveLength(9);
  const limited = await signIn({ username: user.username, password: PASSWORD });
  expect(Number(limited.headers.get("retry-after"))).toBeGreaterThan(0);
  await expectError(limited, 429, "rate_limited");
});

/**
 * Sign-ins as one name: an account has ten at once, and so ten passwords are looked at, the rest is told to wait for most of a minute; an
 * address has thirty, and whoever is one too many there waits ten seconds at most.
 */
async function signInAtOnce(addresses: string[]): Promise<{ looked: number; ofAccount: number; ofAddress: number }> {
  made += 1;
  const body = { username: `nobody-${made}`, password: "wrong password" };
  const replies = await Promise.all(addresses.map((address) => signIn(body, address)));
  const waits = replies.filter(({ status }) => status === 429).map(({ headers }) => Number(headers.get("retry-after")));
  return {
    looked: replies.filter(({ status }) => status === 401).length,
    ofAccount: waits.filter((seconds) => seconds > 10).length,
    ofAddress: waits.filter((seconds) => seconds <= 10).length,
  };
}

test("[S6] limits are exact: of 100 sign-ins at once from one address 30 get to the account, and 10 are looked at", async () => {
  const addresses = Array.from({ length: 100 }, () => "192.0.2.1");
  expect(await signInAtOnce(addresses)).toEqual({ looked: 10, ofAccount: 20, ofAddress: 70 });
});

test("[S6] an IPv6 network counts as one address, however it is written", async () => {
  const forms = ["2001:db8:7:7::1", "2001:DB8:7:7:0:0:0:2", "2001:0db8:0007:7:ffff::"];
  const addresses = Array.from({ length: 60 }, (_, at) => forms[at % 3] ?? "");
  expect(await signInAtOnce(addresses)).toEqual({ looked: 10, ofAccount: 20, ofAddress: 30 });
});

test("[AUTH-2] a refresh token is used once: the next one is good, a copied one ends the login", async () => {
  const { tokens, as } = await newPerson();
  const second = Tokens.parse(await (await refresh(tokens.refresh_token)).json());
  // Within half a minute the answer may have been lost.
  const again = Tokens.parse(await (await refresh(tokens.refresh_token)).json());
  expect(claimsOf(again.refresh_token)["gen"]).toBe(2);
  const third = Tokens.parse(await (await refresh(second.refresh_token)).json());
  await expectError(await refresh(tokens.refresh_token), 401, "unauthorized");
  expect((await refresh(third.refresh_token)).status).toBe(401);
  expect(await statusOf(as)).toBe(401);
});

async function newKey(as: Tenant, body: object): Promise<z.infer<typeof NewApiKey>> {
  const response = await house.call("/auth/api-keys", { as, body: { name: "test", ...body } });
  expect(response.status).toBe(201);
  return NewApiKey.parse(await response.json());
}

test("[AUTH-3] an API key is shown once, kept as a hash, works within its scopes, and is revoked at once", async () => {
  const { as } = await newPerson();
  const key = await newKey(as, { scopes: ["chat"] });
  const withKey = { id: as.id, apiKey: key.key };
  const reply = await house.call("/chat", { as: withKey, body: { prompt: "Hello" } });
  expect(reply.status).toBe(200);
  await expectError(await house.call("/history/health", { as: withKey }), 403, "forbidden");
  const listed = await house.call("/auth/api-keys", { as });
  const text = await listed.text();
  expect(text).not.toContain(key.key);
  const [row] = await untilRows(house, 1, "select * from api_keys where id = $1 and last_used_at is not null", key.id);
  expect(JSON.stringify(row)).not.toContain(key.key);
  expect(text).not.toContain(row?.["hash"]);
  expect(ApiKeyList.parse(JSON.parse(text)).api_keys).toMatchObject([{ id: key.id, name: "test", scopes: ["chat"] }]);

  const stranger = await newPerson();
  const path = `/auth/api-keys/${key.id}`;
  await expectError(await house.call(path, { as: stranger.as, method: "DELETE" }), 404, "not_found");
  expect((await house.call(path, { as, method: "DELETE" })).status).toBe(204);
  await expectError(await house.call("/chat", { as: withKey, body: { prompt: "Hello" } }), 401, "unauthorized");
  await expectError(await house.call(path, { as, method: "DELETE" }), 404, "not_found");
});

test("[AUTH-3] a key is given no more than its maker has, and acts for an admin only if it was made to", async () => {
  const { as } = await newPerson();
  for (const scopes of [["admin"], ["chat", "admin"]]) {
    await expectError(await house.call("/auth/api-keys", { as, body: { name: "x", scopes } }), 403, "forbidden");
  }
  const narrow = await newKey(as, { scopes: ["account"] });
  const wider = { as: { id: as.id, apiKey: narrow.key }, body: { name: "x", scopes: ["chat"] } };
  await expectError(await house.call("/auth/api-keys", wider), 403, "forbidden");

  const plain = await newKey(admin, { scopes: ["account"] });
  const full = await newKey(admin, { scopes: ["account", "admin"] });
  const path = `/history/users/${as.id}`;
  expect(await statusOf({ id: admin.id, apiKey: plain.key }, path)).toBe(404);
  expect(await statusOf({ id: admin.id, apiKey: full.key }, path)).toBe(200);
});

test("[AUTH-3] a key that was never kept, or has ended, gets nobody in, however well it is signed", async () => {
  const { as } = await newPerson();
  const key = await newKey(as, {});
  const claims = claimsOf(key.key.slice(4));
  const other = `bck_${forge({ ...claims, jti: "01a208da-e947-7048-8025-8d0d150d1078" })}`;
  const prolonged = `bck_${forge({ ...claims, exp: Number(claims["exp"]) + 1 })}`;
  for (const apiKey of [other, prolonged]) expect(await statusOf({ id: as.id, apiKey }, "/history/health")).toBe(401);
  expect(await statusOf({ id: as.id, apiKey: key.key }, "/history/health")).toBe(200);
});

test("[AUTH-4] roles: an admin sees and changes everyone, a user nobody else, and a new role counts at once", async () => {
  const [one, two] = [await newPerson(), await newPerson()];
  const path = `/history/users/${two.user.id}`;
  expect(await statusOf(one.as, path)).toBe(404);
  expect(await statusOf(admin, path)).toBe(200);
  const patch = (as: Tenant, body: object, id: string) =>
    house.call(`/history/users/${id}`, { as, method: "PATCH", body });
  await expectError(await patch(one.as, { role: "admin" }, one.user.id), 403, "forbidden");
  await expectError(await patch(one.as, { username: "taken-over" }, two.user.id), 404, "not_found");
  expect((await patch(admin, { role: "admin" }, one.user.id)).status).toBe(200);
  expect(await statusOf(one.as)).toBe(401);
  const promoted = await loginOf(one.user);
  expect(await statusOf(promoted.as, path)).toBe(200);
  expect((await patch(admin, { role: "user" }, one.user.id)).status).toBe(200);
  const demoted = await loginOf(one.user);
  expect(await statusOf(demoted.as, path)).toBe(404);
});

test("[AUTH-5] a stream that is open ends when its login does, without a terminal event, and is not resumed", async () => {
  const { as, user } = await newPerson();
  const body = { prompt: "Go on for long", model: "demo:tokens.4000.gap.10", cache: { mode: "no-store" } };
  const response = await house.call("/chat/stream", { as, body });
  const turnId = response.headers.get("x-turn-id");
  const other = await loginOf(user);
  const watching = readEvents(
    await house.call(`/chat/turns/${turnId}/stream`, { as: other.as }),
    (event) => event.id > 5,
  );
  const open = readEvents(response, () => false);
  await watching;
  expect((await house.call("/auth/logout", { as, body: {} })).status).toBe(200);
  const seen = await open;
  expect(seen.length).toBeGreaterThan(0);
  expect(seen.filter(isTerminal)).toEqual([]);
  expect(await statusOf(as, `/chat/turns/${turnId}/stream`)).toBe(401);
  expect((await house.call(`/chat/turns/${turnId}/cancel`, { as: other.as, method: "POST" })).status).toBe(200);
});

test("[AUTH-6] Postgres away: who is known goes on and can be signed out; who signs in is told to wait", async () => {
  const { as, user, tokens } = await newPerson();
  const key = await newKey(as, { scopes: ["chat"] });
  house.neon.control({ mode: "down" });
  try {
    expect((await house.call("/chat", { as, body: { prompt: "Still there?" } })).status).toBe(200);
    const next = Tokens.parse(await (await refresh(tokens.refresh_token)).json());
    await expectError(await signIn({ username: user.username, password: PASSWORD }), 503, "db_unavailable");
    const renewed = { id: as.id, apiKey: next.access_token };
    expect((await house.call(`/auth/api-keys/${key.id}`, { as: renewed, method: "DELETE" })).status).toBe(204);
    expect(await statusOf({ id: as.id, apiKey: key.key }, "/chat/health")).toBe(401);
    expect((await house.call("/auth/logout", { as: renewed, body: {} })).status).toBe(200);
    expect(await statusOf(renewed)).toBe(401);
  } finally {
    house.neon.control({ mode: "up" });
  }
  const stranger = await house.newTenant();
  house.neon.control({ mode: "down" });
  await expectError(await house.call("/chat/health", { as: stranger }), 503, "db_unavailable");
  house.neon.control({ mode: "up" });
  expect(await statusOf(stranger, "/chat/health")).toBe(200);
});

test("[AUTH-7] a change whose answer was lost counts once Postgres can be asked", async () => {
  const { as, user } = await newPerson();
  house.neon.control({ mode: "lost" });
  const body = { is_active: false };
  const lost = await house.call(`/history/users/${user.id}`, { as: admin, method: "PATCH", body });
  house.neon.control({ mode: "up" });
  expect(lost.status).toBe(503);
  const [row] = await house.sql`select is_active from users where id = ${user.id}`;
  expect(row).toEqual({ is_active: false });
  expect(await statusOf(as)).toBe(401);
});

test("[PREF-1] preferences fill in what a chat leaves out, from the next request on", async () => {
  const { as } = await newPerson();
  const path = `/history/users/${as.id}/preferences`;
  const none = { default_model: null, default_temperature: null, max_tokens: null, disabled_tools: [] };
  expect(Preferences.parse(await (await house.call(path, { as })).json())).toEqual(none);
  const chat = async (more: object = {}) =>
    ChatReply.parse(await (await house.call("/chat", { as, body: { prompt: "Hello", ...more } })).json()).model;
  expect(await chat()).toBe("demo");
  const body = { default_model: "demo:tokens.3", default_temperature: 0, max_tokens: 50, disabled_tools: ["echo"] };
  expect(Preferences.parse(await (await house.call(path, { as, method: "PUT", body })).json())).toEqual(body);
  expect(await chat()).toBe("demo:tokens.3");
  expect(house.llm.stats().last_request).toMatchObject({ temperature: 0, max_completion_tokens: 50 });
  expect(await chat({ model: "demo", temperature: 1 })).toBe("demo");
  expect(Preferences.parse(await (await house.call(path, { as })).json())).toEqual(body);
  await expectError(
    await house.call(path, { as, method: "PUT", body: { default_temperature: 3 } }),
    400,
    "invalid_request",
  );
  expect(await statusOf((await newPerson()).as, path)).toBe(404);
});

test("[ERASE-1] [S31] erasing a user removes rows, objects and keys, says how many, and lets nobody back in", async () => {
  const { as, user } = await newPerson();
  const key = await newKey(as, {});
  const sessions: string[] = [];
  for (const prompt of ["One", "Two"]) {
    const reply = ChatReply.parse(await (await house.call("/chat", { as, body: { prompt } })).json());
    sessions.push(reply.session_id);
    await untilRows(house, 2, "select 1 from messages where session_id = $1", reply.session_id);
  }
  const unstored = await house.call("/chat", { as, body: { prompt: "Three", store: false } });
  sessions.push(ChatReply.parse(await unstored.json()).session_id);
  await house.call(`/history/users/${as.id}/preferences`, { as, method: "PUT", body: { max_tokens: 9 } });

  const response = await house.call(`/history/users/${as.id}`, { as, method: "DELETE" });
  expect(response.status).toBe(200);
  const { finished, removed } = ErasedUser.parse(await response.json());
  expect(finished).toBe(true);
  expect(removed).toMatchObject({ session_objects: 3, postgres: { users: 1, api_keys: 1, preferences: 1 } });
  for (const sessionId of sessions) {
    expect(await house.querySession(sessionId, "SELECT name FROM sqlite_master WHERE name = 'messages'")).toEqual([]);
  }
  for (const table of ["chat_sessions", "messages", "api_keys", "user_preferences"]) {
    expect(await house.sql.query(`select 1 from ${table} where user_id = $1`, [as.id])).toEqual([]);
  }
  expect([await statusOf(as), await statusOf({ id: as.id, apiKey: key.key }, "/chat/health")]).toEqual([401, 401]);
  await expectError(await signIn({ username: user.username, password: PASSWORD }), 401, "unauthorized");
  // The name is free again.
  expect((await signUp({ username: user.username, email: user.email })).status).toBe(201);
});

test("[ERASE-2] a user who is erased while Postgres is away is locked out at once, and gone when it is back", async () => {
  const { as } = await newPerson();
  const { session_id } = ChatReply.parse(await (await house.call("/chat", { as, body: { prompt: "One" } })).json());
  await untilRows(house, 2, "select 1 from messages where user_id = $1", as.id);
  house.neon.control({ mode: "down" });
  const response = await house.call(`/history/users/${as.id}`, { as, method: "DELETE" });
  expect(response.status).toBe(202);
  expect(ErasedUser.parse(await response.json()).finished).toBe(false);
  expect(await statusOf(as, "/chat/health")).toBe(401);
  house.neon.control({ mode: "up" });
  while ((await house.sql`select 1 from users where id = ${as.id}`).length > 0);
  expect(await house.querySession(session_id, "SELECT name FROM sqlite_master WHERE name = 'messages'")).toEqual([]);
  expect(await house.sql`select 1 from messages where session_id = ${session_id}`).toEqual([]);
});

test("[AUTH-5] [V1-6] [LLM-5] a model that is asked directly is told off with its key: the stream ends with an error, never cleanly", async () => {
  const { as } = await newPerson();
  const model = "demo:tokens.4000.gap.10";
  for (const [path, body, failed] of [
    ["/llm/generate/stream", { model, prompt: "Go on for long" }, "event: error"],
    ["/v1/chat/completions", { model, messages: [{ role: "user", content: "Go on" }], stream: true }, '"error":'],
  ] as const) {
    const key = await newKey(as, { scopes: ["chat"] });
    const response = await house.call(path, { as: { id: as.id, apiKey: key.key }, body });
    let text = "";
    for await (const piece of (response.body ?? new ReadableStream<Uint8Array>()).pipeThrough(
      new TextDecoderStream(),
    )) {
      if (text === "") await house.call(`/auth/api-keys/${key.id}`, { as, method: "DELETE" });
      text += piece;
    }
    const [last = ""] = text.trimEnd().split("\n\n").slice(-1);
    expect(last).toContain(failed);
    expect(last).toContain('"code":"cancelled"');
    expect(text).not.toContain("[DONE]");
    expect(text).not.toContain("event: done");
  }
});
