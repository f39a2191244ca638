/** The ledger in Postgres: what every call of a model took, whoever left it and however it ended, against the provider's own bill. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type BilledUsage, ChatReply, TurnView, type Usage } from "../contracts/chat.ts";
import { DIRECT_EVENT_DATA, DirectReply } from "../contracts/direct.ts";
import { isTerminal, type NumberedEvent } from "../contracts/events.ts";
import { ChatCompletion } from "../contracts/openai-chat.ts";
import { ResponseObject } from "../contracts/openai-responses.ts";
import { UserStats } from "../contracts/stats.ts";
import { ErasedUser } from "../contracts/users.ts";
import { seededRandom } from "../dev/house/random.ts";
import { type House, openHouse, readEvents, type Tenant, untilRows } from "./house.ts";

const PACED = "demo:tokens.300.gap.10";
const price = { input: 1, output: 2 };
const CACHED = "demo:cached.10";
const cheaper = { ...price, cached_input: 0.1 };
const MODELS = JSON.stringify({
  models: {
    demo: { price },
    [PACED]: { price },
    "demo:stall.first": { price },
    [CACHED]: { price: cheaper },
    "demo:*": {},
  },
});
const QUICK = { tools: "none", cache: { mode: "no-store" } } as const;

let house: House;
let as: Tenant;
beforeAll(async () => {
  house = await openHouse({ settings: { MODELS, LLM_STALL_TIMEOUT_MS: "1000", LLM_FIRST_TOKEN_TIMEOUT_MS: "1000" } });
  as = await house.newTenant();
});
afterAll(() => house.close());

/** The ledger's rows of a user, once there are as many. */
function ledgerOf(who: Tenant, rows: number): Promise<Record<string, unknown>[]> {
  return untilRows(house, rows, "select * from usage where user_id = $1 order by created_at", who.id);
}

const statsOf = async (who: Tenant, query = ""): Promise<UserStats> =>
  UserStats.parse(await (await house.call(`/history/users/${who.id}/stats${query}`, { as: who })).json());

test("[LEDGER-1] a turn is written down with user, session, turn, model, provider, tokens and cost; an answer from the cache is not", async () => {
  const body = { prompt: "Tell me about the ledger", tools: "none" };
  const reply = ChatReply.parse(await (await house.call("/chat", { as, body })).json());
  await house.redis.until((stats) => stats.in_flight === 0);
  const { prompt_tokens, completion_tokens } = reply.usage;
  const [row, ...others] = await ledgerOf(as, 1);
  expect(others).toEqual([]);
  expect(row).toMatchObject({
    ...{ id: reply.message_id, user_id: as.id, kind: "turn", session_id: reply.session_id, turn_id: reply.turn_id },
    ...{ model: "demo", provider: "openai", prompt_tokens, completion_tokens, is_estimated: false },
  });
  expect(row?.["cost_usd"]).toBeCloseTo((prompt_tokens + 2 * completion_tokens) / 1e6, 12);
  const hit = ChatReply.parse(await (await house.call("/chat", { as, body })).json());
  expect(hit.cache).toBe("hit");
  await untilRows(house, 4, "select 1 from messages where user_id = $1", as.id);
  expect(await ledgerOf(as, 1)).toHaveLength(1);
});

/** What a turn's stream, whole or told again, says of its use. */
async function usageOf(stream: Response): Promise<BilledUsage | undefined> {
  const event = (await readEvents(stream)).findLast((one) => one.event === "usage");
  return event?.event === "usage" ? event.data : undefined;
}

