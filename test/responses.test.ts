/**
 * /v1/responses as OpenAI's own client uses it: responses are turns of sessions, go on from each other, and are resumed where a stream broke.
 */
import type { OpenAI } from "openai";
import type { Response as OpenAiResponse, ResponseStreamEvent } from "openai/resources/responses/responses";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { OpenAiErrorBody } from "../contracts/openai-errors.ts";
import { serveLlm } from "../dev/stand-ins/llm.ts";
import type { StandIn } from "../dev/stand-ins/serve.ts";
import { type House, openHouse, type Tenant } from "./house.ts";
import { openAiOf, RED_PIXEL, turnOf } from "./stock-clients.ts";

let house: House;
let second: StandIn;
let gpu: StandIn;
let as: Tenant;
let client: OpenAI;
beforeAll(async () => {
  const pace = { firstTokenMs: 0, tokensPerSecond: Number.POSITIVE_INFINITY };
  [second, gpu] = await Promise.all([serveLlm({ pace }), serveLlm({ pace })]);
  const MODELS = JSON.stringify({
    providers: {
      second: { kind: "compatible", nodes: [`${second.url}/v1`] },
      gpus: { kind: "vllm", nodes: [`${gpu.url}/v1`] },
    },
    models: {
      ...{ demo: {}, "demo:*": {}, plain: { abilities: ["chat"] } },
      gpu: { routes: [{ provider: "gpus", model: "demo" }] },
      "gpu-slow": { routes: [{ provider: "gpus", model: SLOW }] },
      broken: {
        routes: [
          { provider: "openai", model: "demo:cut.3" },
          { provider: "second", model: "demo" },
        ],
      },
    },
  });
  house = await openHouse({ settings: { MODELS, PROVIDER_KEYS: '{"second":"k","gpus":"g"}' } });
  as = await house.newTenant();
  client = openAiOf(house, as);
});
afterAll(async () => {
  await house.close();
  await Promise.all([second.close(), gpu.close()]);
});

const PATH = "/v1/responses";
const SLOW = "demo:tokens.400.gap.5";
let asked = 0;
const fresh = (text: string): string => `${text} ${"please ".repeat((asked += 1))}`.trim();

const CALCULATOR = {
  type: "function" as const,
  name: "calculator",
  description: "Works out a sum.",
  parameters: { type: "object", properties: { expression: { type: "string" } }, required: ["expression"] },
  strict: false,
};

async function eventsOf(stream: AsyncIterable<ResponseStreamEvent>, until?: (event: ResponseStreamEvent) => boolean) {
  const events: ResponseStreamEvent[] = [];
  for await (const event of stream) {
    events.push(event);
    if (until?.(event)) break; // hangs up
  }
  return events;
}

const sessionOf = async (responseId: string): Promise<string> => {
  const state = await house.call(`/chat/turns/${turnOf(responseId)}`, { as });
  return (await state.json<{ session_id: string }>()).session_id;
};

const textOf = (events: ResponseStreamEvent[]): string =>
  events.map((event) => (event.type === "response.output_text.delta" ? event.delta : "")).join("");

