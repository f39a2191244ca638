/**
 * Holds the conversations of a trace with a house, several at once, and checks every answer: for the benchmark of the cache and its test.
 * No state but what the house has.
 */
import type { Usage } from "../../contracts/chat.ts";
import { createEventDecoder, type NumberedEvent } from "../../contracts/events.ts";
import type { House, Tenant } from "../house.ts";
import { imagePart } from "./images.ts";
import type { Conversation, Pair, Turn } from "./cache-traces.ts";

const AT_ONCE = 4;

export interface Answer {
  verdict: string;
  firstTokenMs: number;
  usage: Usage;
  /** Calls of the model that the answer takes when nothing is cached. */
  calls: number;
  right: boolean;
  /** It was made for another wording. */
  similar: boolean;
}

export async function holdAll(house: House, users: number, conversations: Conversation[]): Promise<Answer[]> {
  const tenants = await makeTenants(house, users);
  const answers: Answer[] = [];
  await inTurns(conversations, async (one) => void answers.push(...(await hold(house, tenants, one))));
  await house.redis.until(({ in_flight }) => in_flight === 0);
  return answers;
}

export interface PairFigures {
  pairs: number;
  /** The first of the pair was a hit when it was asked again. */
  hits: number;
  /** Answers that belong to another request. */
  wrong: number;
}

/** Each pair: the first twice, so that it is a hit if it can be one; then the one that looks like it. By kind of pair. */
export async function tryPairs(house: House, pairs: Pair[]): Promise<Map<string, PairFigures>> {
  const tenants = await makeTenants(house, 2);
  const kinds = new Map<string, PairFigures>();
  await inTurns(pairs, async ({ kind, first, near }) => {
    await hold(house, tenants, first);
    await house.redis.until(({ in_flight }) => in_flight === 0);
    const again = await hold(house, tenants, first);
    const answers = [...again, ...(await hold(house, tenants, near))];
    const figures = kinds.get(kind) ?? { pairs: 0, hits: 0, wrong: 0 };
    kinds.set(kind, figures);
    figures.pairs += 1;
    figures.hits += again.every(({ verdict }) => verdict === "HIT") ? 1 : 0;
    figures.wrong += answers.filter(({ right }) => !right).length;
  });
  return kinds;
}

async function hold(house: House, tenants: Tenant[], { user, turns }: Conversation): Promise<Answer[]> {
  const as = tenants[user];
  if (as === undefined) throw new Error("no such user");
  const answers: Answer[] = [];
  let session: string | undefined;
  for (const turn of turns) {
    const { answer, sessionId } = await ask(house, as, turn, session);
    session = sessionId;
    answers.push(answer);
  }
  return answers;
}

/** One turn as a stream, to its end. */
async function ask(house: House, as: Tenant, turn: Turn, sessionId: string | undefined) {
  const said = turn.image
    ? { parts: [{ type: "text", text: turn.prompt }, imagePart(turn.image)] }
    : { prompt: turn.prompt };
  const body = { ...said, ...turn.more, ...(sessionId && { session_id: sessionId }) };
  const startedAtMs = performance.now();
  const response = await house.call("/chat/stream", { as, body });
  if (!response.ok || response.body === null) throw new Error(`${response.status} ${await response.text()}`);
  const decoder = createEventDecoder();
  const events: NumberedEvent[] = [];
  let firstTokenMs: number | undefined;
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    events.push(...decoder.push(text));
    if (events.some(({ event }) => event === "delta")) firstTokenMs ??= performance.now() - startedAtMs;
  }
  const answered = events.flatMap((event) => (event.event === "delta" ? [event.data.content] : [])).join("");
  const usage = events.find((event) => event.event === "usage")?.data;
  if (usage === undefined || firstTokenMs === undefined) throw new Error(`no answer to ${turn.prompt}`);
  const answer: Answer = {
    ...{ verdict: response.headers.get("x-cache") ?? "", firstTokenMs, usage },
    calls: events.some(({ event }) => event === "tool_call") ? 2 : 1,
    right: [turn.holds, ...(turn.alike ?? [])].some((holds) => holds.every((part) => answered.includes(part))),
    similar: response.headers.get("server-timing")?.includes('"similar"') ?? false,
  };
  return { answer, sessionId: response.headers.get("x-session-id") ?? "" };
}

function makeTenants(house: House, count: number): Promise<Tenant[]> {
  return Promise.all(Array.from({ length: count }, () => house.newTenant()));
}

async function inTurns<T>(items: T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  const worker = async (): Promise<void> => {
    for (const item of queue) await work(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}