test("[LEDGER-15] the ledger's cost is in a turn's event, reply and state, and in its log read again", async () => {
  const who = await house.newTenant();
  const body = { prompt: "What does an answer cost?", tools: "none" };
  const stream = await house.call("/chat/stream", { as: who, body });
  const [sessionId, turnId] = ["x-session-id", "x-turn-id"].map((name) => String(stream.headers.get(name)));
  const usage = await usageOf(stream);
  const [row] = await ledgerOf(who, 1);
  expect(Number(row?.["cost_usd"])).toBeGreaterThan(0);
  expect(usage).toMatchObject({ cost_usd: row?.["cost_usd"], prompt_tokens: row?.["prompt_tokens"] });
  const view = TurnView.parse(await (await house.call(`/chat/turns/${turnId}`, { as: who })).json());
  expect(view.usage).toEqual(usage);
  expect(await usageOf(await house.call(`/chat/turns/${turnId}/stream`, { as: who }))).toEqual(usage);
  await house.redis.until((stats) => stats.in_flight === 0);
  const hit = ChatReply.parse(await (await house.call("/chat", { as: who, body })).json());
  expect([hit.cache, hit.usage]).toEqual(["hit", { ...usage, cost_usd: 0 }]);
  // Its message says what was saved.
  const saved = await untilRows(house, 1, "select cost_usd from messages where id = $1", hit.message_id);
  expect(saved).toEqual([{ cost_usd: row?.["cost_usd"] }]);
  const more = { ...body, ...QUICK, session_id: sessionId };
  const second = ChatReply.parse(await (await house.call("/chat", { as: who, body: more })).json());
  const free = { ...body, ...QUICK, model: "demo:tokens.5" };
  const unpriced = ChatReply.parse(await (await house.call("/chat", { as: who, body: free })).json());
  expect(unpriced.usage.cost_usd).toBeNull();
  const rows = await ledgerOf(who, 3);
  expect(rows.find(({ id }) => id === second.message_id)).toMatchObject({ cost_usd: second.usage.cost_usd });
});

test("[LEDGER-15] so are those of a turn that is stopped, and of one that fails", async () => {
  const who = await house.newTenant();
  const ask = (model: string) => house.call("/chat/stream", { as: who, body: { prompt: "Go on", model, ...QUICK } });
  const stopped = await ask(PACED);
  const told: NumberedEvent[] = [];
  await readEvents(stopped, (event) => {
    told.push(event);
    const isFirst = event.event === "delta" && told.filter((one) => one.event === "delta").length === 1;
    if (isFirst) void house.call(`/chat/turns/${stopped.headers.get("x-turn-id")}/cancel`, { as: who, method: "POST" });
    return isTerminal(event);
  });
  const failed = await ask("demo:stall.first");
  const usages = [told.find((event) => event.event === "usage")?.data, await usageOf(failed)];
  const rows = await ledgerOf(who, 2);
  const costs = [PACED, "demo:stall.first"].map((name) => rows.find(({ model }) => model === name)?.["cost_usd"]);
  expect(costs.every((cost) => Number(cost) > 0)).toBe(true);
  expect(usages).toMatchObject(costs.map((cost_usd) => ({ cost_usd, estimated: true })));
});

test("[LEDGER-15] a model that is asked directly tells the ledger's cost, whole and as a stream", async () => {
  const who = await house.newTenant();
  const body = { prompt: "Hello", model: "demo" };
  const whole = DirectReply.parse(await (await house.call("/llm/generate", { as: who, body })).json());
  const text = await (await house.call("/llm/generate/stream", { as: who, body })).text();
  const streamed = DIRECT_EVENT_DATA.usage.parse(JSON.parse(/^event: usage\ndata: (.*)$/m.exec(text)?.[1] ?? ""));
  const rows = await ledgerOf(who, 2);
  expect(rows.map(({ cost_usd }) => cost_usd)).toEqual([whole.usage.cost_usd, streamed.cost_usd]);
  expect(whole.usage.cost_usd).toBeGreaterThan(0);
});

test("[LEDGER-17] what a provider has cached of a prompt is told in every form, and cheaper", async () => {
  const who = await house.newTenant();
  const post = async (path: string, body: object) => {
    const response = await house.call(path, { as: who, body: { model: CACHED, ...body } });
    expect(response.status).toBe(200);
    return response;
  };
  const turn = ChatReply.parse(await (await post("/chat", { prompt: "what is 6*7?", cache: QUICK.cache })).json());
  const direct = DirectReply.parse(
    await (await post("/llm/generate", { prompt: "How much of this was cached?" })).json(),
  );
  // The turn asked twice.
  expect([turn.usage.cached_tokens, direct.usage.cached_tokens]).toEqual([20, 10]);
  const messages = [{ role: "user", content: "How much of this was cached?" }];
  const told = { prompt_tokens_details: { cached_tokens: 10 } };
  const completion = ChatCompletion.parse(await (await post("/v1/chat/completions", { messages })).json());
  expect(completion.usage).toMatchObject(told);
  expect(completion.usage).not.toHaveProperty("cached_tokens");
  await house.redis.until((stats) => stats.in_flight === 0);
  const options = { stream: true, stream_options: { include_usage: true } };
  const chunks = await (await post("/v1/chat/completions", { messages, ...options })).text();
  expect(JSON.parse(/^data: (.*"choices":\[\].*)$/m.exec(chunks)?.[1] ?? "")).toMatchObject({
    usage: completion.usage,
  });
  const response = ResponseObject.parse(await (await post("/v1/responses", { input: "Hello" })).json());
  expect(response.usage?.input_tokens_details).toEqual({ cached_tokens: 10 });
  const rows = await ledgerOf(who, 4);
  const costOf = ({ prompt_tokens: prompt, cached_tokens: cached = 0, completion_tokens: answer }: Usage) =>
    (prompt - cached + 0.1 * cached + 2 * answer) / 1e6;
  for (const usage of [turn.usage, direct.usage]) {
    expect(usage.cost_usd).toBeCloseTo(costOf(usage), 12);
    expect(rows.map(({ cost_usd }) => cost_usd)).toContain(usage.cost_usd);
  }
});