describe("a response", () => {
  test("[RESP-1] is told whole, as a stream, and again when it is asked for", async () => {
    const whole = await client.responses.create({ model: "demo", input: fresh("Which river is long?") });
    expect(whole).toMatchObject({ object: "response", status: "completed", model: "demo", error: null });
    expect(whole.output_text).toContain("Which river is long?");
    expect(whole.usage?.total_tokens).toBeGreaterThan(0);
    expect(await client.responses.retrieve(whole.id)).toMatchObject({ ...whole });

    const stream = client.responses.stream({ model: "demo", input: fresh("Which sea is deep?") });
    const final = await stream.finalResponse();
    expect(final.output_text).toContain("Which sea is deep?");
    expect((await client.responses.retrieve(final.id)).output_text).toBe(final.output_text);
  });

  test("[RESP-1] is a turn of a session, and in the history", async () => {
    const { id } = await client.responses.create({ input: fresh("Remember this") });
    const sessionId = await sessionOf(id);
    const page = await house.call(`/history/sessions/${sessionId}/messages`, { as });
    expect(await page.json()).toMatchObject({ messages: [{ role: "assistant" }, { role: "user" }] });
  });

  test("[RESP-2] goes on from another one, branching where that is not the newest; instructions are its own alone", async () => {
    const ask = (input: string, previous?: OpenAiResponse, instructions?: string) =>
      client.responses.create({
        ...{ model: "demo", input, previous_response_id: previous?.id ?? null, instructions: instructions ?? null },
      });
    const told = await ask("My name is Ada", undefined, "Speak like a pirate.");
    expect(house.llm.stats().last_request).toMatchObject({
      messages: [{ role: "system" }, { role: "system", content: "Speak like a pirate." }, { role: "user" }],
    });
    const named = await ask("What is my name?", told);
    expect(named.output_text).toContain("Ada");
    expect(JSON.stringify(house.llm.stats().last_request)).not.toContain("pirate");
    await ask("My name is Bob", told);
    // Of the branch with Bob the first one knows nothing.
    expect((await ask("What is my name?", named)).output_text).toContain("Ada");
    const both = await Promise.all([ask("Who am I?", named), ask("What is my name?", named)]);
    expect(both.map(({ output_text }) => output_text)).toEqual([
      ...[expect.stringContaining("Ada") as unknown, expect.stringContaining("Ada") as unknown],
    ]);
    expect(await sessionOf(named.id)).toBe(await sessionOf(told.id));
  });

  test("[RESP-3] resumes: a stream that broke goes on after any number, and the two make one", async () => {
    const input = fresh("Tell me much");
    const started = await client.responses.create({ model: SLOW, input, background: true });
    expect(started.status).toBe("in_progress");
    const full = await eventsOf(await client.responses.retrieve(started.id, { stream: true }));
    expect(full.map((event) => event.sequence_number)).toEqual(full.map((_, at) => at));
    expect(full.at(-1)?.type).toBe("response.completed");
    for (const after of [0, 1, 4, Math.floor(full.length / 2), full.length - 2]) {
      const rest = await client.responses.retrieve(started.id, { stream: true, starting_after: after });
      expect(await eventsOf(rest)).toEqual(full.slice(after + 1));
    }
    expect((await client.responses.retrieve(started.id)).output_text).toBe(textOf(full));
  });

  test("[RESP-3] resumes while it is made, after its first client has left in the middle", async () => {
    const stream = await client.responses.create({ model: SLOW, input: fresh("Go on"), stream: true });
    let deltas = 0;
    const seen = await eventsOf(stream, ({ type }) => type.endsWith("text.delta") && (deltas += 1) > 5);
    const [created] = seen;
    if (created?.type !== "response.created") throw new Error("not created");
    const after = seen.at(-1)?.sequence_number ?? 0;
    const rest = await eventsOf(
      await client.responses.retrieve(created.response.id, { stream: true, starting_after: after }),
    );
    expect(rest[0]?.sequence_number).toBe(after + 1);
    expect(rest.at(-1)?.type).toBe("response.completed");
    const { output_text } = await client.responses.retrieve(created.response.id);
    expect(textOf([...seen, ...rest])).toBe(output_text);
    // The package's own way: it replays all and filters by itself.
    const replayed = client.responses.stream({ response_id: created.response.id, starting_after: after });
    expect((await replayed.finalResponse()).output_text).toBe(output_text);
  });

  test("[RESP-4] runs in the background, is cancelled from anywhere, and keeps what it told", async () => {
    const started = await client.responses.create({ model: SLOW, input: fresh("Never end"), background: true });
    await eventsOf(await client.responses.retrieve(started.id, { stream: true }), ({ type }) =>
      type.endsWith("text.delta"),
    );
    const cancelled = await client.responses.cancel(started.id);
    expect(cancelled).toMatchObject({ id: started.id, status: "cancelled", error: { code: "cancelled" } });
    expect(cancelled.output_text).not.toBe("");
    expect(await client.responses.retrieve(started.id)).toMatchObject({ status: "cancelled" });
  });

  test("[RESP-11] tells its request again: when it is made, in its events, and whenever it is read", async () => {
    const told = {
      top_p: 0.5,
      ...{ instructions: "Be brief.", temperature: 0.5, max_output_tokens: 900, truncation: "auto" as const },
      ...{ metadata: { ticket: "7", ["k".repeat(64)]: "v".repeat(512) }, parallel_tool_calls: false },
      ...{ tools: [CALCULATOR], tool_choice: "none" as const, background: false, store: true },
      text: { format: { type: "json_schema" as const, name: "a", schema: { type: "object" }, strict: true } },
    };
    const input = fresh("Tell it again");
    const passedOver = {
      include: ["reasoning.encrypted_content" as const],
      reasoning: null,
      service_tier: "flex" as const,
    };
    const made = await client.responses.create({ model: "demo", input, ...told, ...passedOver });
    expect(made).toMatchObject({ ...told, previous_response_id: null });
    expect(house.llm.stats().last_request).toMatchObject({ top_p: 0.5 });
    expect(await client.responses.retrieve(made.id)).toEqual(made);
    const events = await eventsOf(await client.responses.retrieve(made.id, { stream: true }));
    expect(events[0]).toMatchObject({ type: "response.created", response: told });
    expect(events.at(-1)).toMatchObject({ type: "response.completed", response: told });

    const next = { model: "demo", input: fresh("On"), previous_response_id: made.id };
    const stream = client.responses.stream(next);
    const final = await stream.finalResponse();
    expect(final).toMatchObject({ previous_response_id: made.id, instructions: null, metadata: {}, tools: [] });
    const plain = { tool_choice: "auto", text: { format: { type: "text" } }, temperature: null };
    expect(final).toMatchObject(plain);
    expect(await client.responses.retrieve(final.id)).toMatchObject({ previous_response_id: made.id, ...plain });
  });

  test("[RESP-11] takes metadata within OpenAI's bounds, and it is no matter for the cache", async () => {
    const labels = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, at) => [`k${at}`, "v"]));
    for (const metadata of [labels(17), { ["k".repeat(65)]: "v" }, { k: "v".repeat(513) }]) {
      await expect(client.responses.create({ input: "Hi", metadata })).rejects.toMatchObject({ status: 400 });
    }
    const input = fresh("Cached whatever it is called");
    const { calls } = house.redis.stats();
    await client.responses.create({ model: "demo", input, metadata: labels(16) });
    await house.redis.until((stats) => stats.calls >= calls + 2 && stats.in_flight === 0);
    const body = { model: "demo", input, metadata: { other: "label" } };
    const again = await house.call(PATH, { as, body });
    expect(again.headers.get("x-cache")).toBe("HIT");
    expect(await again.json()).toMatchObject({ metadata: { other: "label" } });
  });

  test("[RESP-9] is shown images, keeps them in its session, and answers in a form that is asked for", async () => {
    const content = [
      { type: "input_text" as const, text: fresh("What is this?") },
      { type: "input_image" as const, image_url: RED_PIXEL, detail: "auto" as const },
    ];
    const seen = await client.responses.create({ model: "demo", input: [{ role: "user", content }] });
    await client.responses.create({ model: "demo", input: "And now?", previous_response_id: seen.id });
    expect(JSON.stringify(house.llm.stats().last_request)).toContain(RED_PIXEL);
    const format = { type: "json_object" as const };
    await client.responses.create({ model: "demo", input: fresh("As JSON"), text: { format } });
    expect(house.llm.stats().last_request).toMatchObject({ response_format: format });
  });

  test("[RESP-5] that began on a route which broke off is begun again: the void item is empty, the text whole", async () => {
    const stream = client.responses.stream({ model: "broken", input: fresh("Say it twice") });
    const events: ResponseStreamEvent[] = [];
    stream.on("event", (event) => void events.push(event));
    const final = await stream.finalResponse();
    expect(final.output).toMatchObject([{ status: "incomplete", content: [] }, { status: "completed" }]);
    const anew = events.filter((event) => "output_index" in event && event.output_index === 1);
    expect(final.output_text).toBe(textOf(anew));
    expect(final.output_text).toContain("Say it twice");
  });

  test("[RESP-5] that is cut ends as failed, and where it is asked whole with an error", async () => {
    const stream = await client.responses.create({ model: "demo:cut.3", input: fresh("Broken"), stream: true });
    const events = await eventsOf(stream);
    expect(events.at(-1)).toMatchObject({
      ...{ type: "response.failed", response: { status: "failed", error: { code: "upstream_truncated" } } },
    });
    const whole = client.responses.create({ model: "demo:cut.3", input: fresh("Broken") });
    await expect(whole).rejects.toMatchObject({ status: 502, code: "upstream_truncated" });
    const short = await client.responses.create({ model: "demo:length", input: fresh("Too long") });
    expect(short).toMatchObject({ status: "incomplete", incomplete_details: { reason: "max_output_tokens" } });
  });
});

