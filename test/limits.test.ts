/** What one user may ask of the models, on real objects: exact however many ask at once, told by headers, and kept through a restart. */
import { afterAll, describe, beforeAll, expect, test } from "vitest";
import { ChatReply } from "../contracts/chat.ts";
import { ErrorBody } from "../contracts/errors.ts";
import { ResponseObject } from "../contracts/openai-responses.ts";
import { OpenAiErrorBody } from "../contracts/openai-errors.ts";
import { type House, openHouse, readEvents, type Tenant } from "./house.ts";

const QUICK = { tools: "none", cache: { mode: "no-store" } } as const;
const SLOW = "demo:tokens.4000.gap.10";

const ask = (house: House, as: Tenant, more: object = {}) =>
  house.call("/chat", { as, body: { prompt: "Hello", ...QUICK, ...more } });

async function expectRefused(response: Response, code: string, limit: string): Promise<void> {
  expect(response.status).toBe(429);
  expect(ErrorBody.parse(await response.json()).error).toMatchObject({ code, details: { limit } });
  expect(Number(response.headers.get("retry-after"))).toBeGreaterThan(0);
  expect(response.headers.get("ratelimit")).toMatch(/^"requests";r=\d+;t=\d+, "tokens";r=\d+;t=\d+$/);
}

/** Status by status, how many of so many requests at once got it. */
async function storm(many: number, call: (at: number) => Promise<Response>): Promise<Map<number, number>> {
  const counts = new Map<number, number>();
  const statuses = await Promise.all(
    Array.from({ length: many }, async (_, at) => {
      const response = await call(at);
      await response.text();
      return response.status;
    }),
  );
  for (const status of statuses) counts.set(status, (counts.get(status) ?? 0) + 1);
  return counts;
}