test("[LEDGER-16] statistics of one session, deleted or not, and nothing of another user's", async () => {
  const who = await house.newTenant();
  const chat = async (more: object) =>
    ChatReply.parse(
      await (await house.call("/chat", { as: who, body: { prompt: "Hello", ...QUICK, ...more } })).json(),
    );
  const first = await chat({});
  const second = await chat({ session_id: first.session_id });
  await chat({});
  await ledgerOf(who, 3);
  const cost = (first.usage.cost_usd ?? 0) + (second.usage.cost_usd ?? 0);
  const told = await statsOf(who, `?session_id=${first.session_id}`);
  expect(told).toMatchObject({ sessions: { total: 1 }, messages: { total: 4 } });
  expect(told.tokens.total_tokens).toBe(first.usage.total_tokens + second.usage.total_tokens);
  expect(told.cost_usd).toBeCloseTo(cost, 12);
  const foreign = await house.call(`/history/users/${as.id}/stats?session_id=${first.session_id}`, { as });
  expect([foreign.status, await foreign.json()]).toMatchObject([404, { error: { code: "not_found" } }]);
  await house.call(`/history/sessions/${first.session_id}`, { as: who, method: "DELETE" });
  const left = await statsOf(who, `?session_id=${first.session_id}`);
  expect([left.sessions.total, left.messages.total, left.cost_usd]).toEqual([0, 0, told.cost_usd]);
});

test("[LEDGER-2] a direct call is written down, of either kind, also one without the provider's figures", async () => {
  const who = await house.newTenant();
  for (const path of ["/llm/generate", "/llm/generate/stream"]) {
    for (const model of ["demo", "demo:nousage"]) {
      await (await house.call(path, { as: who, body: { prompt: "Hello", model } })).text();
    }
  }
  const rows = await ledgerOf(who, 4);
  expect(rows.map(({ kind, session_id, turn_id }) => [kind, session_id, turn_id])).toEqual(
    Array.from({ length: 4 }, () => ["direct", null, null]),
  );
  expect(rows.filter((row) => row["is_estimated"]).map(({ model }) => model)).toEqual(["demo:nousage", "demo:nousage"]);
  // A model without a price has no known cost.
  expect(rows.filter(({ cost_usd }) => cost_usd === null)).toHaveLength(2);
});

test("[LEDGER-2] OpenAI's face is counted and written down like the rest: completions, an answer from the cache, vectors", async () => {
  const who = await house.newTenant();
  const left = (response: Response, what: string) => Number(response.headers.get(`x-ratelimit-remaining-${what}`));
  const messages = [{ role: "user", content: "Tell me about the ledger's face" }];
  const complete = (more: object) =>
    house.call("/v1/chat/completions", { as: who, body: { model: "demo", messages, ...more } });
  const made = await complete({});
  const { usage } = ChatCompletion.parse(await made.json());
  await house.redis.until((stats) => stats.in_flight === 0);
  const hit = await complete({ stream: true });
  expect(hit.headers.get("x-cache")).toBe("HIT");
  await hit.text();
  const vectors = await house.call("/v1/embeddings", { as: who, body: { model: "demo", input: "some words" } });
  expect(vectors.status).toBe(200);
  await vectors.text();
  expect([made, hit, vectors].map((response) => left(response, "requests") - left(made, "requests"))).toEqual([
    0, -1, -2,
  ]);
  const rows = await ledgerOf(who, 2);
  expect(rows).toHaveLength(2);
  const { prompt_tokens, completion_tokens } = usage;
  const told = { model: "demo", is_estimated: false, prompt_tokens, completion_tokens };
  expect(rows.find(({ kind }) => kind === "direct")).toMatchObject(told);
  expect(rows.find(({ kind }) => kind === "embedding")).toMatchObject({ completion_tokens: 0 });
});

