/** Answers in JSON through the whole system: held to what was asked for, made once more when they are not, told as a failure when that is not enough. */
import { zodResponseFormat } from "openai/helpers/zod";
import { afterAll, beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { ErrorBody } from "../contracts/errors.ts";
import type { NumberedEvent } from "../contracts/events.ts";
import { answerOf, type House, openHouse, readEvents, type Tenant } from "./house.ts";
import { openAiOf } from "./stock-clients.ts";

const MODELS = { models: { "demo*": {}, plain: { abilities: ["chat", "tools"] } } };

let house: House;
let as: Tenant;
beforeAll(async () => {
  house = await openHouse({ settings: { MODELS: JSON.stringify(MODELS), DEFAULT_MODEL: "demo" } });
  as = await house.newTenant();
});
afterAll(() => house.close());

const schema = {
  ...{ type: "object", required: ["name", "age"], additionalProperties: false },
  properties: { name: { type: "string" }, age: { type: "integer", minimum: 3 } },
};
const inSchema = { type: "json_schema", json_schema: { name: "person", schema, strict: true } };
const inJson = { type: "json_object" };

interface Reply {
  response: string;
  cache: string;
  session_id: string;
  usage: { completion_tokens: number };
}

async function ask(model: string, prompt: string, format: unknown = inSchema): Promise<Reply> {
  const response = await house.call("/chat", { as, body: { model, prompt, response_format: format } });
  expect(response.status).toBe(200);
  return response.json<Reply>();
}

async function expectUnusable(path: string, body: Record<string, unknown>): Promise<void> {
  const response = await house.call(path, { as, body });
  const { error } = ErrorBody.parse(await response.json());
  expect({ status: response.status, code: error.code }).toEqual({ status: 502, code: "invalid_model_output" });
  expect(error.message).not.toContain("demo");
}

const calls = () => house.llm.stats().calls;
const names = (events: NumberedEvent[]) => [...new Set(events.map(({ event }) => event))];

test("[FORMAT-1] an answer in the form of a schema; the schema reaches the provider, and is part of the key", async () => {
  const first = await ask("demo", "Who?");
  expect(JSON.parse(first.response)).toEqual({ name: expect.any(String), age: 3 });
  expect(house.llm.stats().last_request).toMatchObject({ response_format: inSchema });
  expect((await ask("demo", "Who?")).cache).toBe("hit");
  const other = { ...inSchema, json_schema: { ...inSchema.json_schema, schema: { ...schema, required: ["name"] } } };
  expect((await ask("demo", "Who?", other)).cache).toBe("miss");
  expect(JSON.parse((await ask("demo", "Who?", inJson)).response)).toMatchObject({ demo: true });
});

test("[FORMAT-1] what is not in form is taken back and made once more; that answer alone is kept", async () => {
  const before = calls();
  const reply = await ask("demo:badjson.once", "Mend it");
  expect(JSON.parse(reply.response)).toMatchObject({ age: 3 });
  expect(calls() - before).toBe(2);
  const { messages } = house.llm.stats().last_request as { messages: { role: string; content: string }[] };
  expect(messages.slice(-2)).toMatchObject([
    { role: "assistant", content: '{"demo": true,' },
    { role: "user", content: expect.stringContaining("it is not valid JSON") },
  ]);
  expect((await ask("demo:badjson.once", "Mend it")).cache).toBe("hit");
  // The session remembers the question and the good answer, nothing between.
  const kept = await house.querySession(reply.session_id, "SELECT content FROM messages ORDER BY seq");
  expect(kept).toEqual([{ content: "Mend it" }, { content: reply.response }]);
});

test("[FORMAT-1] a stream tells it by a rewind", async () => {
  const body = { model: "demo:badjson.once", prompt: "Stream it", response_format: inSchema };
  const events = await readEvents(await house.call("/chat/stream", { as, body }));
  expect(names(events)).toEqual(["meta", "intent", "delta", "rewind", "usage", "done"]);
  expect(JSON.parse(answerOf(events))).toMatchObject({ age: 3 });
});

test("[FORMAT-1] twice out of form is a failure of its own: nothing of it stands, nothing is kept", async () => {
  const body = { model: "demo:badjson.always", prompt: "Never", response_format: inSchema };
  const before = calls();
  await expectUnusable("/chat", body);
  await expectUnusable("/chat", body);
  expect(calls() - before).toBe(4);
  const events = await readEvents(await house.call("/chat/stream", { as, body }));
  expect(answerOf(events)).toBe("");
  expect(events.at(-1)).toMatchObject({ event: "error", data: { code: "invalid_model_output", retryable: true } });
  // An answer that was cut off would be so again.
  const cut = calls();
  await expectUnusable("/chat", { ...body, model: "demo:length" });
  expect(calls() - cut).toBe(1);
});

test("[FORMAT-1] with tools the answer alone is held to it", async () => {
  const reply = await ask("demo", "what is 17*23?");
  expect(JSON.parse(reply.response)).toMatchObject({ name: expect.stringContaining("391"), age: 3 });
});

test("[FORMAT-1] a model that is asked directly, in one piece and as a stream", async () => {
  const body = { model: "demo:badjson.once", prompt: "Directly", response_format: inSchema };
  const before = calls();
  const reply = await (await house.call("/llm/generate", { as, body })).json<Reply>();
  expect(JSON.parse(reply.response)).toMatchObject({ age: 3 });
  expect(calls() - before).toBe(2);
  const text = await (await house.call("/llm/generate/stream", { as, body })).text();
  const [, good = ""] = text.split("event: rewind");
  const words = [...good.matchAll(/"content":("(?:[^"\\]|\\.)*")/g)].map(([, word = ""]) => String(JSON.parse(word)));
  expect(JSON.parse(words.join(""))).toMatchObject({ age: 3 });
  expect(text.match(/^event: (?:meta|done)$/gm)).toEqual(["event: meta", "event: done"]);

  const bad = { ...body, model: "demo:badjson.always" };
  await expectUnusable("/llm/generate", bad);
  expect(await (await house.call("/llm/generate/stream", { as, body: bad })).text()).toContain("invalid_model_output");
});

test("[FORMAT-2] [B30] a schema that cannot be held to is refused, and so is a model that knows none, before any call", async () => {
  const before = calls();
  const refused = async (path: string, of: Record<string, unknown>, more = {}) => {
    const response_format = { type: "json_schema", json_schema: { name: "a", schema: of } };
    const response = await house.call(path, { as, body: { prompt: "Hi", response_format, ...more } });
    expect(response.status).toBe(400);
    expect(ErrorBody.parse(await response.json()).error.code).toBe("invalid_request");
  };
  for (const path of ["/chat", "/chat/stream", "/llm/generate"]) {
    await refused(path, { $ref: "#" });
    await refused(path, { description: "x".repeat(70_000) });
    await refused(path, JSON.parse(`${'{"not":'.repeat(1_000)}{}${"}".repeat(1_000)}`) as Record<string, unknown>);
    await refused(path, { type: "object" }, { model: "plain" });
  }
  expect(calls()).toBe(before);
});

test("[FORMAT-2] [B30] what is no schema is refused on every way to a model, OpenAI's too", async () => {
  const before = calls();
  const input = { messages: [{ role: "user", content: "Hi" }] };
  for (const wrong of [
    { enum: 5 },
    { properties: { a: null } },
    { required: "a" },
    { $ref: "#" },
    { $ref: "#/none" },
  ]) {
    const format = { type: "json_schema", json_schema: { name: "a", schema: wrong } };
    const ways: [string, object][] = [
      ["/chat", { prompt: "Hi", response_format: format }],
      ["/llm/generate", { prompt: "Hi", response_format: format }],
      ["/llm/generate/stream", { prompt: "Hi", response_format: format }],
      ["/v1/chat/completions", { model: "demo", ...input, response_format: format }],
      ["/v1/responses", { input: "Hi", text: { format: { type: "json_schema", name: "a", schema: wrong } } }],
    ];
    for (const [path, body] of ways) {
      const response = await house.call(path, { as, body });
      expect([path, response.status]).toEqual([path, 400]);
      await response.text();
    }
  }
  expect(calls()).toBe(before);
});

test("[FORMAT-3] OpenAI's client gets what it asked for in one piece; what it judges itself is not kept for others", async () => {
  const client = openAiOf(house, as);
  const response_format = zodResponseFormat(z.strictObject({ name: z.string(), age: z.int().min(3) }), "person");
  const parse = (model: string, content: string) =>
    client.chat.completions.parse({ model, messages: [{ role: "user", content }], response_format });
  const before = calls();
  const mended = await parse("demo:badjson.once", "Parse it");
  expect(mended.choices[0]?.message.parsed).toMatchObject({ age: 3 });
  expect(calls() - before).toBe(2);
  await expect(parse("demo:badjson.always", "Parse nothing")).rejects.toMatchObject({
    ...{ status: 502, code: "invalid_model_output" },
  });
  // Its finish reason tells the client that it was cut off.
  await expect(parse("demo:length", "Parse a part")).rejects.toThrow("length limit");

  const tools = [
    { type: "function" as const, function: { name: "calculator", strict: true, parameters: { ...schema } } },
  ];
  const called = await client.chat.completions.create({
    ...{ model: "demo", messages: [{ role: "user", content: "what is 17*23?" }], response_format, tools },
  });
  expect(called.choices[0]).toMatchObject({ finish_reason: "tool_calls", message: { tool_calls: [{}] } });

  const streamed = { model: "demo:badjson.once", messages: [{ role: "user" as const, content: "Stream it" }] };
  const stream = client.chat.completions.stream({ ...streamed, response_format });
  await expect(stream.finalContent()).rejects.toThrow();
  const asked = calls();
  expect(
    (await client.chat.completions.parse({ ...streamed, response_format })).choices[0]?.message.parsed,
  ).not.toBeNull();
  expect(calls() - asked).toBe(2);
});
