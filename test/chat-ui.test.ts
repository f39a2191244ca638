/**
 * /chat/ui as the AI SDK's own transport and its reader of message streams use it: a page's chat is a session whose history is ours.
 */
import { DefaultChatTransport, readUIMessageStream, type UIMessage, type UIMessageChunk } from "ai";
import { afterAll, beforeAll, expect, test } from "vitest";
import { serveLlm } from "../dev/stand-ins/llm.ts";
import type { StandIn } from "../dev/stand-ins/serve.ts";
import { type House, makeId, openHouse, type Tenant } from "./house.ts";
import { checkedFetch, RED_PIXEL } from "./stock-clients.ts";

let house: House;
let second: StandIn;
let as: Tenant;
beforeAll(async () => {
  second = await serveLlm({ pace: { firstTokenMs: 0, tokensPerSecond: Number.POSITIVE_INFINITY } });
  const MODELS = JSON.stringify({
    providers: { second: { kind: "compatible", nodes: [`${second.url}/v1`] } },
    models: {
      ...{ demo: {}, "demo:*": {} },
      broken: {
        routes: [
          { provider: "openai", model: "demo:cut.3" },
          { provider: "second", model: "demo" },
        ],
      },
    },
  });
  house = await openHouse({ settings: { MODELS, PROVIDER_KEYS: '{"second":"k"}' } });
  as = await house.newTenant();
});
afterAll(async () => {
  await house.close();
  await second.close();
});

const SLOW = "demo:tokens.400.gap.5";

function transportOf(body: object = {}, { apiKey }: Tenant = as): DefaultChatTransport<UIMessage> {
  const headers = { authorization: `Bearer ${apiKey}` };
  return new DefaultChatTransport({ api: `${house.url.origin}/chat/ui`, headers, body, fetch: checkedFetch });
}

let made = 0;
const question = (text: string): UIMessage => ({
  id: `q-${(made += 1)}`,
  role: "user",
  parts: [{ type: "text", text }],
});

interface Sent {
  chatId: string;
  messages: UIMessage[];
  body?: object;
  trigger?: "submit-message" | "regenerate-message";
  messageId?: string;
}

const send = ({ body, trigger = "submit-message", messageId, ...chat }: Sent) =>
  transportOf(body).sendMessages({ ...chat, trigger, messageId, abortSignal: undefined });

/** The message that a page would show at the end, and the errors that it would be told. */
async function shown(stream: ReadableStream<UIMessageChunk>): Promise<{ message: UIMessage; errors: unknown[] }> {
  const errors: unknown[] = [];
  let message: UIMessage | undefined;
  for await (const state of readUIMessageStream({ stream, onError: (error) => errors.push(error) })) message = state;
  if (message === undefined) throw new Error("no message");
  return { message, errors };
}

const textOf = ({ parts }: UIMessage): string => parts.map((part) => (part.type === "text" ? part.text : "")).join("");

test("[UI-1] a page's chat goes on by its own name: history is ours, whatever the page sends of it", async () => {
  const chatId = "my-first-chat";
  const first = question("My name is Ada");
  const told = await shown(await send({ chatId, messages: [first] }));
  expect(told.errors).toEqual([]);
  expect(told.message).toMatchObject({ role: "assistant", metadata: { model: "demo", usage: {} } });
  // Only the last message counts: this page has lost the first ones.
  const named = await shown(await send({ chatId, messages: [question("What is my name?")] }));
  expect(textOf(named.message)).toContain("Ada");
  const { session_id } = named.message.metadata as { session_id: string };
  const page = await house.call(`/history/sessions/${session_id}/messages`, { as });
  const { messages } = await page.json<{ messages: { id: string }[] }>();
  expect(messages).toHaveLength(4);
  expect(messages[0]?.id).toBe(named.message.id);
  // Somebody else's chat of that name is another one.
  const other = await house.newTenant();
  const foreign = transportOf({}, other).sendMessages({
    ...{ chatId, messages: [question("What is my name?")], trigger: "submit-message", messageId: undefined },
    abortSignal: undefined,
  });
  expect(textOf((await shown(await foreign)).message)).not.toContain("Ada");
});

test("[UI-1] a session's id names that session, and only its owner's", async () => {
  const begun = await house.call("/chat", { as, body: { prompt: "My name is Bob" } });
  const { session_id: chatId } = await begun.json<{ session_id: string }>();
  const named = await shown(await send({ chatId, messages: [question("What is my name?")] }));
  expect(textOf(named.message)).toContain("Bob");
  const other = transportOf({}, await house.newTenant());
  const sent = { chatId, messages: [question("Hi")], messageId: undefined, abortSignal: undefined };
  await expect(other.sendMessages({ ...sent, trigger: "submit-message" })).rejects.toMatchObject({ statusCode: 404 });
  await expect(send({ chatId: makeId(), messages: [question("Hi")] })).rejects.toMatchObject({ statusCode: 404 });
});

