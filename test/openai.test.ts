/**
 * /v1/chat/completions and /v1/models as OpenAI's own client and the AI SDK use them, and what is refused there in OpenAI's form.
 */
import { generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";
import { APIError, AuthenticationError, BadRequestError, NotFoundError } from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { OpenAiErrorBody } from "../contracts/openai-errors.ts";
import { type House, linesOf, openHouse, type Tenant } from "./house.ts";
import { compatibleOf, openAiOf, RED_PIXEL } from "./stock-clients.ts";

let house: House;
let as: Tenant;
beforeAll(async () => {
  const MODELS = JSON.stringify({ models: { demo: {}, "demo:*": {}, plain: { abilities: ["chat"] } } });
  house = await openHouse({ settings: { MODELS } });
  as = await house.newTenant();
});
afterAll(() => house.close());

const PATH = "/v1/chat/completions";
const CALCULATOR = {
  type: "function" as const,
  function: {
    name: "calculator",
    description: "Works out a sum.",
    parameters: { type: "object", properties: { expression: { type: "string" } }, required: ["expression"] },
  },
};

let asked = 0;
/** A question that nobody has asked before. */
const fresh = (text: string) => {
  asked += 1;
  return { model: "demo", messages: [{ role: "user" as const, content: `${text} (${asked})` }] };
};

describe("the client of OpenAI", () => {
  test("[V1-1] gets an answer in one piece, and the same as a stream with its usage", async () => {
    const client = openAiOf(house, as);
    const question = fresh("Which river is long?");
    const whole = await client.chat.completions.create(question);
    expect(whole.choices[0]).toMatchObject({ finish_reason: "stop", message: { role: "assistant" } });
    expect(whole.usage?.total_tokens).toBeGreaterThan(0);

    const streamed = client.chat.completions.stream({
      ...{ ...question, stream_options: { include_usage: true } },
    });
    expect(await streamed.finalContent()).toBe(whole.choices[0]?.message.content);
    expect((await streamed.finalChatCompletion()).usage).toEqual(whole.usage);
  });

  test("[V1-1] streams chunks with a role first, a finish reason last, and usage only where it is asked for", async () => {
    const response = await house.call(PATH, { as, body: { ...fresh("Hello"), stream: true } });
    const frames = (await response.text()).split("\n\n").slice(0, -1);
    expect(frames.at(-1)).toBe("data: [DONE]");
    const chunks = frames.slice(0, -1).map((frame) => JSON.parse(frame.slice(6)) as Record<string, unknown>);
    expect(chunks[0]).toMatchObject({ object: "chat.completion.chunk", choices: [{ delta: { role: "assistant" } }] });
    expect(chunks.at(-1)).toMatchObject({ choices: [{ delta: {}, finish_reason: "stop" }] });
    expect(chunks.every((chunk) => !("usage" in chunk))).toBe(true);
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
  });

  test("[V1-2] runs its own tools: calls come as deltas, results go back, and the model sees both", async () => {
    const client = openAiOf(house, as);
    const runs: string[] = [];
    const runner = client.chat.completions.runTools({
      ...{ ...fresh("What is 17*23?"), stream: true },
      tools: [
        {
          ...CALCULATOR,
          function: {
            ...CALCULATOR.function,
            parse: (text: string) => JSON.parse(text) as { expression: string },
            function: ({ expression }: { expression: string }) => {
              runs.push(expression);
              return "391";
            },
          },
        },
      ],
    });
    expect(await runner.finalContent()).toContain("391");
    expect(runs).toEqual(["17*23"]);
    expect(house.llm.stats().last_request).toMatchObject({
      tools: [{ function: { name: "calculator", description: "Works out a sum." } }],
      messages: [{ role: "user" }, { role: "assistant", tool_calls: [{}] }, { role: "tool", content: "391" }],
    });
  });

  test("[V1-2] calls in one piece, and tool_choice reaches the model", async () => {
    const client = openAiOf(house, as);
    const body = { ...fresh("What is 4*5?"), tools: [CALCULATOR], parallel_tool_calls: false };
    const called = await client.chat.completions.create({ ...body, tool_choice: "required" });
    const [choice] = called.choices;
    expect(choice).toMatchObject({ finish_reason: "tool_calls", message: { content: null } });
    const [call] = choice?.message.tool_calls ?? [];
    expect(call).toMatchObject({ type: "function", function: { name: "calculator" } });
    expect(house.llm.stats().last_request).toMatchObject({ tool_choice: "required", parallel_tool_calls: false });
    const named = { type: "function", function: { name: "calculator" } } as const;
    await client.chat.completions.create({ ...body, tool_choice: named });
    expect(house.llm.stats().last_request).toMatchObject({ tool_choice: named });
    const none = await client.chat.completions.create({ ...body, tool_choice: "none" });
    expect(none.choices[0]?.finish_reason).toBe("stop");
  });

  test("[V1-3] what it says of the answer reaches the model, system and developer messages too, and nothing of ours is added", async () => {
    const format = {
      type: "json_schema",
      json_schema: { name: "river", strict: true, schema: { type: "object", properties: {} } },
    } as const;
    await openAiOf(house, as).chat.completions.create({
      model: "demo",
      messages: [
        { role: "system", content: "Be brief." },
        { role: "developer", content: [{ type: "text", text: "Be kind." }] },
        {
          role: "user",
          content: [
            { type: "text", text: "Name" },
            { type: "text", text: "a river" },
          ],
        },
      ],
      ...{ presence_penalty: 0.5, frequency_penalty: -0.5, prediction: null, prompt_cache_retention: "24h" },
      ...{ temperature: 0, top_p: 0.5, max_completion_tokens: 50, stop: "END", seed: 7, n: 1, store: false },
      ...{ response_format: format, user: "somebody", metadata: { a: "b" }, service_tier: "auto", logprobs: false },
    });
    const sent = house.llm.stats().last_request;
    expect(sent).toMatchObject({
      messages: [
        { role: "system", content: "Be brief." },
        { role: "system", content: "Be kind." },
        { role: "user", content: "Name\na river" },
      ],
      ...{ presence_penalty: 0.5, frequency_penalty: -0.5 },
      ...{ temperature: 0, top_p: 0.5, stop: ["END"], seed: 7, response_format: format },
    });
    for (const name of ["user", "metadata", "n", "store", "service_tier", "logprobs", "prediction"])
      expect(sent).not.toHaveProperty(name);
  });

  test("[V1-10] shows images, which count for the cache; a model that cannot see is not asked", async () => {
    const client = openAiOf(house, as);
    const look = (url: string, model = "demo") =>
      client.chat.completions.create({
        model,
        messages: [
          { role: "system", content: "Look." },
          {
            role: "user",
            content: [
              { type: "text", text: "What is this?" },
              { type: "image_url", image_url: { url } },
            ],
          },
        ],
      });
    await look(RED_PIXEL);
    const text = { type: "text", text: "What is this?" };
    expect(house.llm.stats().last_request).toMatchObject({
      messages: [{ role: "system" }, { role: "user", content: [text, { image_url: { url: RED_PIXEL } }] }],
    });
    await expect(look(RED_PIXEL, "plain")).rejects.toMatchObject({ status: 400, code: "unsupported_modality" });
    for (const url of ["http://127.0.0.1/a.png", "file:///etc/passwd", "data:image/jpeg;base64,AAAA"]) {
      await expect(look(url)).rejects.toMatchObject({ status: 400, param: "messages.1.content.1" });
    }
  });

  test("[V1-10] [MEDIA-8] an answer about an image is its user's alone", async () => {
    const other = await house.newTenant();
    const [question] = fresh("Whose is this?").messages;
    const parts = [
      { type: "text", text: question?.content },
      { type: "image_url", image_url: { url: RED_PIXEL } },
    ];
    const body = { model: "demo", messages: [{ role: "user", content: parts }] };
    const verdictFor = async (who: Tenant) => {
      const response = await house.call(PATH, { as: who, body });
      await response.text();
      return response.headers.get("x-cache");
    };
    const { calls } = house.redis.stats();
    expect(await verdictFor(as)).toBe("MISS");
    await house.redis.until((stats) => stats.calls >= calls + 2 && stats.in_flight === 0);
    expect(await verdictFor(as)).toBe("HIT");
    expect(await verdictFor(other)).toBe("MISS");
  });

  test("[FORMAT-2] a model that knows no schemas is not asked for one", async () => {
    const { calls } = house.llm.stats();
    const format = { type: "json_schema", json_schema: { name: "a", schema: { type: "object" } } } as const;
    const body = { ...fresh("Hello"), model: "plain", response_format: format };
    const refused = openAiOf(house, as).chat.completions.create(body);
    await expect(refused).rejects.toMatchObject({ status: 400, code: "invalid_request" });
    expect(house.llm.stats().calls).toBe(calls);
  });

  test("[V1-3] takes back what it has made of our messages, and what means nothing", async () => {
    const client = openAiOf(house, as);
    const { model, messages } = fresh("What is 17*23?");
    const strict = { ...CALCULATOR, function: { ...CALCULATOR.function, strict: true } };
    const called = await client.chat.completions.stream({ model, messages, tools: [strict] }).finalChatCompletion();
    const calling = called.choices[0]?.message;
    const [call] = calling?.tool_calls ?? [];
    if (calling === undefined || call === undefined) throw new Error("no call");
    const format = { type: "json_schema", json_schema: { name: "r", schema: { type: "object" } } } as const;
    const parsed = await client.chat.completions.parse({ ...fresh("Name a river"), response_format: format });
    const answer = parsed.choices[0]?.message;
    if (answer === undefined) throw new Error("no answer");
    expect(answer).toHaveProperty("parsed");
    await client.chat.completions.create({
      model,
      messages: [
        { role: "system", name: "host", content: "Be brief." },
        ...[...messages, calling, { role: "tool" as const, tool_call_id: call.id, content: "391" }],
        ...[{ role: "user" as const, name: "Ada", content: "A river" }, answer, ...fresh("Another").messages],
      ],
      ...{ logit_bias: {}, reasoning_effort: null, top_logprobs: null },
    });
    const sent = JSON.stringify(house.llm.stats().last_request);
    expect(house.llm.stats().last_request).toMatchObject({
      messages: [
        { role: "system" },
        { role: "user" },
        { tool_calls: [{ id: call.id }] },
        { content: "391" },
        {},
        {},
        {},
      ],
    });
    for (const passed of ["parsed", "logit_bias", "reasoning_effort", "top_logprobs", '"name":"Ada"']) {
      expect(sent).not.toContain(passed);
    }
  });

  test("[V1-3] may ask for a form by its name alone", async () => {
    const format = { type: "json_schema", json_schema: { name: "a", description: "Any" } } as const;
    const made = await openAiOf(house, as).chat.completions.create({ ...fresh("Hello"), response_format: format });
    expect(made.choices[0]?.finish_reason).toBe("stop");
    expect(house.llm.stats().last_request).toMatchObject({ response_format: format });
  });

  test("[V1-4] is told of refusals as errors of their kind, with the field's name", async () => {
    const client = openAiOf(house, as);
    const refusal = async (more: object) => {
      const refused = client.chat.completions.create({ ...fresh("Hello"), ...more });
      return refused.then(
        () => undefined,
        (error: unknown) => error,
      );
    };
    for (const [more, param] of [
      [{ n: 2 }, "n"],
      [{ logit_bias: { 1: 1 } }, "logit_bias"],
      [{ reasoning_effort: "high" }, "reasoning_effort"],
      [{ top_logprobs: 2 }, "top_logprobs"],
      [{ modalities: ["text", "audio"] }, "modalities"],
      [{ audio: { voice: "alloy", format: "mp3" } }, "audio"],
      [{ presence_penalty: 3 }, "presence_penalty"],
      [{ prediction: { type: "content", content: "a" } }, "prediction"],
      [{ verbosity: "low" }, "verbosity"],
      [{ store: true }, "store"],
      [{ base_url: "http://127.0.0.1/" }, "base_url"],
      [{ extra_headers: { a: "b" } }, "extra_headers"],
      [{ api_key: "mine" }, "api_key"],
      [{ temperature: 3 }, "temperature"],
      [{ tool_choice: "required" }, "tool_choice"],
      [{ messages: [{ role: "tool", tool_call_id: "x", content: "1" }] }, "messages.0"],
    ] as const) {
      const error = await refusal(more);
      expect(error, param).toBeInstanceOf(BadRequestError);
      expect(error).toMatchObject({ param, type: "invalid_request_error", code: "invalid_request" });
    }
    expect(await refusal({ model: "gone" })).toMatchObject({ status: 400, code: "model_not_found" });
    expect(await refusal({ model: "plain", tools: [CALCULATOR] })).toMatchObject({ status: 400 });
    const stranger = openAiOf(house, { id: "", apiKey: "sk-wrong" });
    await expect(stranger.models.list()).rejects.toBeInstanceOf(AuthenticationError);
  });

  test("[V1-5] lists the models and finds one", async () => {
    const client = openAiOf(house, as);
    const models = await client.models.list();
    expect(models.data.map(({ id }) => id)).toContain("demo");
    expect(await client.models.retrieve("demo")).toMatchObject({ id: "demo", object: "model", owned_by: "openai" });
    await expect(client.models.retrieve("gone")).rejects.toBeInstanceOf(NotFoundError);
  });

  test("[V1-6] sees that an answer was cut: an error, never a clean end", async () => {
    const client = openAiOf(house, as);
    for (const fault of ["cut.2", "drop.2", "err.2", "finish.abort"]) {
      const stream = await client.chat.completions.create({ ...fresh("Hello"), model: `demo:${fault}`, stream: true });
      const read = async () => {
        for await (const chunk of stream) expect(chunk.choices[0]?.finish_reason ?? null).toBeNull();
      };
      await expect(read(), fault).rejects.toBeInstanceOf(APIError);
      const again = { ...fresh("Hello"), model: `demo:${fault}`, stream: true };
      expect(await (await house.call(PATH, { as, body: again })).text()).not.toContain("[DONE]");
      await expect(
        client.chat.completions.create({ ...fresh("Hello"), model: `demo:${fault}` }),
      ).rejects.toBeInstanceOf(APIError);
    }
  });

  test("[V1-7] leaves, and the provider's request ends with it", async () => {
    const { aborted } = house.llm.stats();
    const stream = await openAiOf(house, as).chat.completions.create({
      ...{ ...fresh("Hello"), model: "demo:tokens.2000.gap.20", stream: true },
    });
    for await (const chunk of stream) if (chunk.choices[0]?.delta.content) break; // leaving the loop hangs up
    await house.llm.until((stats) => stats.aborted > aborted);
    expect(house.llm.stats()["in_flight"]).toBe(0);
  });
});

describe("the cache", () => {
  let before = 0;
  /** What an answer leaves is written behind its reply: a read, then a write. */
  const kept = () => house.redis.until(({ calls, in_flight }) => calls >= before + 2 && in_flight === 0);
  const ask = async (body: object, headers: Record<string, string> = {}, who = as) => {
    await house.redis.until(({ in_flight }) => in_flight === 0);
    before = house.redis.stats().calls;
    const response = await house.call(PATH, { as: who, body, headers });
    return { verdict: response.headers.get("x-cache"), text: await response.text() };
  };

  test("[V1-8] [CACHE-1] answers the same question again, as a stream too, and no other question", async () => {
    const body = fresh("What is cached?");
    const first = await ask(body);
    expect(first.verdict).toBe("MISS");
    await kept();
    expect((await ask(body)).verdict).toBe("HIT");
    const calls = house.llm.stats().calls;
    const { text, verdict } = await ask({ ...body, stream: true });
    expect([verdict, text.includes("[DONE]")]).toEqual(["HIT", true]);
    expect(house.llm.stats().calls).toBe(calls);
    for (const more of [
      ...[
        { temperature: 0.1 },
        { top_p: 0.1 },
        { presence_penalty: 1 },
        { seed: 1 },
        { stop: "x" },
        { max_tokens: 7 },
        { tools: [CALCULATOR] },
      ],
      ...[{ response_format: { type: "json_object" } }, { tools: [CALCULATOR], tool_choice: "none" }],
    ]) {
      expect([more, (await ask({ ...body, ...more })).verdict]).toEqual([more, "MISS"]);
    }
  });

  test("[V1-8] gives a tool's calls again under new ids, and does what Cache-Control says", async () => {
    const body = { ...fresh("What is 6*7?"), tools: [CALCULATOR] };
    const idOf = (text: string) => /"id":"(call_[^"]+)"/.exec(text)?.[1];
    const first = await ask(body);
    await kept();
    const again = await ask(body);
    expect(again.verdict).toBe("HIT");
    expect(again.text).toContain('"finish_reason":"tool_calls"');
    expect(idOf(again.text)).not.toBe(idOf(first.text));
    expect((await ask(body, { "cache-control": "no-store" })).verdict).toBe("BYPASS");
    const missed = await house.call(PATH, {
      as,
      body: fresh("Never asked"),
      headers: { "cache-control": "only-if-cached" },
    });
    expect([missed.status, OpenAiErrorBody.parse(await missed.json()).error.code]).toEqual([504, "cache_miss"]);
  });

  test("[V1-8] a conversation that has begun is its user's own; a first question is for all", async () => {
    const other = await house.newTenant();
    const [question] = fresh("Who is asked?").messages;
    const begun = {
      model: "demo",
      messages: [question, { role: "assistant", content: "You." }, { role: "user", content: "Me?" }],
    };
    await ask(begun);
    await kept();
    expect((await ask(begun)).verdict).toBe("HIT");
    expect((await ask(begun, {}, other)).verdict).toBe("MISS");
    const first = { model: "demo", messages: [question] };
    await ask(first);
    await kept();
    expect((await ask(first, {}, other)).verdict).toBe("HIT");
  });
});

