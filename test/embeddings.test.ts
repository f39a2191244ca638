/** POST /v1/embeddings, as a stock `openai` client calls it. */
import OpenAI from "openai";
import { afterAll, beforeAll, expect, test } from "vitest";
import { EmbeddingsReply } from "../contracts/embeddings.ts";
import { type House, openHouse, type Tenant } from "./house.ts";

let house: House;
let as: Tenant;
let openai: OpenAI;
beforeAll(async () => {
  house = await openHouse();
  as = await house.newTenant();
  openai = new OpenAI({ apiKey: as.apiKey, baseURL: new URL("/v1", house.url).href, maxRetries: 0 });
});
afterAll(() => house.close());

const embed = (body: object) => house.call("/v1/embeddings", { as, body });

test("[EMBED-3] a stock client gets vectors, which it asks for in base64, and the same as numbers", async () => {
  const input = ["How do I reset my password?", "Where is Paris?"];
  const made = await openai.embeddings.create({ model: "demo", input });
  expect(made).toMatchObject({ object: "list", model: "demo", usage: { prompt_tokens: 11, total_tokens: 11 } });
  expect(made.data.map(({ index, embedding }) => [index, embedding.length])).toEqual([
    [0, 256],
    [1, 256],
  ]);
  const asNumbers = await openai.embeddings.create({ model: "demo", input, encoding_format: "float" });
  expect(asNumbers.data[0]?.embedding).toEqual(made.data[0]?.embedding);
  const [one] = (await openai.embeddings.create({ model: "demo", input: "short", dimensions: 32, user: "me" })).data;
  expect(one?.embedding).toHaveLength(32);
  expect(await (await embed({ model: "demo", input: "x", encoding_format: "base64" })).json()).toMatchObject({
    data: [{ embedding: expect.stringMatching(/^[\w+/=]{1368}$/) }],
  });
});

test("[EMBED-3] and errors that it understands: by status, code and message, never in a provider's words", async () => {
  const create = (model: string) => openai.embeddings.create({ model, input: "x" });
  await expect(create("demo:429")).rejects.toThrow(OpenAI.RateLimitError);
  await expect(create("demo:unknown")).rejects.toMatchObject({
    ...{ status: 400, code: "model_not_found", type: "invalid_request_error" },
  });
  await expect(create("demo:status.500")).rejects.toMatchObject({ status: 502, code: "upstream_error" });
  const stranger = new OpenAI({ apiKey: "sk-stranger", baseURL: openai.baseURL, maxRetries: 0 });
  await expect(stranger.embeddings.create({ model: "demo", input: "x" })).rejects.toThrow(OpenAI.AuthenticationError);
});

test("[EMBED-1] what is no list of texts is refused before a model is asked", async () => {
  const before = house.llm.stats().calls;
  const bad = [
    ...["", [], [""], [[1, 2]], [1, 2], null, Array.from({ length: 513 }, () => "x"), "x".repeat(500_001)],
    ["x".repeat(300_000), "y".repeat(300_000)],
  ];
  for (const input of bad) expect((await embed({ model: "demo", input })).status).toBe(400);
  for (const more of [{ dimensions: 0 }, { dimensions: 5_000 }, { encoding_format: "int8" }, { other: 1 }]) {
    expect((await embed({ model: "demo", input: "x", ...more })).status).toBe(400);
  }
  expect(house.llm.stats().calls).toBe(before);
  const most = EmbeddingsReply.parse(
    await (await embed({ model: "demo", input: Array.from({ length: 512 }, (_, at) => `text ${at}`) })).json(),
  );
  expect(most.data).toHaveLength(512);
});
