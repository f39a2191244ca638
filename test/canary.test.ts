/**
 * Canaries in every setting, in whatever a user says and in whatever a client may send; then ordinary days and bad ones: each service
 * down, slow, or a gossip that repeats all it was told in its errors. No canary is then found where it does not belong. State: a house
 * behind three gossips, and all that it answered.
 */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { ChatReply } from "../contracts/chat.ts";
import { NewApiKey, Tokens, UserView } from "../contracts/users.ts";
import type { CallOptions } from "../dev/house.ts";
import { LOCAL_LLM_KEY, LOCAL_REDIS_TOKEN } from "../dev/local.ts";
import { type Gossip, GOSSIP_FORMS, serveGossip } from "./canary/gossip.ts";
import { readEntries, readFiles, readRows, type Stored } from "./canary/places.ts";
import { Canaries, type Kind } from "./canary/words.ts";
import { BODIES } from "./fuzz/hostile.ts";
import { type House, openHouse, type Tenant } from "./house.ts";
import { expectJson, fromAnywhere } from "./people.ts";

interface Answered {
  who: "user" | "other" | "admin" | "nobody";
  what: string;
  status: number;
  /** Headers and body. */
  text: string;
  /** It hands out a credential. */
  issues: boolean;
}

const canaries = new Canaries();
const answers: Answered[] = [];
const output: string[] = [];

let house: House;
let folder: string;
let gossips: Record<"llm" | "redis" | "neon" | "vllm", Gossip>;
let user: Tenant;
let other: Tenant;
let admin: Tenant;

beforeAll(async () => {
  for (const method of ["log", "info", "warn", "error", "debug"] as const) {
    vi.spyOn(console, method).mockImplementation((...said: unknown[]) => void output.push(said.map(String).join(" ")));
  }
  folder = await mkdtemp(join(tmpdir(), "basechat-canary-"));
  const stand = (name: "llm" | "redis" | "neon", headers: Record<string, string> = {}) =>
    serveGossip({ name, headers, target: () => house[name].url });
  const [llm, redis, neon, vllm] = await Promise.all([
    stand("llm", { authorization: `Bearer ${LOCAL_LLM_KEY}` }),
    stand("redis", { authorization: `Bearer ${LOCAL_REDIS_TOKEN}` }),
    stand("neon"),
    stand("llm", { authorization: `Bearer ${LOCAL_LLM_KEY}` }),
  ]);
  gossips = { llm, redis, neon, vllm };
  const secret = (name: string): string => canaries.plant("secret", name);
  house = await openHouse({
    persistTo: folder,
    settings: {
      SECRET_KEY: secret("SECRET_KEY"),
      DATABASE_URL: `postgres://${secret("database user")}:${secret("database password")}@localhost/basechat`,
      DATABASE_HTTP_URL: `${neon.url}/sql`,
      UPSTASH_REDIS_REST_URL: redis.url,
      UPSTASH_REDIS_REST_TOKEN: secret("UPSTASH_REDIS_REST_TOKEN"),
      OPENAI_BASE_URL: `${llm.url}/v1`,
      OPENAI_API_KEY: secret("OPENAI_API_KEY"),
      VLLM_BASE_URL: `${vllm.url}/v1`,
      VLLM_API_KEY: secret("VLLM_API_KEY"),
      CF_ACCESS_CLIENT_ID: secret("CF_ACCESS_CLIENT_ID"),
      CF_ACCESS_CLIENT_SECRET: secret("CF_ACCESS_CLIENT_SECRET"),
      PROVIDER_KEYS: JSON.stringify({ ollama: secret("PROVIDER_KEYS") }),
      METRICS_TOKEN: secret("METRICS_TOKEN"),
      // Of searches that nobody makes here.
      BRAVE_API_KEY: secret("BRAVE_API_KEY"),
      TAVILY_API_KEY: secret("TAVILY_API_KEY"),
      TOOL_POLICY: JSON.stringify([{ tool: "calculator", action: "ask" }]),
      ACCOUNT_RECHECK_MS: "1",
      CACHE_READ_TIMEOUT_MS: "500",
      ...{ LLM_STALL_TIMEOUT_MS: "500", LLM_HEADERS_TIMEOUT_MS: "500", LLM_FIRST_TOKEN_TIMEOUT_MS: "500" },
    },
  });
  [other, admin] = await Promise.all([house.newTenant(), house.newTenant("admin")]);
}, 60_000);
afterAll(async () => {
  vi.restoreAllMocks();
  await house.close();
  await Promise.all([...Object.values(gossips).map((gossip) => gossip.close()), rm(folder, { recursive: true })]);
});