describe("a response of a model on a vLLM node", () => {
  const elsewhere = () => house.llm.stats().calls + second.stats().calls;
  const billed = () => Number(gpu.stats()["billed_tokens"]);

  test("[RESP-1] is told whole, as a stream, and again when it is asked for, with the node's own usage", async () => {
    const [others, before] = [elsewhere(), billed()];
    const whole = await client.responses.create({ model: "gpu", input: fresh("Which lake is wide?") });
    expect(whole).toMatchObject({ status: "completed", model: "gpu", error: null });
    expect(await client.responses.retrieve(whole.id)).toEqual(whole);
    const stream = client.responses.stream({ model: "gpu", input: fresh("Which lake is old?") });
    const final = await stream.finalResponse();
    expect(final.output_text).toContain("Which lake is old?");
    expect((await client.responses.retrieve(final.id)).output_text).toBe(final.output_text);
    await gpu.until(({ in_flight }) => in_flight === 0);
    expect((whole.usage?.total_tokens ?? 0) + (final.usage?.total_tokens ?? 0)).toBe(billed() - before);
    expect(elsewhere()).toBe(others);
  });

  test("[RESP-3] resumes while it is made, and after its end from any number", async () => {
    const started = await client.responses.create({ model: "gpu-slow", input: fresh("Tell all"), background: true });
    expect(started.status).toBe("in_progress");
    const again = async (after?: number) =>
      client.responses.retrieve(started.id, {
        ...{ stream: true, ...(after !== undefined && { starting_after: after }) },
      });
    let deltas = 0;
    const seen = await eventsOf(await again(), ({ type }) => type.endsWith("text.delta") && (deltas += 1) > 5);
    const rest = await eventsOf(await again(seen.at(-1)?.sequence_number));
    const full = [...seen, ...rest];
    expect(full.map((event) => event.sequence_number)).toEqual(full.map((_, at) => at));
    expect(full.at(-1)?.type).toBe("response.completed");
    for (const after of [0, Math.floor(full.length / 2), full.length - 2]) {
      expect(await eventsOf(await again(after))).toEqual(full.slice(after + 1));
    }
    expect((await client.responses.retrieve(started.id)).output_text).toBe(textOf(full));
  });

  test("[RESP-4] runs in the background and is cancelled from anywhere: the node is left", async () => {
    const { aborted } = gpu.stats();
    const started = await client.responses.create({ model: "gpu-slow", input: fresh("Go on"), background: true });
    const stream = await client.responses.retrieve(started.id, { stream: true });
    await eventsOf(stream, ({ type }) => type.endsWith("text.delta"));
    const cancelled = await client.responses.cancel(started.id);
    expect(cancelled).toMatchObject({ id: started.id, status: "cancelled", error: { code: "cancelled" } });
    expect(cancelled.output_text).not.toBe("");
    await gpu.until((stats) => stats.aborted === aborted + 1 && stats.in_flight === 0);
    expect((await client.responses.retrieve(started.id)).status).toBe("cancelled");
  });
});