test("[LEDGER-3] what no message tells of is written down too: a failed turn, one of a session that is kept nowhere, one that was deleted", async () => {
  const who = await house.newTenant();
  const chat = (more: object) => house.call("/chat", { as: who, body: { prompt: "Hello", ...QUICK, ...more } });
  expect((await chat({ model: "demo:stall.first" })).status).toBe(504);
  const unstored = ChatReply.parse(await (await chat({ store: false })).json());
  const kept = ChatReply.parse(await (await chat({})).json());
  const rows = await ledgerOf(who, 3);
  const failed = rows.find(({ model }) => model === "demo:stall.first");
  expect(failed).toMatchObject({ kind: "turn", is_estimated: true, completion_tokens: 0 });
  expect(Number(failed?.["prompt_tokens"])).toBeGreaterThan(0);
  expect(rows.find(({ id }) => id === unstored.message_id)).toMatchObject({ session_id: null, turn_id: null });
  expect((await house.call(`/history/sessions/${kept.session_id}`, { as: who, method: "DELETE" })).status).toBe(200);
  expect(await ledgerOf(who, 3)).toHaveLength(3);
  const { messages, tokens } = await statsOf(who);
  expect(messages.assistant).toBe(0);
  const total = rows.reduce((sum, row) => sum + Number(row["prompt_tokens"]) + Number(row["completion_tokens"]), 0);
  expect(tokens.total_tokens).toBe(total);
});

test("[LEDGER-3] a session that is deleted while Postgres is away leaves what it cost", async () => {
  const who = await house.newTenant();
  // The account knows the user from here on.
  await (await house.call("/llm/generate", { as: who, body: { prompt: "Hello" } })).text();
  await ledgerOf(who, 1);
  house.neon.control({ mode: "down" });
  const { session_id, message_id } = ChatReply.parse(
    await (await house.call("/chat", { as: who, body: { prompt: "Hello", ...QUICK } })).json(),
  );
  expect((await house.call(`/history/sessions/${session_id}`, { as: who, method: "DELETE" })).status).toBe(202);
  house.neon.control({ mode: "up" });
  const rows = await ledgerOf(who, 2);
  expect(rows.map(({ id }) => id)).toContain(message_id);
});

test("[LEDGER-4] [S33] clients that are killed in the middle: the bill to the token where it is told; else an estimate, no less than was read and at most a quarter more than was billed", async () => {
  const who = await house.newTenant();
  const random = seededRandom(4);
  await house.llm.until((stats) => stats.in_flight === 0);
  const before = bill();
  /** Gives how many tokens the client has read. */
  const killed = async (path: string, body: object): Promise<number> => {
    const leaving = new AbortController();
    const response = await house.call(path, { as: who, body, signal: leaving.signal });
    let left = 1 + Math.floor(random() * 100);
    const decoder = new TextDecoder();
    let text = "";
    try {
      for await (const piece of response.body ?? []) {
        const more = decoder.decode(piece, { stream: true });
        text += more;
        left -= more.split("event: delta").length - 1;
        if (left <= 0) break;
      }
    } finally {
      leaving.abort();
    }
    return text.split(/demo model| t\d/).length - 1;
  };
  const paced = { prompt: "Go on", model: "demo:tokens.300.gap.3" };
  const many = <T>(count: number, call: () => Promise<T>) => Array.from({ length: count }, call);
  const chat = (more: object) => ({ ...paced, ...QUICK, ...more });
  const whole = (path: string, body: object) => async () =>
    void (await (await house.call(path, { as: who, body })).text());
  const streams = many(8, () => killed("/llm/generate/stream", paced));
  await Promise.all([
    ...many(8, () => killed("/chat/stream", chat({}))),
    ...many(4, () => killed("/chat/stream", chat({ store: false }))),
    ...many(2, whole("/chat", { prompt: "what is 6*7?", cache: { mode: "no-store" } })),
    ...many(2, whole("/llm/generate", { prompt: "Hello" })),
    ...many(2, whole("/llm/generate/stream", { prompt: "Hello" })),
    ...many(2, whole("/llm/generate/stream", { prompt: "Hello", model: "demo:nousage" })),
  ]);
  const rows = await ledgerOf(who, 28);
  await house.llm.until((stats) => stats.in_flight === 0);
  const after = bill();
  const sum = (estimated: boolean): number =>
    rows
      .filter((row) => row["is_estimated"] === estimated)
      .reduce((total, row) => total + Number(row["prompt_tokens"]) + Number(row["completion_tokens"]), 0);
  expect(sum(false)).toBe(after.reported - before.reported);
  expect(rows.filter((row) => row["is_estimated"])).toHaveLength(after.unreported - before.unreported);
  expect(after.unreported - before.unreported).toBe(10);
  const unreported = after.billed - before.billed - (after.reported - before.reported);
  const read = (await Promise.all(streams)).reduce((all, tokens) => all + tokens, 0);
  const cut = rows.filter((row) => row["is_estimated"] && row["model"] === paced.model);
  expect(cut).toHaveLength(streams.length);
  expect(read).toBeGreaterThan(0);
  expect(cut.reduce((all, row) => all + Number(row["completion_tokens"]), 0)).toBeGreaterThanOrEqual(read);
  // A token of the estimate has four characters, of the paced model's three to five; and each call's part is rounded up.
  expect(sum(true)).toBeLessThanOrEqual(1.25 * (unreported + 10));
  expect((await statsOf(who)).tokens.total_tokens).toBe(sum(false) + sum(true));
});