/** Asks, and remembers what was answered. */
async function ask(as: Tenant | undefined, path: string, options: CallOptions = {}, issues = false): Promise<Response> {
  const response = await house.call(path, {
    ...options,
    ...(as && { as }),
    headers: { ...fromAnywhere(), ...options.headers },
  });
  const text = await response.clone().text();
  const who = as === undefined ? "nobody" : as.id === user?.id ? "user" : as === other ? "other" : "admin";
  const what = `${options.method ?? ""} ${path.split("?")[0]}`;
  const headers = JSON.stringify([...response.headers]);
  answers.push({ who, what, status: response.status, text: `${headers}\n${text}`, issues });
  return response;
}

/** Kinds that a reply may hold, by who gets it: a user what is the user's own. */
const ALLOWED: Record<Answered["who"], Kind[]> = {
  user: ["private", "shared", "tool", "name"],
  admin: ["name"],
  ...{ other: [], nobody: [] },
};
let looked = { lines: 0, output: 0, answers: 0 };

/** No canary in a line, in an error, or in a reply that it does not belong to, of all that came since the last look. */
function expectQuiet(): void {
  const lines = [
    ...house.lines.slice(looked.lines).map((line) => JSON.stringify(line)),
    ...output.slice(looked.output),
  ];
  const told = lines.flatMap((line) => canaries.find(line).map((stray) => `${stray} in ${line.slice(0, 300)}`));
  const replied = answers.slice(looked.answers).flatMap((answer) => {
    const [, ...errors] = answer.text.split("event: error\n");
    const allowed = [...ALLOWED[answer.who], ...(answer.issues ? (["credential", "name"] as const) : [])];
    const strays = canaries
      .find(answer.text)
      .filter((stray) => answer.status >= 400 || !allowed.some((kind) => stray.startsWith(kind)));
    return [...strays, ...errors.flatMap((error) => canaries.find(error))].map(
      (stray) => `${stray} to ${answer.who}: ${answer.what}`,
    );
  });
  looked = { lines: house.lines.length, output: output.length, answers: answers.length };
  expect({ told, replied }).toEqual({ told: [], replied: [] });
}

const say = (where: string, kind: Kind = "private"): string => canaries.plant(kind, where);
/** Kept for oneself: what may be told to everyone is asked for apart. */
const mine = { cache: { scope: "user" } } as const;

async function chat(prompt: string, more: Record<string, unknown> = {}, path = "/chat"): Promise<Response> {
  return ask(user, path, { body: { prompt, ...mine, ...more } });
}

