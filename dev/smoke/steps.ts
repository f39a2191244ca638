/**
 * What a deployment must be able to do for a user, in order: each step builds on the ones before. State: what the earlier steps have made.
 * A step gives a word on what it saw, or throws.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";
import { CacheHealth, PurgeReply } from "../../contracts/cache.ts";
import { ChatReply } from "../../contracts/chat.ts";
import { standing } from "../../contracts/events.ts";
import { MessagePage } from "../../contracts/sessions.ts";
import { Me, Tokens, UserView } from "../../contracts/users.ts";
import { type ApiClient, readEvents } from "./client.ts";

const WRITTEN_WITHIN_MS = 30_000;
const POLL_MS = 250;

export interface Story {
  client: ApiClient;
  model: string | undefined;
  /** Told apart from every other run, so that nothing is in the cache. */
  nonce: string;
  userId?: string;
  /** Made by this run, so erased at its end. */
  isOwnUser: boolean;
  session?: string;
  turn?: string;
  shown?: string;
}

export type Step = readonly [name: string, run: (story: Story) => Promise<string>];

export const STEPS: readonly Step[] = [
  ["health", checkHealth],
  ["sign up", signUp],
  ["chat", chat],
  ["stream", stream],
  ["resume", resume],
  ["retry", retry],
  ["history", readHistory],
  ["purge", purge],
  ["erase session", eraseSession],
];

async function checkHealth({ client }: Story): Promise<string> {
  await client.call("/health");
  return "answers";
}

/** A user of this run alone, unless a key was given. */
async function signUp(story: Story): Promise<string> {
  const { client, nonce } = story;
  if (client.token === undefined) {
    const credentials = { username: `smoke-${nonce}`, password: randomUUID() };
    const email = `smoke-${nonce}@example.com`;
    const made = await client.read(UserView, "/history/users", { body: { ...credentials, email }, expect: [201] });
    story.isOwnUser = true;
    story.userId = made.id;
    client.token = (await client.read(Tokens, "/auth/login", { body: credentials })).access_token;
  }
  const { user } = await client.read(Me, "/auth/me");
  story.userId = user.id;
  return story.isOwnUser ? "a user of its own" : "the user of --key";
}

async function chat(story: Story): Promise<string> {
  const { client } = story;
  const reply = await client.read(ChatReply, "/chat", { body: ask(story, "Greet me in one short sentence.") });
  if (reply.finish_reason !== "stop") throw new Error(`the answer ended with ${reply.finish_reason}`);
  if (reply.response === "") throw new Error("the answer is empty");
  story.session = reply.session_id;
  return `${reply.model} by ${reply.provider}, ${reply.usage.total_tokens} tokens`;
}

async function stream(story: Story): Promise<string> {
  const { client, session } = story;
  const body = { ...ask(story, "Name three rivers."), session_id: session };
  const response = await client.call("/chat/stream", { body });
  const events = await readEvents(response);
  story.turn = response.headers.get("x-turn-id") ?? "";
  story.shown = textOf(events);
  const last = events.at(-1);
  if (last?.event !== "done")
    throw new Error(last?.event === "error" ? `it ended with ${last.data.code}` : "it has no end");
  if (events.some(({ id }, at) => id !== at + 1)) throw new Error("its events are not numbered from 1 on");
  return `${events.length} events`;
}

/** Another turn, left after its first event; then the same turn from there on, and once more from its beginning. */
async function resume(story: Story): Promise<string> {
  const { client, session } = story;
  const body = { ...ask(story, "Name three mountains."), session_id: session };
  const response = await client.call("/chat/stream", { body });
  const turn = response.headers.get("x-turn-id") ?? "";
  const seen = await readEvents(response, () => true);
  const lastId = String(seen.at(-1)?.id);
  const path = `/chat/turns/${turn}/stream`;
  const rest = await readEvents(await client.call(path, { headers: { "last-event-id": lastId } }));
  const whole = await readEvents(await client.call(path));
  if (textOf([...seen, ...rest]) !== textOf(whole)) throw new Error("what was resumed is not the rest of the turn");
  return `${rest.length} events after number ${lastId}`;
}