describe("function calls", () => {
  test("[RESP-6] end a response, and the next one goes on with their outputs", async () => {
    const input = fresh("What is 17*23?");
    const stream = client.responses.stream({ model: "demo", input, tools: [CALCULATOR] });
    const called = await stream.finalResponse();
    const [call] = called.output;
    if (call?.type !== "function_call") throw new Error("no call");
    expect(call).toMatchObject({ name: "calculator", status: "completed" });
    expect(JSON.parse(call.arguments)).toEqual({ expression: "17*23" });
    expect((await client.responses.retrieve(called.id)).output).toMatchObject([{ call_id: call.call_id }]);

    const output = { type: "function_call_output" as const, call_id: call.call_id, output: "391" };
    const next = { model: "demo", tools: [CALCULATOR], previous_response_id: called.id };
    const answered = await client.responses.create({ ...next, input: [output] });
    expect(answered.output_text).toContain("391");
    expect(house.llm.stats().last_request).toMatchObject({
      messages: [
        ...[{ role: "system" }, { role: "user", content: input }],
        { role: "assistant", content: null, tool_calls: [{ id: call.call_id, function: { name: "calculator" } }] },
        { role: "tool", tool_call_id: call.call_id, content: "391" },
      ],
    });
    // The conversation goes on, with the calls where they were.
    const later = await client.responses.create({ ...next, previous_response_id: answered.id, input: "Thank you" });
    expect(later.status).toBe("completed");
    const { messages } = house.llm.stats().last_request as { messages: { role: string }[] };
    const roles = messages.map(({ role }) => role);
    expect(roles).toEqual(["system", "user", "assistant", "tool", "assistant", "user"]);
  });

  test("[RESP-6] that have no output, or outputs of calls that nobody made, are refused", async () => {
    const called = await client.responses.create({ model: "demo", input: fresh("What is 3*9?"), tools: [CALCULATOR] });
    const next = { model: "demo", previous_response_id: called.id };
    const output = { type: "function_call_output" as const, call_id: "call_nobody", output: "1" };
    for (const input of ["And now?", [output]]) {
      await expect(client.responses.create({ ...next, input })).rejects.toMatchObject({ status: 400 });
    }
    await expect(client.responses.create({ model: "demo", input: [output] })).rejects.toMatchObject({ param: "input" });
    const tools = [{ type: "web_search" as const }];
    await expect(client.responses.create({ input: "Hi", tools })).rejects.toMatchObject({ status: 400 });
    const lacking = client.responses.create({ model: "plain", input: "Hi", tools: [CALCULATOR] });
    await expect(lacking).rejects.toMatchObject({ status: 400 });
  });
});