test("[LEDGER-4] answers that cannot be used are paid for: cut ones with the retry, unreadable calls, whole and as streams", async () => {
  const who = await house.newTenant();
  await house.llm.until((stats) => stats.in_flight === 0);
  const before = bill();
  const { calls } = house.llm.stats();
  const tools = [
    { type: "function", function: { name: "calculator", parameters: { type: "object", properties: {} } } },
  ];
  const messages = [{ role: "user", content: "What is 6*7?" }];
  const unreadable = { model: "demo:toolcalls.invalid-json", messages, tools };
  for (const [path, body] of [
    ["/llm/generate", { prompt: "Hello", model: "demo:finish.abort" }],
    ["/v1/chat/completions", unreadable],
    ["/v1/chat/completions", { ...unreadable, stream: true }],
  ] as const) {
    const text = await (await house.call(path, { as: who, body })).text();
    expect(text).toContain("upstream_");
  }
  const rows = await ledgerOf(who, 3);
  // The first one was tried again.
  expect(house.llm.stats().calls - calls).toBe(4);
  expect(rows.map((row) => row["is_estimated"])).toEqual([false, false, false]);
  const sum = rows.reduce((total, row) => total + Number(row["prompt_tokens"]) + Number(row["completion_tokens"]), 0);
  expect(sum).toBe(bill().billed - before.billed);
});

test("[LEDGER-4] vectors that came to nothing are counted by estimate", async () => {
  const who = await house.newTenant();
  const input = "some words that a model has read";
  const embed = (model: string) => house.call("/v1/embeddings", { as: who, body: { model, input } });
  expect((await embed("demo:status.500")).status).toBe(502);
  expect((await embed("demo:cut.1")).status).toBe(502);
  const [row, ...others] = await ledgerOf(who, 1);
  expect(others).toEqual([]);
  expect(row).toMatchObject({ kind: "embedding", model: "demo:cut.1", is_estimated: true, completion_tokens: 0 });
  // It was tried again.
  expect(row?.["prompt_tokens"]).toBe(2 * (input.length / 4));
});

function bill(): { billed: number; reported: number; unreported: number } {
  const { billed_tokens, reported_tokens, unreported_calls } = house.llm.stats();
  return {
    ...{ billed: Number(billed_tokens), reported: Number(reported_tokens), unreported: Number(unreported_calls) },
  };
}