/** The same request with the same key is the same turn. */
async function retry(story: Story): Promise<string> {
  const { client } = story;
  const asked = { body: ask(story, "Name a colour."), headers: { "idempotency-key": `smoke-${story.nonce}` } };
  const first = await client.read(ChatReply, "/chat", asked);
  const again = await client.call("/chat", asked);
  const { turn_id } = ChatReply.parse(await again.json());
  if (turn_id !== first.turn_id) throw new Error("the retry has started another turn");
  if (again.headers.get("idempotent-replayed") !== "true") throw new Error("the retry does not say that it is one");
  return "one turn";
}

/** The messages from the object, and the session in Postgres, where it arrives behind the replies. */
async function readHistory({ client, session, shown, userId }: Story): Promise<string> {
  const { messages } = await client.read(MessagePage, `/history/sessions/${session}/messages`);
  if (messages.length !== 6) throw new Error(`there are ${messages.length} messages instead of 6`);
  if (!messages.some(({ content }) => content === shown))
    throw new Error("the streamed answer is not among the messages");
  const List = z.object({ sessions: z.array(z.object({ id: z.string() })) });
  for (const deadlineMs = Date.now() + WRITTEN_WITHIN_MS; ; await sleep(POLL_MS)) {
    const { sessions } = await client.read(List, `/history/users/${userId}/sessions`);
    if (sessions.some(({ id }) => id === session)) return `${messages.length} messages, in Postgres too`;
    if (Date.now() > deadlineMs) throw new Error("the session has not come to Postgres");
  }
}

/** What was made for this user is in the cache, where it arrives behind the reply, and gone after the purge: asked again, it is a miss. */
async function purge(story: Story): Promise<string> {
  const { client } = story;
  const { enabled } = await client.read(CacheHealth, "/cache/health");
  if (!enabled) return "the cache is switched off";
  const body = { ...ask(story, "Name a colour."), cache: { mode: "only-if-cached", scope: "user" } };
  const isKept = async () => (await client.call("/chat", { body, expect: [200, 504] })).status === 200;
  for (const deadlineMs = Date.now() + WRITTEN_WITHIN_MS; !(await isKept()); await sleep(POLL_MS)) {
    if (Date.now() > deadlineMs) throw new Error("the answer has not come to the cache");
  }
  const { deleted_count } = await client.read(PurgeReply, `/cache/invalidate?user=${story.userId}`, {
    method: "DELETE",
  });
  if (deleted_count < 1) throw new Error("the purge has deleted nothing");
  if (await isKept()) throw new Error("the answer is in the cache after its purge");
  return `${deleted_count} entries, and a miss after it`;
}

async function eraseSession({ client, session }: Story): Promise<string> {
  const path = `/history/sessions/${session}`;
  const { status } = await client.call(path, { method: "DELETE", expect: [200, 202] });
  client.sessions.delete(session ?? "");
  await client.call(path, { expect: [404] });
  return status === 202 ? "gone for its owner; a store follows" : "gone";
}

/** Whatever the run has made, also after a step that failed. */
export async function cleanUp({ client, isOwnUser, userId }: Story): Promise<string> {
  if (!isOwnUser) {
    for (const id of client.sessions)
      await client.call(`/history/sessions/${id}`, { method: "DELETE", expect: [200, 202, 404] });
    return `${client.sessions.size} sessions deleted; the user of --key stays`;
  }
  await client.call(`/history/users/${userId}`, { method: "DELETE", expect: [200, 202] });
  await client.call("/auth/me", { expect: [401] });
  return "the user is gone, and its credential with it";
}

function ask({ model, nonce }: Story, prompt: string) {
  return {
    prompt: `${prompt} (${nonce})`,
    cache: { scope: "user" },
    tools: "none",
    ...(model !== undefined && { model }),
  };
}

function textOf(events: Parameters<typeof standing>[0]): string {
  return standing(events)
    .flatMap((event) => (event.event === "delta" ? [event.data.content] : []))
    .join("");
}