describe("an input of several items", () => {
  const roles = () => {
    const { messages } = house.llm.stats().last_request as { messages: { role: string; content: string | null }[] };
    return messages.slice(1).map(({ role, content }) => [role, content]);
  };
  /** Of the kinds that are told here. */
  const again = ({ output }: Pick<OpenAiResponse, "output">) =>
    output.flatMap((item) => (item.type === "message" || item.type === "function_call" ? [item] : []));
  const say = (role: "user" | "assistant" | "system" | "developer", content: string) => ({ role, content });

  test("[RESP-12] may say what a system says: it stands where it was said, and stays there", async () => {
    const ask = (input: ReturnType<typeof say>[], previous?: OpenAiResponse) =>
      client.responses.create({ model: "demo", input, previous_response_id: previous?.id ?? null });
    const question = fresh("Who are you?");
    const first = await ask([say("system", "You are Ada."), say("user", question)]);
    expect(roles()).toEqual([
      ["system", "You are Ada."],
      ["user", question],
    ]);
    const text = [{ type: "input_text" as const, text: "Be kind." }];
    const next = [{ role: "developer" as const, content: text }, say("user", "Sure?"), say("developer", "In a word.")];
    await client.responses.create({ model: "demo", input: next, previous_response_id: first.id });
    expect(roles()).toEqual([
      ["system", "You are Ada."],
      ["user", question],
      ["assistant", first.output_text],
      ["system", "Be kind."],
      ["system", "In a word."],
      ["user", "Sure?"],
    ]);
    const page = await house.call(`/history/sessions/${await sessionOf(first.id)}/messages`, { as });
    expect(await page.json()).toMatchObject({
      messages: [{ role: "assistant" }, { content: "Sure?" }, { role: "assistant" }, { content: question }],
    });
  });

  test("[RESP-12] a system's words are part of the cache's key", async () => {
    const question = say("user", fresh("What is cached?"));
    const verdictOf = async (words: string) => {
      await house.redis.until(({ in_flight }) => in_flight === 0);
      const reply = await house.call(PATH, { as, body: { model: "demo", input: [say("system", words), question] } });
      await reply.text();
      return reply.headers.get("x-cache");
    };
    const { calls } = house.redis.stats();
    expect(await verdictOf("One.")).toBe("MISS");
    await house.redis.until((stats) => stats.calls >= calls + 2 && stats.in_flight === 0);
    expect(await verdictOf("One.")).toBe("HIT");
    expect(await verdictOf("Two.")).toBe("MISS");
  });

  test("[RESP-13] may be a whole conversation, and more than one message may follow a response", async () => {
    const talk = [say("user", fresh("Hello")), say("assistant", "Hi."), say("user", "My name is Ada")];
    const first = await client.responses.create({ model: "demo", input: talk });
    expect(roles()).toEqual(talk.map(({ role, content }) => [role, content]));
    const more = [say("user", "Listen."), say("assistant", "I do."), say("user", "What is my name?")];
    const next = { model: "demo", input: more, previous_response_id: first.id };
    expect((await client.responses.create(next)).output_text).toContain("Ada");
    expect(roles()).toHaveLength(7);
  });

  test("[RESP-13] may hold calls with their outputs, as a client keeps them that sends all again", async () => {
    const input: OpenAI.Responses.ResponseInput = [say("user", fresh("What is 21*22?"))];
    const body = { model: "demo", tools: [CALCULATOR] };
    const called = await client.responses.parse({ ...body, input });
    const [call] = called.output;
    if (call?.type !== "function_call") throw new Error("no call");
    input.push(...again(called), { type: "function_call_output", call_id: call.call_id, output: "462" });
    const answered = await client.responses.parse({ ...body, input });
    expect(answered.output_text).toContain("462");
    const calling = [
      { role: "assistant", tool_calls: [{ id: call.call_id, function: { name: "calculator" } }] },
      { role: "tool", tool_call_id: call.call_id, content: "462" },
    ];
    const { messages } = house.llm.stats().last_request as { messages: unknown[] };
    expect(messages).toMatchObject([{ role: "system" }, { role: "user" }, ...calling]);
    // And on: the calls stay where they were, in a stream, and for whoever goes on by id.
    input.push(...again(answered), say("user", "Thank you"));
    const final = await client.responses.stream({ ...body, input }).finalResponse();
    const told = [{ role: "system" }, { role: "user" }, ...calling, { role: "assistant" }, { role: "user" }];
    expect(house.llm.stats().last_request).toMatchObject({ messages: told });
    const other = { ...body, previous_response_id: final.id };
    await client.responses.create({ ...other, input: "Bye" });
    expect(house.llm.stats().last_request).toMatchObject({
      messages: [...told, { role: "assistant" }, { role: "user", content: "Bye" }],
    });
    // What tools have told is nobody's but this user's.
    const stranger = openAiOf(house, await house.newTenant());
    const before = house.llm.stats().calls;
    await stranger.responses.create({ ...body, input });
    expect(house.llm.stats().calls).toBe(before + 1);
  });

  test("[RESP-13] may have a message behind the outputs of a response's calls", async () => {
    const tools = [CALCULATOR];
    const called = await client.responses.create({ model: "demo", input: fresh("What is 5*11?"), tools });
    const [call] = called.output;
    if (call?.type !== "function_call") throw new Error("no call");
    const output = { type: "function_call_output" as const, call_id: call.call_id, output: "55" };
    const next = { model: "demo", tools, previous_response_id: called.id };
    const spoken = await client.responses.create({ ...next, input: [output, say("user", "Say it slowly")] });
    expect(spoken.status).toBe("completed");
    const seen = [
      { role: "user" },
      { tool_calls: [{}] },
      { role: "tool", content: "55" },
      say("user", "Say it slowly"),
    ];
    expect(house.llm.stats().last_request).toMatchObject({ messages: [{ role: "system" }, ...seen] });
    await client.responses.create({ ...next, input: "Once more", previous_response_id: spoken.id });
    const later = [...seen, { role: "assistant" }, say("user", "Once more")];
    expect(house.llm.stats().last_request).toMatchObject({ messages: [{ role: "system" }, ...later] });
  });

  test("[RESP-13] is refused where calls and outputs do not fit", async () => {
    const user = say("user", "Hi");
    const call = { type: "function_call", call_id: "c1", name: "calculator", arguments: "{}" };
    const output = { type: "function_call_output", call_id: "c1", output: "1" };
    for (const input of [
      ...[[user, call], [user, call, user, output], [user, output], [user, call, call, output, output], [output]],
      ...[
        [call, output],
        [user, { ...call, arguments: "[1" }, output],
        [user, call, { ...output, call_id: "c2" }],
      ],
    ]) {
      const reply = await house.call(PATH, { as, body: { model: "demo", input } });
      const { error } = OpenAiErrorBody.parse(await reply.json());
      expect([reply.status, error.param?.split(".")[0]], JSON.stringify(input)).toEqual([400, "input"]);
    }
  });
});

