/** /v1 as the guides of OpenAI's package use it: its helpers for tools, streams and structured answers, its retries, and its classes of errors. */
import {
  APIUserAbortError,
  AuthenticationError,
  BadRequestError,
  ConflictError,
  InternalServerError,
  NotFoundError,
  OpenAI,
  RateLimitError,
} from "openai";
import { zodFunction, zodResponseFormat, zodResponsesFunction, zodTextFormat } from "openai/helpers/zod";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { type House, openHouse, type Tenant } from "./house.ts";
import { checkedFetch, openAiOf, RED_PIXEL } from "./stock-clients.ts";

let house: House;
let as: Tenant;
let client: OpenAI;
beforeAll(async () => {
  house = await openHouse({ settings: { MODELS: JSON.stringify({ models: { demo: {}, "demo:*": {} } }) } });
  as = await house.newTenant();
  client = openAiOf(house, as);
});
afterAll(() => house.close());

const model = "demo";
const LONG = "demo:tokens.2000.gap.20";
const says = (content: string) => [{ role: "user" as const, content }];
const Person = z.object({ name: z.string(), tags: z.array(z.string()), nick: z.string().nullable() });
const Sum = z.object({ expression: z.string() });

/** A client that tries again once, and how often it has asked. */
function patient(of: House, { apiKey }: Tenant) {
  const statuses: number[] = [];
  const fetching: typeof fetch = async (input, init) => {
    const response = await checkedFetch(input, init);
    statuses.push(response.status);
    return response;
  };
  const baseURL = `${of.url.origin}/v1`;
  return { statuses, client: new OpenAI({ apiKey, baseURL, maxRetries: 1, fetch: fetching }) };
}

describe("Chat Completions", () => {
  test("[V1-13] helpers run tools that are made of schemas, in one piece and as a stream", async () => {
    const tools = [
      zodFunction({ name: "calculator", parameters: Sum, function: ({ expression }) => `${expression} is 391` }),
    ];
    const whole = client.chat.completions.runTools({ model, messages: says("What is 17*23?"), tools });
    expect(await whole.finalContent()).toContain("17*23 is 391");
    expect(whole.messages.map(({ role }) => role)).toEqual(["user", "assistant", "tool", "assistant"]);
    const streamed = client.chat.completions.runTools({
      ...{ model, messages: says("What is 17*24?"), tools, stream: true, stream_options: { include_usage: true } },
    });
    expect(await streamed.finalContent()).toContain("17*24 is 391");
    expect((await streamed.totalUsage()).total_tokens).toBeGreaterThan(0);
  });

  test("[V1-13] structured answers are parsed, whole and at a stream's end; a stream is told in pieces to more than one", async () => {
    const response_format = zodResponseFormat(Person, "person");
    const whole = await client.chat.completions.parse({ model, messages: says("Who?"), response_format });
    expect(Person.parse(whole.choices[0]?.message.parsed)).toBeTruthy();
    const stream = client.chat.completions.stream({ model, messages: says("Who then?"), response_format });
    expect(Person.parse((await stream.finalChatCompletion()).choices[0]?.message.parsed)).toBeTruthy();
    const made = await client.chat.completions.create({ model, messages: says("Twice"), stream: true });
    const [one, other] = made.tee();
    const texts = await Promise.all([one, other].map(async (half) => new Response(half.toReadableStream()).text()));
    expect(texts[0]).toBe(texts[1]);
  });

  test("[V1-13] images, models and embeddings; the id of a request is told", async () => {
    const content = [
      { type: "text" as const, text: "Look" },
      { type: "image_url" as const, image_url: { url: RED_PIXEL, detail: "high" as const } },
    ];
    const seen = client.chat.completions.create({ model, messages: [{ role: "user", content }] });
    const { data, request_id } = await seen.withResponse();
    expect(data.choices[0]?.message.content).toContain("an image of 1 x 1 px");
    expect(data).toHaveProperty("_request_id", request_id);
    const ids: string[] = [];
    for await (const one of client.models.list()) ids.push(one.id);
    expect(ids).toContain(model);
    const vectors = await client.embeddings.create({ model, input: ["a", "b"] });
    expect(vectors.data.map(({ index }) => index)).toEqual([0, 1]);
  });

  test("[V1-13] leaving in the middle, before the first word and after some, ends the provider's request", async () => {
    const { aborted } = house.llm.stats();
    const early = new AbortController();
    const silent = { model: "demo:stall.first", messages: says("Silent"), stream: true as const };
    const waiting = client.chat.completions.create(silent, { signal: early.signal });
    await house.llm.until((stats) => stats.in_flight > 0);
    early.abort();
    await expect(waiting).rejects.toBeInstanceOf(APIUserAbortError);
    await house.llm.until((stats) => stats.aborted > aborted);
    const stream = client.chat.completions.stream({ model: LONG, messages: says("Longer") });
    stream.on("content", () => stream.abort());
    await expect(stream.done()).rejects.toBeInstanceOf(APIUserAbortError);
    await house.llm.until((stats) => stats.aborted > aborted + 1);
  });
});

