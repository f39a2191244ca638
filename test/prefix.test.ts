/**
 * Prompts that begin alike, as a provider sees them: what never changes comes first, a session's history only grows, and where it must be
 * trimmed it is trimmed by much and seldom. Beside the house's own stand-in another one plays a vLLM server.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { holdTalk, type TalkPlan } from "../dev/house/long-talk.ts";
import { seededRandom } from "../dev/house/random.ts";
import { LOCAL_MODELS } from "../dev/local.ts";
import { serveLlm } from "../dev/stand-ins/llm.ts";
import type { StandIn } from "../dev/stand-ins/serve.ts";
import { type House, openHouse, type Tenant } from "./house.ts";

let house: House;
let gpu: StandIn;
let as: Tenant;
beforeAll(async () => {
  gpu = await serveLlm({ pace: { firstTokenMs: 0, tokensPerSecond: Number.POSITIVE_INFINITY } });
  const { models } = JSON.parse(LOCAL_MODELS) as { models: object }; // ours
  const MODELS = JSON.stringify({
    providers: { gpus: { kind: "vllm", nodes: [`${gpu.url}/v1`] } },
    models: { ...models, llama: { routes: [{ provider: "gpus", model: "demo" }] } },
  });
  house = await openHouse({ settings: { MODELS, PROVIDER_KEYS: '{"gpus":"k"}', CONTEXT_TOKENS: "1200" } });
  as = await house.newTenant();
});
afterAll(async () => {
  await house.close();
  await gpu.close();
});

interface Prompt {
  messages: { role: string; content: string }[];
  tools?: { function: { name: string } }[];
  prompt_cache_key?: string;
  cache_salt?: string;
}

interface Said {
  sessionId: string;
  messageId: string;
  prompt: Prompt;
}

async function say(prompt: string, more: object = {}, tenant = as, path = "/chat"): Promise<Said> {
  const response = await house.call(path, { as: tenant, body: { prompt, cache: { mode: "no-store" }, ...more } });
  const reply = await response.json<{ session_id: string; message_id: string }>();
  expect(response.status).toBe(200);
  const server = "model" in more && more.model === "llama" ? gpu : house.llm;
  return {
    ...{ sessionId: reply.session_id, messageId: reply.message_id },
    prompt: server.stats().last_request as Prompt, // as the stand-in was sent it
  };
}

test("[PREFIX-1] prompts of all users and sessions begin with the same bytes: instructions and tools, sorted", async () => {
  const { prompt: mine } = await say("Hello");
  const { prompt: theirs } = await say("Good evening", {}, await house.newTenant());
  expect(JSON.stringify([theirs.tools, theirs.messages[0]])).toBe(JSON.stringify([mine.tools, mine.messages[0]]));
  expect(mine.messages.map(({ role }) => role)).toEqual(["system", "user"]);
  const names = mine.tools?.map((tool) => tool.function.name) ?? [];
  expect(names).toEqual(names.toSorted());
  expect(names).toContain("calculator");
});

test("[PREFIX-1] each prompt of a session begins with the whole one before it, its tool rounds and its answer", async () => {
  const { sessionId, prompt: first } = await say("what is 12*3?");
  expect(first.messages.map(({ role }) => role)).toEqual(["system", "user", "assistant", "tool"]);
  const { prompt: second } = await say("Thank you", { session_id: sessionId });
  const { prompt: third } = await say("And now?", { session_id: sessionId });
  expect(second.messages.slice(0, first.messages.length)).toEqual(first.messages);
  expect(third.messages.slice(0, second.messages.length)).toEqual(second.messages);
});

test("[PREFIX-4] a conversation without a session has a key of its own for OpenAI, and never its client's words", async () => {
  const keyOf = async (tenant: Tenant, more: object = {}, path = "/v1/chat/completions") => {
    const messages = [{ role: "user", content: "Tell me of secret seas" }];
    const body = { model: "demo", messages, ...more };
    const response = await house.call(path, { as: tenant, body, headers: { "cache-control": "no-store" } });
    expect(response.status).toBe(200);
    return (house.llm.stats().last_request as Prompt).prompt_cache_key; // as the stand-in was sent it
  };
  const [mine, stranger] = [await keyOf(as), await house.newTenant()];
  expect(mine).toMatch(/^[\w-]{43}$/);
  expect(await keyOf(as)).toBe(mine);
  expect(await keyOf(as, {}, "/llm/generate")).toBe(mine);
  const named = { prompt_cache_key: "support" };
  const keys = [mine, await keyOf(stranger), await keyOf(as, named), await keyOf(stranger, named)];
  expect(new Set(keys).size).toBe(4);
  expect(keys.join(" ")).not.toMatch(/secret|support/);
});

test("[PREFIX-2] a session's prompts carry its key, so that OpenAI finds the cache that has them", async () => {
  const { sessionId, prompt } = await say("Hello");
  expect(prompt.prompt_cache_key).toBe(sessionId);
  expect(prompt).not.toHaveProperty("cache_salt");
  expect((await say("Hello again")).prompt.prompt_cache_key).not.toBe(sessionId);
});

test("[PREFIX-2] on vLLM users share no prefix: each has a salt that nobody can guess, the same in all sessions", async () => {
  const other = await house.newTenant();
  const model = { model: "llama" };
  const salts = [await say("Hello", model), await say("Hello", model), await say("Hello", model, other)].map(
    ({ prompt }) => prompt.cache_salt,
  );
  expect(salts[0]).toMatch(/^[\w-]{43}$/);
  expect(salts[1]).toBe(salts[0]);
  expect(salts[2]).not.toBe(salts[0]);
  expect(JSON.stringify(gpu.stats().last_request)).not.toContain(other.id);
});

const filler = "word ".repeat(60);

test("[PREFIX-3] a window that is full lets go of half at once, and begins there until it is full again", async () => {
  let sessionId: string | undefined;
  let before: Prompt | undefined;
  const trims: { turn: number; kept: number }[] = [];
  const budgetChars = 1_200 * 4;
  for (let turn = 0; turn < 24; turn += 1) {
    const { prompt, sessionId: id } = await say(
      `Turn ${"x".repeat(turn)} ${filler}`,
      sessionId ? { session_id: sessionId } : {},
    );
    const said = prompt.messages.slice(1);
    expect(JSON.stringify(said).length).toBeLessThan(budgetChars + 200);
    expect(said[0]?.role).toBe("user");
    const isLonger = before?.messages.every(({ content }, at) => content === prompt.messages[at]?.content) ?? true;
    if (!isLonger) trims.push({ turn, kept: JSON.stringify(said).length });
    [sessionId, before] = [id, prompt];
  }
  expect(trims.length).toBeGreaterThan(1);
  for (const [at, { turn, kept }] of trims.entries()) {
    expect(kept).toBeLessThan(budgetChars * 0.7);
    expect(turn - (trims[at - 1]?.turn ?? 0)).toBeGreaterThanOrEqual(3);
  }
});

test("[PREFIX-3] a question that is put anew behind the window's beginning is shown with what is before it", async () => {
  const { sessionId } = await say(`First ${filler}`);
  for (let turn = 0; turn < 10; turn += 1) await say(`Next ${filler}`, { session_id: sessionId });
  const page = await house.call(`/history/sessions/${sessionId}/messages?limit=200`, { as });
  const { messages } = await page.json<{ messages: { id: string; role: string; content: string }[] }>();
  const questions = messages.toReversed().filter(({ role }) => role === "user");
  const { prompt } = await say("Otherwise?", { message_id: questions[1]?.id }, as, `/chat/sessions/${sessionId}/edit`);
  expect(prompt.messages.map(({ content }) => content.slice(0, 5))).toEqual(["You a", "First", "[demo", "Other"]);
});

test("[P13] over 40 turns with trims, tools and images a model has seen nine tenths of what it could have seen", async () => {
  const plain = await openHouse();
  const plan: TalkPlan = {
    turns: 40,
    answerTokens: [150, 400],
    toolShare: 0.1,
    images: [0, 12, 25],
    random: seededRandom(7),
  };
  const { reusedChars, reusableChars, trims } = await holdTalk(plain, await plain.newTenant(), plan);
  await plain.close();
  console.log(`prefix reuse ${(reusedChars / reusableChars).toFixed(3)} with ${trims} trims`);
  expect(trims).toBeGreaterThan(0);
  expect(reusedChars / reusableChars).toBeGreaterThanOrEqual(0.9);
});