describe("ten requests a minute", () => {
  let house: House;
  let as: Tenant;
  beforeAll(async () => {
    house = await openHouse({ settings: { LIMIT_REQUESTS_PER_MINUTE: "10", LIMIT_TOKENS_PER_MINUTE: "100000" } });
  });
  afterAll(() => house.close());

  test("[LIMIT-1] [S6] of 200 requests at once, by every way to a model, exactly 10 are let in", async () => {
    as = await house.newTenant();
    const { session_id } = ChatReply.parse(await (await ask(house, as)).json());
    const calls = house.llm.stats().calls;
    const ways = [
      (body: object) => house.call("/chat", { as, body: { ...QUICK, ...body } }),
      (body: object) => house.call("/chat/stream", { as, body: { ...QUICK, ...body } }),
      (body: object) => house.call("/history/chat/with-history", { as, body: { ...QUICK, ...body } }),
      (body: object) => house.call("/llm/generate", { as, body }),
      (body: object) => house.call("/llm/generate/stream", { as, body }),
    ];
    const counts = await storm(200, (at) => ways[at % ways.length]?.({ prompt: `Hello ${at}` }) ?? ask(house, as));
    expect(counts.get(200)).toBe(9);
    expect(counts.get(429)).toBe(191);
    expect(house.llm.stats().calls).toBe(calls + 9);
    for (const path of ["regenerate", "edit"]) {
      const body = path === "edit" ? { message_id: session_id, prompt: "x" } : {};
      await expectRefused(
        await house.call(`/chat/sessions/${session_id}/${path}`, { as, body }),
        "rate_limited",
        "requests",
      );
    }
  });

  test("[F42] [LIMIT-6] an account's object that starts again has forgiven nothing, and reads go on", async () => {
    await house.evictObject("AccountObject", as.id);
    await expectRefused(await ask(house, as), "rate_limited", "requests");
    await expectRefused(
      await house.call("/llm/generate", { as, body: { prompt: "Hello" } }),
      "rate_limited",
      "requests",
    );
    expect((await house.call(`/history/users/${as.id}/sessions`, { as })).status).toBe(200);
    // Another user has limits of one's own.
    expect((await ask(house, await house.newTenant())).status).toBe(200);
  });

  test("[LIMIT-7] every reply of a limited route tells how the limits stand, in both ways", async () => {
    const who = await house.newTenant();
    const body = { prompt: "Tell me how it stands", tools: "none" };
    const replies = [
      await house.call("/chat", { as: who, body }),
      await house.call("/chat/stream", { as: who, body }),
      await house.call("/llm/generate", { as: who, body: { prompt: "Hello" } }),
      await house.call("/llm/generate/stream", { as: who, body: { prompt: "Hello" } }),
      await house.call("/llm/generate", { as: who, body: { prompt: "Hello", model: "demo:status.503" } }),
      await house.call("/chat", { as: who, body: { prompt: "Hello", model: "no-such-model" } }),
      await house.call("/llm/generate", { as: who, body: { prompt: "Hello", model: "no-such-model" } }),
    ];
    expect(replies.map(({ status }) => status)).toEqual([200, 200, 200, 200, 502, 400, 400]);
    for (const [at, response] of replies.entries()) {
      await response.text();
      const header = (name: string) => response.headers.get(name) ?? "";
      expect(header("ratelimit-policy")).toBe('"requests";q=10;w=60, "tokens";q=100000;w=60');
      expect(header("ratelimit")).toMatch(new RegExp(`^"requests";r=${9 - at};t=6[01], "tokens";r=\\d{4,6};t=6[01]$`));
      expect(header("x-ratelimit-limit-requests")).toBe("10");
      expect(header("x-ratelimit-remaining-requests")).toBe(String(9 - at));
      expect(header("x-ratelimit-reset-requests")).toMatch(/^6[01]s$/);
      expect(Number(header("x-ratelimit-remaining-tokens"))).toBeLessThan(100_000);
      expect(header("x-ratelimit-limit-tokens")).toBe("100000");
      expect(header("x-ratelimit-reset-tokens")).toMatch(/^6[01]s$/);
    }
  });

  test("[LIMIT-7] below /v1 and in /chat/ui as well, and there a refusal has OpenAI's form", async () => {
    const who = await house.newTenant();
    const respond = (model: string) => house.call("/v1/responses", { as: who, body: { model, input: "Hello" } });
    const complete = () =>
      house.call("/v1/chat/completions", {
        as: who,
        body: { model: "demo", messages: [{ role: "user", content: "Hi" }] },
      });
    const embed = () => house.call("/v1/embeddings", { as: who, body: { model: "demo", input: "Hello" } });
    const messages = [{ id: "1", role: "user", parts: [{ type: "text", text: "Hello" }] }];
    const page = () => house.call("/chat/ui", { as: who, body: { id: "a-page", messages } });
    const left = (response: Response) => Number(response.headers.get("x-ratelimit-remaining-requests"));
    const replies = [
      await respond("demo"),
      await respond("demo:status.503"),
      await complete(),
      await embed(),
      await page(),
    ];
    expect(replies.map(({ status }) => status)).toEqual([200, 502, 200, 200, 200]);
    expect(replies.map(left)).toEqual([9, 8, 7, 6, 5]);
    await Promise.all(replies.map((response) => response.text()));
    await storm(5, embed);
    for (const refused of [await respond("demo"), await complete(), await embed()]) {
      expect(refused.status).toBe(429);
      expect(left(refused)).toBe(0);
      expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
      const { error } = OpenAiErrorBody.parse(await refused.json());
      expect(error).toMatchObject({ type: "rate_limit_error", code: "rate_limited" });
    }
  });

  test("[LIMIT-5] an answer from the cache is a request, and takes no tokens; a refused request takes neither", async () => {
    const who = await house.newTenant();
    const body = { prompt: "Tell me about the moon", tools: "none" };
    const left = (response: Response, what: string) => Number(response.headers.get(`x-ratelimit-remaining-${what}`));
    const miss = await house.call("/chat", { as: who, body });
    const { usage } = ChatReply.parse(await miss.json());
    await house.redis.until((stats) => stats.in_flight === 0);
    const hits = [await house.call("/chat", { as: who, body }), await house.call("/chat", { as: who, body })];
    for (const hit of hits) expect(ChatReply.parse(await hit.json()).cache).toBe("hit");
    expect(hits.map((hit) => left(hit, "requests"))).toEqual([8, 7]);
    const unknown = await house.call("/chat", { as: who, body: { ...body, session_id: crypto.randomUUID() } });
    expect(unknown.status).toBe(400);
    const next = await house.call("/llm/generate", { as: who, body: { prompt: "Hi", max_tokens: 10 } });
    expect(left(next, "requests")).toBe(6);
    const spentByOthers = 100_000 - left(next, "tokens") - usage.total_tokens;
    // What is left of it is the estimate of the call itself.
    expect(spentByOthers).toBeGreaterThan(0);
    expect(spentByOthers).toBeLessThan(30);
  });
});