describe("Responses", () => {
  test("[V1-13] structured answers and calls are parsed, whole and at a stream's end", async () => {
    const text = { format: zodTextFormat(Person, "person") };
    const whole = await client.responses.parse({ model, input: "Who?", text });
    expect(Person.parse(whole.output_parsed)).toBeTruthy();
    const stream = client.responses.stream({ model, input: "Who then?", text });
    expect(Person.parse((await stream.finalResponse()).output_parsed)).toBeTruthy();
    const tools = [zodResponsesFunction({ name: "calculator", parameters: Sum })];
    const called = await client.responses.parse({ model, input: "What is 3*4?", tools });
    expect(called.output).toMatchObject([{ type: "function_call", parsed_arguments: { expression: "3*4" } }]);
  });

  test("[V1-13] in the background are asked for until they have ended, and streamed", async () => {
    let response = await client.responses.create({ model, input: "Later", background: true });
    expect(response).toMatchObject({ status: "in_progress", background: true });
    while (response.status === "in_progress") response = await client.responses.retrieve(response.id);
    expect([response.status, response.output_text]).toEqual(["completed", expect.stringContaining("Later")]);
    const stream = await client.responses.create({ model, input: "And later", background: true, stream: true });
    const types: string[] = [];
    for await (const { type } of stream) types.push(type);
    expect([types[0], types.at(-1)]).toEqual(["response.created", "response.completed"]);
  });

  test("[V1-13] leaving a stream does not end its response", async () => {
    const stream = client.responses.stream({ model: "demo:tokens.200.gap.5", input: "Stay" });
    let id = "";
    for await (const event of stream) {
      if (event.type === "response.created") ({ id } = event.response);
      if (event.type === "response.output_text.delta") break;
    }
    const rest = client.responses.stream({ response_id: id });
    expect((await rest.finalResponse()).status).toBe("completed");
  });
});

describe("errors", () => {
  test("[V1-13] are of the package's classes", async () => {
    const ask = (of: string, who = client) => who.chat.completions.create({ model: of, messages: says("Hi") });
    await expect(ask("demo:429")).rejects.toBeInstanceOf(RateLimitError);
    await expect(ask("demo:status.500")).rejects.toBeInstanceOf(InternalServerError);
    await expect(ask("demo:context")).rejects.toBeInstanceOf(BadRequestError);
    await expect(ask(model, openAiOf(house, { id: "", apiKey: "sk-no" }))).rejects.toBeInstanceOf(AuthenticationError);
    const { id } = await client.responses.create({ model, input: "Gone soon" });
    await client.responses.delete(id);
    await expect(client.responses.retrieve(id)).rejects.toBeInstanceOf(NotFoundError);
    await expect(client.responses.create({ model: "demo:429", input: "Hi" })).rejects.toBeInstanceOf(RateLimitError);
  });

  test("[V1-12] a limit is waited for as long as is told, and asked for again", async () => {
    const limited = await openHouse({ settings: { LIMIT_REQUESTS_PER_MINUTE: "1" } });
    try {
      const { client: eager, statuses } = patient(limited, await limited.newTenant());
      await eager.chat.completions.create({ model, messages: says("One") });
      const late = eager.chat.completions.create({ model, messages: says("Two") }, { maxRetries: 0 });
      const error: unknown = await late.catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(RateLimitError);
      const { headers } = error as RateLimitError;
      const seconds = Number(headers?.get("retry-after"));
      expect(seconds).toBeGreaterThan(0);
      expect([headers?.get("x-should-retry"), statuses]).toEqual([null, [200, 429]]);
    } finally {
      await limited.close();
    }
    const { client: again, statuses } = patient(house, as);
    const busy = again.chat.completions.create({ model: "demo:429", messages: says("Busy") });
    await expect(busy).rejects.toBeInstanceOf(RateLimitError);
    expect(statuses).toEqual([429, 429]);
  });

  test("[V1-12] what would fail again is asked for once", async () => {
    const { client: eager, statuses } = patient(house, as);
    const first = await eager.responses.create({ model, input: "First" });
    await eager.responses.create({ model, input: "Second", previous_response_id: first.id });
    await expect(eager.responses.delete(first.id)).rejects.toBeInstanceOf(ConflictError);
    const cached = { headers: { "cache-control": "only-if-cached" } };
    const unseen = eager.chat.completions.create({ model, messages: says("Never seen") }, cached);
    await expect(unseen).rejects.toMatchObject({ code: "cache_miss" });
    const response_format = zodResponseFormat(Person, "person");
    const bad = { model: "demo:badjson.always", messages: says("Bad"), response_format };
    await expect(eager.chat.completions.create(bad)).rejects.toMatchObject({ code: "invalid_model_output" });
    const text = { format: zodTextFormat(Person, "person") };
    const worse = eager.responses.create({ model: "demo:badjson.always", input: "Bad", text });
    await expect(worse).rejects.toMatchObject({ code: "invalid_model_output" });
    const refused = eager.chat.completions.create({ model: "demo:invalid", messages: says("Refused") });
    await expect(refused).rejects.toMatchObject({ status: 400, code: "invalid_request" });
    expect(statuses).toEqual([200, 200, 409, 504, 502, 502, 400]);

    const poor = await openHouse({ settings: { LIMIT_TOKENS_PER_DAY: "1" } });
    try {
      const broke = patient(poor, await poor.newTenant());
      for (const ask of [
        () => broke.client.chat.completions.create({ model, messages: says("Hi") }),
        () => broke.client.responses.create({ model, input: "Hi" }),
      ]) {
        await expect(ask()).rejects.toMatchObject({ status: 429, code: "budget_exceeded" });
      }
      expect(broke.statuses).toEqual([429, 429]);
    } finally {
      await poor.close();
    }
  });
});