test("[UI-2] tools show their input and output, in a step before the answer's", async () => {
  const { message } = await shown(await send({ chatId: "tools", messages: [question("What is 17*23?")] }));
  const [step, tool, after, text] = message.parts;
  expect([step?.type, after?.type]).toEqual(["step-start", "step-start"]);
  expect(tool).toMatchObject({ type: "dynamic-tool", toolName: "calculator", state: "output-available" });
  expect(text).toMatchObject({ type: "text", state: "done", text: expect.stringContaining("391") as unknown });
});

test("[UI-3] a page that comes back sees the running answer from its beginning; nothing runs: nothing is resumed", async () => {
  const chatId = "resumed";
  const transport = transportOf({ model: SLOW });
  expect(await transport.reconnectToStream({ chatId })).toBeNull();
  const stream = await send({ chatId, messages: [question("Tell me much")], body: { model: SLOW } });
  const reader = stream.getReader();
  for (let pieces = 0; pieces < 6; pieces += 1) await reader.read();
  await reader.cancel(); // the page is closed
  const resumed = await transport.reconnectToStream({ chatId });
  if (resumed === null) throw new Error("nothing runs");
  const { message } = await shown(resumed);
  const view = await house.call(`/chat/turns/${(message.metadata as { turn_id: string }).turn_id}`, { as });
  expect(await view.json()).toMatchObject({ state: "complete", response: textOf(message), message_id: message.id });
  expect(await transport.reconnectToStream({ chatId })).toBeNull();
});

test("[UI-4] an answer is made again, and a question put anew, as branches of the session", async () => {
  const chatId = "branches";
  const [first, again] = [question("My name is Ada"), question("What is my name?")];
  const told = (await shown(await send({ chatId, messages: [first] }))).message;
  const named = (await shown(await send({ chatId, messages: [first, told, again] }))).message;
  const regenerated = (
    await shown(
      await send({ chatId, messages: [first, told, again], trigger: "regenerate-message", messageId: named.id }),
    )
  ).message;
  expect(regenerated.id).not.toBe(named.id);
  expect(textOf(regenerated)).toContain("Ada");
  const anew = { ...first, parts: [{ type: "text" as const, text: "My name is Eve" }] };
  const renamed = (await shown(await send({ chatId, messages: [anew], messageId: first.id }))).message;
  const asked = await shown(await send({ chatId, messages: [anew, renamed, question("What is my name?")] }));
  expect(textOf(asked.message)).toContain("Eve");
  const edited = question("Who am I?");
  const other = await shown(await send({ chatId, messages: [first, told, edited], messageId: edited.id }));
  expect(textOf(other.message)).toContain("Ada");
});

test("[UI-5] a reply that breaks off is reset and begun again; one that cannot be ends with an error", async () => {
  const body = { model: "broken" };
  const chunks: UIMessageChunk[] = [];
  const watched = (await send({ chatId: "broken", messages: [question("Say it twice")], body })).pipeThrough(
    new TransformStream<UIMessageChunk, UIMessageChunk>({
      transform(chunk, controller) {
        chunks.push(chunk);
        controller.enqueue(chunk);
      },
    }),
  );
  const { message, errors } = await shown(watched);
  expect(errors).toEqual([]);
  expect(chunks.map(({ type }) => type)).toContain("reset-step");
  expect(message.parts.filter(({ type }) => type === "text")).toHaveLength(1);
  expect(textOf(message).match(/Say it twice/g)).toHaveLength(1);
  const cut = await shown(await send({ chatId: "cut", messages: [question("Cut")], body: { model: "demo:cut.3" } }));
  expect(cut.errors).toHaveLength(1);
});

test("[UI-6] files of a message are shown to the model", async () => {
  const file = { type: "file" as const, mediaType: "image/png", url: RED_PIXEL };
  const look: UIMessage = { id: "look", role: "user", parts: [{ type: "text", text: "What is this?" }, file] };
  await shown(await send({ chatId: "files", messages: [look] }));
  expect(JSON.stringify(house.llm.stats().last_request)).toContain(RED_PIXEL);
});

test("[UI-6] files that are none, and what is no message of the user, are refused", async () => {
  const file = { type: "file" as const, mediaType: "image/png", url: "data:image/png;base64,AAAA" };
  const answer: UIMessage = { id: "a", role: "assistant", parts: [] };
  const refused: UIMessage[] = [{ ...question("Look"), parts: [file] }, answer, question("  ")];
  for (const message of refused) {
    await expect(send({ chatId: "refused", messages: [message] })).rejects.toMatchObject({ statusCode: 400 });
  }
  await expect(send({ chatId: "n\u00f6", messages: [question("Hi")] })).rejects.toMatchObject({ statusCode: 400 });
  const response = await house.call("/chat/ui", { as, body: { id: "x", messages: [question("Hi")], base_url: "x" } });
  expect(response.status).toBe(400);
});