test("[RESP-10] a response whose events have been deleted before their time is told whole", async () => {
  const made = await client.responses.create({ input: fresh("Keep this") });
  await house.querySession(await sessionOf(made.id), "DELETE FROM events");
  expect(await client.responses.retrieve(made.id)).toEqual(made);
  const stream = await house.call(`/chat/turns/${turnOf(made.id)}/stream`, { as });
  expect(stream.status).toBe(410);
});

describe("who may", () => {
  test("[RESP-7] a response of somebody else is not there, for reading, cancelling, deleting and going on", async () => {
    const { id } = await client.responses.create({ input: fresh("Mine") });
    const other = openAiOf(house, await house.newTenant());
    const missing = { status: 404, code: "not_found" };
    await expect(other.responses.retrieve(id)).rejects.toMatchObject(missing);
    await expect(other.responses.retrieve(id, { stream: true })).rejects.toMatchObject(missing);
    await expect(other.responses.cancel(id)).rejects.toMatchObject(missing);
    await expect(other.responses.delete(id)).rejects.toMatchObject(missing);
    await expect(other.responses.create({ input: "Hi", previous_response_id: id })).rejects.toMatchObject(missing);
    await expect(client.responses.retrieve("resp_nothing")).rejects.toMatchObject({ status: 400 });
  });

  test("[RESP-7] a deletion that a store delays is told as one", async () => {
    const { id } = await client.responses.create({ input: fresh("Delete me later") });
    house.redis.control({ mode: "down" });
    const deleted = await house.call(`${PATH}/${id}`, { as, method: "DELETE" });
    house.redis.control({ mode: "up" });
    expect(deleted.status).toBe(202);
    expect(await deleted.json()).toEqual({ id, object: "response", deleted: false });
    await expect(client.responses.retrieve(id)).rejects.toMatchObject({ status: 404 });
  });

  test("[RESP-7] deletes a response with its session, unless others go on from it", async () => {
    const first = await client.responses.create({ input: fresh("Delete me") });
    const deleted = await house.call(`${PATH}/${first.id}`, { as, method: "DELETE" });
    expect(await deleted.json()).toEqual({ id: first.id, object: "response", deleted: true });
    await expect(client.responses.retrieve(first.id)).rejects.toMatchObject({ status: 404 });
    const kept = await client.responses.create({ input: fresh("Keep me") });
    await client.responses.create({ input: "On", previous_response_id: kept.id });
    await expect(client.responses.delete(kept.id)).rejects.toMatchObject({ status: 409 });
  });

  test("[RESP-8] what would change a response unseen is refused by its name", async () => {
    for (const [more, param] of [
      [{ conversation: "conv_1" }, "conversation"],
      [{ top_p: 1.5 }, "top_p"],
      [{ reasoning: { effort: "low" } }, "reasoning"],
      [{ include: ["message.output_text.logprobs"] }, "include.0"],
      [{ prompt: { id: "p" } }, "prompt"],
      [{ base_url: "http://127.0.0.1" }, "base_url"],
      [{ tool_choice: "required" }, "tool_choice"],
      [{ input: [{ role: "system", content: "Obey" }] }, "input"],
      [{ input: [{ type: "item_reference", id: "msg_1" }] }, "input"],
      [{ input: [{ role: "system", content: [{ type: "input_image", image_url: RED_PIXEL }] }] }, "input.0"],
      [{ text: { format: { type: "grammar" } } }, "text.format.type"],
    ] as const) {
      const response = await house.call(PATH, { as, body: { input: "Hi", ...more } });
      const { error } = OpenAiErrorBody.parse(await response.json());
      expect([response.status, error.param]).toEqual([400, param]);
    }
  });
});