test("[LEDGER-5] [LEDGER-15] a turn that a restart cuts is written down by what was saved of it", async () => {
  const folder = await mkdtemp(join(tmpdir(), "ledger-"));
  const models = JSON.stringify({ models: { "demo:*": { price } } });
  const cut = await openHouse({ settings: { MODELS: models }, persistTo: folder });
  try {
    const who = await cut.newTenant();
    const body = { prompt: "Go on for long", model: "demo:tokens.4000.gap.10", ...QUICK };
    const stream = await cut.call("/chat/stream", { as: who, body });
    const [sessionId, turnId] = ["x-session-id", "x-turn-id"].map((name) => String(stream.headers.get(name)));
    let deltas = 0;
    await readEvents(stream, ({ event }) => event === "delta" && (deltas += 1) > 150);
    await cut.kill();
    await cut.restart();
    const { state, usage } = TurnView.parse(await (await cut.call(`/chat/turns/${turnId}`, { as: who })).json());
    expect(state).toBe("interrupted");
    const [row] = await untilRows(cut, 1, "select * from usage where user_id = $1", who.id);
    expect(row).toMatchObject({ session_id: sessionId, is_estimated: true });
    const [prompt, completion] = [Number(row?.["prompt_tokens"]), Number(row?.["completion_tokens"])];
    expect(Math.min(prompt, completion)).toBeGreaterThan(0);
    expect(prompt + completion).toBe(usage?.total_tokens);
    expect(usage?.cost_usd).toBe(row?.["cost_usd"]);
  } finally {
    await cut.close();
    await rm(folder, { recursive: true });
  }
});

test("[LEDGER-6] records wait in the account's object while Postgres is away, and come once when it is back", async () => {
  const who = await house.newTenant();
  await (await house.call("/llm/generate", { as: who, body: { prompt: "Hello" } })).text();
  await ledgerOf(who, 1);
  const { calls } = house.neon.stats();
  house.neon.control({ mode: "lost" }); // done, but nobody is told
  for (let n = 0; n < 3; n += 1) await (await house.call("/llm/generate", { as: who, body: { prompt: "Hi" } })).text();
  const { calls: tried } = await house.neon.until((stats) => stats.calls > calls && stats.in_flight === 0);
  house.neon.control({ mode: "up" });
  await house.neon.until((stats) => stats.calls > tried && stats.in_flight === 0);
  expect(await ledgerOf(who, 4)).toHaveLength(4);
});

test("[LEDGER-7] an erased user's records are removed, and counted", async () => {
  const admin = await house.newTenant("admin");
  const who = await house.newTenant();
  await (await house.call("/llm/generate", { as: who, body: { prompt: "Hello" } })).text();
  await ledgerOf(who, 1);
  const erased = await house.call(`/history/users/${who.id}`, { as: admin, method: "DELETE" });
  expect(ErasedUser.parse(await erased.json())).toMatchObject({ removed: { postgres: { usage_records: 1 } } });
  expect(await house.sql`select 1 from usage where user_id = ${who.id}`).toEqual([]);
});

test("[LEDGER-8] invoices are one query: by user and model, with what has no price", async () => {
  const who = await house.newTenant();
  const call = (model: string) => house.call("/llm/generate", { as: who, body: { prompt: "Hello", model } });
  for (const model of ["demo", "demo", "demo:nousage"]) await (await call(model)).text();
  await ledgerOf(who, 3);
  const lines = await house.sql`
    select model, count(*)::int as calls, sum(prompt_tokens + completion_tokens)::int as tokens, sum(cost_usd) as usd,
      (count(*) filter (where is_estimated))::int as estimated
    from usage where user_id = ${who.id} and created_at >= now() - interval '1 month' group by model order by model`;
  expect(lines).toMatchObject([
    { model: "demo", calls: 2, estimated: 0 },
    { model: "demo:nousage", calls: 1, usd: null, estimated: 1 },
  ]);
  expect((await statsOf(who)).models).toMatchObject(lines.map(({ model, calls }) => ({ model, answers: calls })));
});

test("[LEDGER-9] a session's title is written down as a call of its own", async () => {
  const titled = await openHouse({ settings: { TITLE_MODEL: "demo:tokens.5" } });
  try {
    const who = await titled.newTenant();
    const body = { prompt: "Tell me about the deep sea", ...QUICK };
    const reply = ChatReply.parse(await (await titled.call("/chat", { as: who, body })).json());
    const rows = await untilRows(titled, 2, "select * from usage where user_id = $1 order by kind", who.id);
    expect(rows).toMatchObject([
      { kind: "title", session_id: reply.session_id, turn_id: reply.turn_id, model: "demo:tokens.5" },
      { kind: "turn" },
    ]);
    expect(Number(titled.llm.stats()["reported_tokens"])).toBe(
      rows.reduce((sum, row) => sum + Number(row["prompt_tokens"]) + Number(row["completion_tokens"]), 0),
    );
  } finally {
    await titled.close();
  }
});