test("[V1-4] every fault below /v1 has OpenAI's form", async () => {
  const json = { "content-type": "application/json" };
  for (const [method, path, options, status, code] of [
    ["POST", PATH, { body: "{" }, 400, "invalid_json"],
    ["POST", PATH, { body: "[]" }, 400, "invalid_json"],
    ["POST", PATH, { body: "{}", headers: { "content-type": "text/plain" } }, 415, "unsupported_media_type"],
    ["GET", PATH, {}, 405, "method_not_allowed"],
    ["GET", "/v1/nothing", {}, 404, "not_found"],
    ["GET", "/v1", {}, 404, "not_found"],
    ["GET", "/v1/models?x=1", {}, 400, "invalid_request"],
    ["POST", PATH, { body: "{}", headers: { ...json, authorization: "Bearer x" } }, 401, "unauthorized"],
  ] as const) {
    const response = await house.call(path, { as, method, ...options });
    const { error } = OpenAiErrorBody.parse(await response.json());
    expect([path, response.status, error.code]).toEqual([path, status, code]);
    expect(error.request_id).toBe(response.headers.get("x-request-id"));
  }
});

test("[V1-1] [LOG-6] a call of a model is one line of the log, with its tokens and without a word of it", async () => {
  const response = await house.call(PATH, { as, body: fresh("Something secret") });
  const requestId = response.headers.get("x-request-id");
  await response.text();
  const lines = linesOf(house, requestId).filter(({ call }) => call === "model");
  expect(lines).toMatchObject([{ service: "main", operation: "chat", model: "demo", provider: "openai" }]);
  expect(JSON.stringify(lines)).not.toContain("secret");
});

describe("the AI SDK", () => {
  test("[V1-9] streams a text, and reads its usage and finish reason", async () => {
    const { messages } = fresh("Which sea is deep?");
    const result = streamText({ model: compatibleOf(house, as)("demo"), messages });
    let text = "";
    for await (const piece of result.textStream) text += piece;
    expect(text).toContain("Which sea is deep?");
    expect(await result.finishReason).toBe("stop");
    expect((await result.usage).outputTokens).toBeGreaterThan(0);
  });

  test("[V1-9] runs a tool of the client in a step of its own", async () => {
    const { text, steps } = await generateText({
      model: compatibleOf(house, as)("demo"),
      messages: fresh("What is 12*12?").messages,
      stopWhen: stepCountIs(3),
      tools: {
        calculator: tool({
          description: "Works out a sum.",
          inputSchema: jsonSchema<{ expression: string }>(CALCULATOR.function.parameters as object),
          execute: async ({ expression }) => Promise.resolve(`${expression} is 144`),
        }),
      },
    });
    expect(steps).toHaveLength(2);
    expect(text).toContain("144");
  });
});