test("[S12] every setting that is a secret has a canary", async () => {
  const example = await readFile(join(import.meta.dirname, "../.dev.vars.example"), "utf8");
  const names = [...example.matchAll(/^# ([A-Z][A-Z0-9_]+)=/gm)].map(([, name = ""]) => name);
  const secrets = names.filter((name) => /(KEYS?|TOKEN|SECRET|CLIENT_ID|PASSWORD)$/.test(name));
  expect(secrets.length).toBeGreaterThan(5);
  const planted = canaries.find(canaries.wordsOf("secret").join(" "));
  expect(planted).toEqual(expect.arrayContaining(secrets.map((name) => `secret: ${name}`)));
});

test("[S12] [S16] an ordinary day: sign-up, keys, chats, tools, branches, history", { timeout: 120_000 }, async () => {
  const [username, address] = [say("username", "name"), say("email", "name")];
  const email = `${address}@example.test`;
  const password = say("password", "credential");
  const signUp = { body: { username, email, password } };
  const { id } = await expectJson(ask(undefined, "/history/users", signUp, true), UserView, 201);
  await ask(undefined, "/history/users", signUp);
  for (const wrong of [say("wrong password", "credential"), username]) {
    await ask(undefined, "/auth/login", { body: { email, password: wrong } });
  }
  const login = await expectJson(ask(undefined, "/auth/login", { body: { username, password } }, true), Tokens);
  const again = { body: { refresh_token: login.refresh_token } };
  const tokens = await expectJson(ask(undefined, "/auth/refresh", again, true), Tokens);
  const keep = (where: string, token: string): void =>
    canaries.keep("credential", where, token.split(".").at(-1) ?? "");
  for (const { access_token, refresh_token } of [login, tokens]) {
    keep("access token", access_token);
    keep("refresh token", refresh_token);
  }
  user = { id, apiKey: tokens.access_token };
  const body = { name: say("name of a key"), scopes: ["chat", "history", "mcp", "account"] };
  const { key } = await expectJson(ask(user, "/auth/api-keys", { body }, true), NewApiKey, 201);
  keep("API key", key);
  user = { id, apiKey: key };
  const newPassword = { password: say("new password", "credential"), current_password: password };
  await ask(user, `/history/users/${id}`, { method: "PATCH", body: newPassword });
  await ask(user, `/history/users/${id}`, {
    method: "PATCH",
    body: { ...newPassword, current_password: say("guess", "credential") },
  });

  const first = ChatReply.parse(await (await chat(`My name is ${say("prompt")}`)).json());
  const { session_id } = first;
  await chat("what is my name?", { session_id });
  await chat(`echo ${say("a tool's argument", "tool")}`, { session_id });
  await chat(`echo ${say("a tool's argument in a stream", "tool")}`, {}, "/chat/stream");
  await chat(`Tell me of ${say("a prompt for everyone", "shared")}`, { cache: { mode: "default" } });
  await chat(`what do you see? ${say("mirrored prompt")}`, { model: "demo:mirror" });
  await chat(say("a prompt that is not kept"), { store: false });
  await chat("", { prompt: undefined, messages: conversation() });
  await ask(user, `/chat/sessions/${session_id}/regenerate`, { body: { tools: "none" } });
  const waiting = await chat(`what is 3*4? ${say("a prompt that waits")}`);
  const turnId = waiting.headers.get("x-turn-id") ?? "";
  const { approval } = await waiting.json<{ approval: { calls: { id: string }[] } }>();
  const decision = { call_id: approval.calls[0]?.id, decision: "reject", reason: say("a reason") };
  await ask(user, `/chat/turns/${turnId}/approvals`, { body: { decisions: [decision] } });
  await ask(user, `/chat/turns/${turnId}/stream`);

  await ask(user, `/history/sessions/${session_id}`, { method: "PATCH", body: { title: say("title") } });
  await ask(user, "/history/sessions", { body: { title: say("title of a new session") } });
  await ask(user, "/history/messages", { body: { session_id, role: "user", content: say("a saved message") } });
  for (const path of ["", "/messages", "/export", "/export?format=markdown"])
    await ask(user, `/history/sessions/${session_id}${path}`);
  await ask(user, `/history/search?q=${say("a search", "wire")}`);
  await ask(user, "/history/import", { body: importFile(), headers: { "content-type": "application/json" } });
  const call = { name: "echo", arguments: { text: say("an argument over MCP", "tool") } };
  const bad = { name: "calculator", arguments: { expression: say("a bad argument over MCP", "tool") } };
  for (const params of [call, bad]) {
    const headers = { accept: "application/json, text/event-stream" };
    await ask(user, "/mcp", { body: { jsonrpc: "2.0", id: 1, method: "tools/call", params }, headers });
  }
  for (const path of ["/auth/me", "/auth/api-keys", `/history/users/${id}/sessions`, `/history/users/${id}/stats`])
    await ask(user, path);
  await Promise.all([house.neon, house.redis].map((service) => service.until(({ in_flight }) => in_flight === 0)));
  expectQuiet();
});

function conversation() {
  return [
    { role: "user", content: say("the first of a conversation") },
    { role: "assistant", content: say("an answer that was brought along") },
    { role: "user", content: say("the last of a conversation") },
  ];
}

function importFile() {
  const message = {
    id: "m1",
    author: { role: "user" },
    create_time: 1,
    content: { content_type: "text", parts: [say("an import")] },
  };
  const mapping = { m1: { id: "m1", parent: null, children: [], message } };
  return [
    {
      id: "c1",
      conversation_id: "c1",
      title: say("title of an import"),
      create_time: 1,
      update_time: 1,
      mapping,
      current_node: "m1",
    },
  ];
}

test("[S12] [S16] what makes no sense: bodies, queries, headers, credentials", { timeout: 60_000 }, async () => {
  const wire = (where: string): string => canaries.plant("wire", where);
  for (const body of BODIES.filter((one) => typeof one === "string" && one.length < 1_000)) {
    await ask(user, "/chat", {
      body: String(body).replaceAll(/a|Hi|prompt/g, () => wire("a malformed body")) + wire("behind a body"),
    });
  }
  for (const [name, value] of Object.entries({
    ...{ prompt: 1, tools: {}, model: wire("a model that is none") + "\u0000", session_id: wire("an id that is none") },
    ...{ cache: wire("no cache control"), on_busy: wire("no on_busy"), messages: [wire("no message")] },
  })) {
    await ask(user, "/chat", { body: { prompt: "Hello", [name]: value } });
  }
  await ask(user, `/chat/turns/${wire("a turn that is none")}`);
  await ask(user, `/${wire("a path that is none")}`);
  await ask(user, `/history/search?q=x&cursor=${wire("a cursor that is none")}`);
  await ask(user, `/history/search?q=x&from=${wire("a date that is none")}`);
  await ask(undefined, `/auth/me?token=${wire("a token in the query")}`);
  await ask(undefined, "/auth/me", { headers: { authorization: `Bearer ${wire("a credential that is none")}` } });
  await ask(undefined, "/auth/me", { headers: { authorization: `Bearer bck_${wire("a key that is none")}.e30.x` } });
  await ask(undefined, "/auth/refresh", { body: { refresh_token: wire("a refresh token that is none") } });
  for (const name of [
    "user-agent",
    "referer",
    "cookie",
    "x-forwarded-for",
    "x-request-id",
    "origin",
    "last-event-id",
    "x-canary",
  ]) {
    await ask(user, "/auth/me", { headers: { [name]: wire(`header ${name}`) } });
  }
  await chat(say("a prompt with a key"), {}, "/chat");
  await ask(user, "/chat", {
    body: { prompt: "Hello", ...mine },
    headers: { "idempotency-key": wire("an idempotency key") },
  });
  expectQuiet();
});

describe("bad days", () => {
  afterEach(() => {
    for (const { control } of [gossips.redis, gossips.neon, house.redis, house.neon]) control({ mode: "up" });
  });

  /** Two turns that fail, or do not; as JSON and as a stream. */
  const turns = (where: string, more: Record<string, unknown> = {}) =>
    Promise.all(
      ["/chat", "/chat/stream"].map((path) =>
        chat(`Tell me of ${say(`${where}, ${path}`)}`, { tools: "none", ...more }, path),
      ),
    );
  const reads = () =>
    Promise.all([
      ...["/auth/me", "/auth/api-keys", "/history/health", "/health", "/health/ready", `/history/users/${user.id}`].map(
        (path) => ask(user, path),
      ),
      ask(user, `/history/search?q=${say("a search on a bad day", "wire")}`),
      ask(user, "/history/import", { body: importFile(), headers: { "content-type": "application/json" } }),
      ask(user, "/auth/api-keys", { body: { name: say("name of a key on a bad day") } }, true),
      ask(user, `/history/users/${user.id}`, {
        method: "PATCH",
        body: { username: say("new name on a bad day", "name") },
      }),
      ask(undefined, "/auth/login", {
        body: { email: "x@example.test", password: say("password on a bad day", "credential") },
      }),
      ask(undefined, "/history/users", {
        body: {
          username: say("name on a bad day", "name"),
          email: "y@example.test",
          password: say("password", "credential"),
        },
      }),
      ask(admin, "/cache/stats"),
      ask(admin, "/cache/invalidate/intent", { method: "DELETE" }),
    ]);

  test.for([
    ...[
      "cut.2",
      "drop.2",
      "rst.2",
      "err.2",
      "err.2.done",
      "stall.2",
      "stall.headers",
      "stall.first",
      "status.401",
      "status.500",
    ],
    ...["login", "html200", "unknown", "context", "429.ra.120", "finish.weird", "nousage", "toolcalls.loop"],
    ...["toolcalls.invalid-json", "toolcalls.unknown-tool", "toolcalls.split-args"],
  ])("[S12] [S16] [S10] a model that fails: %s", async (fault) => {
    await turns(`a model with ${fault}`, {
      model: `demo:${fault}`,
      tools: fault.startsWith("tool") ? ["echo"] : "none",
    });
    expectQuiet();
  });

  test.for(GOSSIP_FORMS)("[S12] [S16] [S10] a model provider that repeats what it was told: %s", async (form) => {
    gossips.vllm.control({ mode: form });
    await turns(`a gossip with ${form}`, { model_type: "vllm" });
    for (const path of ["/health", "/health/ready"]) await ask(undefined, path);
    await ask(admin, "/health/ready");
    expectQuiet();
  });

  test.for(GOSSIP_FORMS)("[S12] [S16] [S10] Redis and Postgres that repeat what they were told: %s", async (form) => {
    gossips.redis.control({ mode: form });
    await turns(`Redis with ${form}`);
    gossips.neon.control({ mode: form });
    await turns(`Postgres with ${form}`);
    await reads();
    expectQuiet();
  });

  test.for(["down", "refuse", "500", "401", "blackhole", "max_requests", "oom", "huge"])(
    "[S12] [S16] Redis: %s",
    async (mode) => {
      house.redis.control({ mode });
      await turns(`Redis ${mode}`);
      expectQuiet();
    },
  );

  test.for([
    "down",
    "500",
    "lost",
    "err:23505",
    "err:22P05",
    "err:40001",
    "err:53300",
    "err:57P01",
    "err:42P01",
    "err:57014",
  ])("[S12] [S16] Postgres: %s", async (mode) => {
    house.neon.control({ mode });
    await turns(`Postgres ${mode}`);
    await reads();
    expectQuiet();
  });

  test(
    "[S12] [S16] an object that is reset in the midst of a turn, and a runtime that is killed",
    { timeout: 60_000 },
    async () => {
      const started = await house.call("/chat/stream", {
        as: user,
        body: { prompt: say("a prompt that is cut"), model: "demo:tokens.80.gap.20", tools: "none", ...mine },
      });
      const sessionId = started.headers.get("x-session-id") ?? "";
      const turnId = started.headers.get("x-turn-id") ?? "";
      await house.evict(sessionId);
      await started.text().catch(() => undefined);
      await ask(user, `/chat/turns/${turnId}`);
      await ask(user, `/history/sessions/${sessionId}/messages`);
      const body = { prompt: say("a prompt that is killed"), model: "demo:tokens.80.gap.20", tools: "none", ...mine };
      const cut = house.call("/chat", { as: user, body }).catch(() => undefined);
      await house.llm.until(({ in_flight }) => in_flight > 0);
      await house.kill();
      await cut;
      await house.restart();
      await turns("after the runtime was killed");
      expectQuiet();
    },
  );
});

test("[S15] another user who asks the same, and looks for the same, finds nothing of it", async () => {
  const asked = await expectJson(ask(other, "/chat", { body: { prompt: "Hello", ...mine } }), ChatReply);
  const { session_id } = asked;
  for (const prompt of ["what is my name?", "what is 3*4?"]) {
    await ask(other, "/chat", { body: { prompt, session_id } });
    await ask(other, "/chat", { body: { prompt } });
  }
  for (const word of canaries.wordsOf("private", "tool", "shared", "name"))
    await ask(other, `/history/search?q=${word}`);
  for (const path of ["sessions", "stats"]) await ask(other, `/history/users/${other.id}/${path}`);
  await ask(other, `/history/users/${user.id}`);
  for (const path of ["/cache/stats", "/cache/keys?limit=500", "/cache/explain?prompt=Hello"]) await ask(admin, path);
  await ask(admin, `/history/users/${user.id}`);
  await ask(admin, `/history/users/${user.id}/sessions`);
  expectQuiet();
});

describe("where the canaries are", () => {
  const found = (stored: Stored[], allowed: (place: Stored) => Kind[]): string[] =>
    stored.flatMap((one) => {
      const kinds = allowed(one);
      const strays = canaries.find(one.text).filter((stray) => !kinds.some((kind) => stray.startsWith(`${kind}:`)));
      return strays.map((stray) => `${one.place}: ${stray}`);
    });

  test("[S12] [S15] [S16] [B83] in no log, in no error, in nobody else's reply; and there were many of each", () => {
    expectQuiet();
    expect(house.lines.length).toBeGreaterThan(500);
    expect(answers.filter(({ status }) => status >= 400).length).toBeGreaterThan(200);
    expect(answers.filter(({ text }) => text.includes("event: error\n")).length).toBeGreaterThan(20);
    expect(answers.filter(({ who }) => who === "other" || who === "nobody").length).toBeGreaterThan(50);
    const mirrored = answers.filter(({ text }) => text.includes("You are a helpful assistant"));
    expect(mirrored.length).toBeGreaterThan(0);
  });

  test("[S12] [S27] in Postgres: what was said in rows of the user, of what lets in only hashes", async () => {
    const rows = await readRows(house);
    const own = (row: Stored): Kind[] => (row.text.includes(user.id) ? ["private", "tool", "shared", "name"] : []);
    const signedUp = (row: Stored): Kind[] => (row.place === "users" ? ["name"] : []);
    expect(found(rows, (row) => [...own(row), ...signedUp(row)])).toEqual([]);
    expect(rows.some(({ text }) => canaries.find(text, "private").length > 0)).toBe(true);
    const hashes = rows.filter(({ place }) => place === "users").map(({ text }) => JSON.parse(text).password_hash);
    expect(hashes.filter((hash) => hash !== "!")).toEqual(
      hashes.filter((hash) => /^scrypt\$\d+\$\d+\$\d+\$[0-9a-f]{32}\$[0-9a-f]{64}$/.test(hash)),
    );
  });

  test("[S12] [S15] in Redis: only what the user's own entries hold, or what was said to be for everyone", async () => {
    const entries = await readEntries(house, LOCAL_REDIS_TOKEN);
    const allowed = ({ place }: Stored): Kind[] => {
      if (place.includes(`user:${user.id}`)) return ["private", "tool", "shared"];
      return place.startsWith("basechat:mcp:shared:") ? ["tool"] : place.includes(":shared:") ? ["shared"] : [];
    };
    expect(entries.length).toBeGreaterThan(10);
    expect(found(entries, allowed)).toEqual([]);
    expect(entries.flatMap(({ place }) => canaries.find(place))).toEqual([]);
    expect(entries.some(({ text }) => canaries.find(text, "private").length > 0)).toBe(true);
  });

  test("[S12] [S27] in the objects: what was said, and neither a secret nor what lets in", async () => {
    const files = await readFiles(folder);
    expect(found(files, () => ["private", "tool", "shared", "name"])).toEqual([]);
    expect(files.some(({ text }) => canaries.find(text, "private").length > 0)).toBe(true);
  });

  test("[S12] every secret was used, and what was said was heard", () => {
    const heard = Object.values(gossips)
      .flatMap((gossip) => gossip.heard)
      .join("\n");
    const unused = canaries.wordsOf("secret").filter((word) => !heard.includes(word));
    // Only signatures leave the house of the one that signs; the others' services are asked nothing, and one lets in to main alone.
    const unheard = ["SECRET_KEY", "PROVIDER_KEYS", "METRICS_TOKEN", "BRAVE_API_KEY", "TAVILY_API_KEY"].map(
      (name) => `secret: ${name}`,
    );
    expect(canaries.find(unused.join(" "))).toEqual(unheard);
    // Whatever was said in a turn was told to a model.
    const said = canaries.wordsOf("private", "shared").filter((word) => heard.includes(word));
    expect(said.length).toBeGreaterThan(150);
    vi.restoreAllMocks();
    const errors = answers.filter(({ status }) => status >= 400).length;
    console.log(
      `canaries: ${canaries.size} words; ${house.lines.length} log lines, ${answers.length} replies, ${errors} of them errors`,
    );
  });
});