describe("five at once, and a person who is asked", () => {
  let house: House;
  beforeAll(async () => {
    const policy = JSON.stringify([{ tool: "calculator", action: "ask" }]);
    house = await openHouse({ settings: { LIMIT_STREAMS: "5", TOOL_POLICY: policy } });
  });
  afterAll(() => house.close());

  test("[LIMIT-3] [S4] the sixth stream at once is refused, of either kind, until one has ended", async () => {
    const as = await house.newTenant();
    const body = { prompt: "Go on for long", model: SLOW, ...QUICK };
    const chats = await Promise.all([1, 2, 3].map(() => house.call("/chat/stream", { as, body })));
    const direct = { prompt: "Go on for long", model: SLOW };
    const leaving = new AbortController();
    const streams = [
      await house.call("/llm/generate/stream", { as, body: direct }),
      await house.call("/llm/generate/stream", { as, body: direct, signal: leaving.signal }),
    ];
    expect([...chats, ...streams].map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    await expectRefused(await house.call("/chat/stream", { as, body }), "rate_limited", "streams");
    await expectRefused(await house.call("/llm/generate", { as, body: direct }), "rate_limited", "streams");
    // A turn that is stopped has ended, and so has a stream whose client left.
    const turnId = String(chats[0]?.headers.get("x-turn-id"));
    expect((await house.call(`/chat/turns/${turnId}/cancel`, { as, method: "POST" })).status).toBe(200);
    const started = await untilLetIn(() => house.call("/chat/stream", { as, body }));
    leaving.abort();
    const again = await untilLetIn(() => house.call("/llm/generate/stream", { as, body: direct }));
    for (const response of [...chats, started, again]) await response.body?.cancel();
  });

  /** What has ended is told to the account behind the reply. */
  async function untilLetIn(call: () => Promise<Response>): Promise<Response> {
    for (;;) {
      const response = await call();
      if (response.status !== 429) return response;
      await response.text();
    }
  }

  test("[LIMIT-3] turns that wait for a person hold no place; those that go on do", async () => {
    const as = await house.newTenant();
    const waiting = await Promise.all(
      [1, 2, 3, 4, 5].map((n) => house.call("/chat", { as, body: { prompt: `what is ${n}*23?` } })),
    );
    expect(waiting.map(({ status }) => status)).toEqual([202, 202, 202, 202, 202]);
    const sixth = await untilLetIn(() => ask(house, as));
    expect(sixth.status).toBe(200);
    await sixth.text();
    const asked = (await waiting[0]?.json()) as { turn_id: string; approval: { calls: { id: string }[] } };
    const decisions = asked.approval.calls.map(({ id }) => ({ call_id: id, decision: "reject" }));
    const path = `/chat/turns/${asked.turn_id}/approvals`;
    expect((await house.call(path, { as, body: { decisions } })).status).toBe(202);
    await readEvents(await house.call(`/chat/turns/${asked.turn_id}/stream`, { as }));
    expect((await untilLetIn(() => ask(house, as))).status).toBe(200);
  });

  test("[LIMIT-3] a turn that did not start, or that a key has started before, holds no place", async () => {
    const as = await house.newTenant();
    const { session_id } = ChatReply.parse(await (await ask(house, as)).json());
    const body = { prompt: "Go on for long", model: SLOW, session_id, ...QUICK };
    const live = await house.call("/chat/stream", { as, body });
    expect(live.status).toBe(200);
    for (let n = 0; n < 6; n += 1) {
      const refused = await untilLetIn(() => ask(house, as, { session_id }));
      expect(refused.status).toBe(409);
      expect(refused.headers.get("x-ratelimit-limit-requests")).not.toBeNull();
    }
    await live.body?.cancel();
    const keyed = { as, body: { prompt: "Once", ...QUICK }, headers: { "idempotency-key": "a-key" } };
    for (let n = 0; n < 6; n += 1) expect((await untilLetIn(() => house.call("/chat", keyed))).status).toBe(200);
  });
});

describe.each([
  ["tokens", "tokens_per_day", (tokens: number) => ({ LIMIT_TOKENS_PER_DAY: String(10 * tokens) })],
  ["money", "cost_per_day", (tokens: number) => ({ LIMIT_COST_PER_DAY_USD: String((10 * tokens * 2) / 1e6) })],
] as const)("a day's budget in %s", (_, limit, budget) => {
  test("[LIMIT-4] [S4] with a budget for 10 calls at most 10 of 200 at once are let in, and it is not overdrawn", async () => {
    const models = { demo: { price: { input: 2, output: 2 } } };
    const MODELS = JSON.stringify({ models });
    const plain = await openHouse({ settings: { MODELS } });
    const call = { prompt: "Hello", max_tokens: 60, ...QUICK };
    const reply = await plain.call("/chat", { as: await plain.newTenant(), body: call });
    const { total_tokens: tokens } = ChatReply.parse(await reply.json()).usage;
    await plain.close();
    const house = await openHouse({ settings: { MODELS, ...budget(tokens) } });
    try {
      const as = await house.newTenant();
      const counts = await storm(200, () => house.call("/chat", { as, body: call }));
      const letIn = counts.get(200) ?? 0;
      expect(new Set(counts.keys())).toEqual(new Set([200, 429]));
      expect(letIn).toBeLessThanOrEqual(10);
      expect(Number(house.llm.stats()["billed_tokens"])).toBeLessThanOrEqual(10 * tokens);
      const dear = { ...call, max_tokens: 100_000 };
      await expectRefused(await house.call("/chat", { as, body: dear }), "budget_exceeded", limit);
      await expectRefused(
        await house.call("/llm/generate", { as, body: { prompt: "Hello", max_tokens: 100_000 } }),
        "budget_exceeded",
        limit,
      );
    } finally {
      await house.close();
    }
  });
});

describe("a day's budget, and what comes to a prompt beside what is said", () => {
  const words = "word ".repeat(4_000);
  const tools = [{ type: "function", name: "look", description: words }];
  const schema = { type: "object", description: words };
  const ways = {
    instructions: { path: "/v1/responses", body: { input: "Hello", instructions: words } },
    tools: { path: "/v1/responses", body: { input: "Hello", tools, tool_choice: "none" } },
    schema: {
      path: "/v1/responses",
      body: { input: "Hello", text: { format: { type: "json_schema", name: "a", schema } } },
    },
    "a schema in a chat": {
      path: "/chat",
      body: { prompt: "Hello", ...QUICK, response_format: { type: "json_schema", json_schema: { name: "a", schema } } },
    },
    "a schema for a model asked directly": {
      path: "/llm/generate",
      body: { prompt: "Hello", response_format: { type: "json_schema", json_schema: { name: "a", schema } } },
    },
  };
  let house: House;
  beforeAll(async () => {
    house = await openHouse({ settings: { LIMIT_TOKENS_PER_DAY: "4000" } });
  });
  afterAll(() => house.close());

  test("[LIMIT-4] what could not be paid is refused before a model is asked: instructions, tools, schemas", async () => {
    const as = await house.newTenant();
    const { calls } = house.llm.stats();
    for (const [name, { path, body }] of Object.entries(ways)) {
      const response = await house.call(path, { as, body });
      expect([name, response.status]).toEqual([name, 429]);
      expect(await response.json()).toMatchObject({ error: { code: "budget_exceeded" } });
    }
    expect(house.llm.stats().calls).toBe(calls);
  });

  test("[LIMIT-4] outputs of a client's own tools are counted before they are read", async () => {
    const as = await house.newTenant();
    const offered = [
      {
        type: "function",
        name: "calculator",
        parameters: { type: "object", properties: { expression: { type: "string" } } },
      },
    ];
    const respond = (body: object) =>
      house.call("/v1/responses", { as, body: { model: "demo", tools: offered, max_output_tokens: 60, ...body } });
    const called = ResponseObject.parse(await (await respond({ input: "What is 17*23?" })).json());
    const [call] = called.output;
    if (call?.type !== "function_call") throw new Error("no call");
    const output = (text: string) => [{ type: "function_call_output", call_id: call.call_id, output: text }];
    const next = { previous_response_id: called.id };
    const refused = await respond({ ...next, input: output(words) });
    expect(refused.status).toBe(429);
    expect(await refused.json()).toMatchObject({ error: { code: "budget_exceeded" } });
    expect((await respond({ ...next, input: output("391") })).status).toBe(200);
  });
});
