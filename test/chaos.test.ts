/** Viewers and senders whose connections break anywhere: nobody misses an event, nothing is said or answered twice. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { ErrorBody } from "../contracts/errors.ts";
import { createEventDecoder } from "../contracts/events.ts";
import { seededRandom } from "../dev/house/random.ts";
import { answerOf, type House, lastIdOf, openHouse, readEvents, readFrames, type Tenant, untilRows } from "./house.ts";

/** Of a run that failed: CHAOS_SEED=… repeats its chance. */
const seed = Number(process.env["CHAOS_SEED"] ?? Date.now() % 1_000_000);
const random = seededRandom(seed);
const hint = `CHAOS_SEED=${seed}`;
const below = (limit: number): number => Math.floor(random() * limit);

let house: House;
let as: Tenant;
beforeAll(async () => {
  house = await openHouse();
  as = await house.newTenant();
});
afterAll(() => house.close());

/** Runs `work` for all, so many at a time. */
async function forAll<T, R>(items: T[], atOnce: number, work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const queue = items.entries();
  const lane = async (): Promise<void> => {
    for (const [at, item] of queue) results[at] = await work(item);
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  return results;
}

/** A finished turn: its id and its whole log. */
async function finishedTurn(body: object): Promise<{ turnId: string; log: string[] }> {
  const response = await house.call("/chat/stream", { as, body });
  return { turnId: String(response.headers.get("x-turn-id")), log: await readFrames(response) };
}

/** Watches a turn in the two ways there are of saying from where. */
function watch(turnId: string, after: number): Promise<Response> {
  const path = `/chat/turns/${turnId}/stream`;
  if (random() < 0.5) return house.call(`${path}?after=${after}`, { as });
  return house.call(path, { as, headers: { "last-event-id": String(after) } });
}

/** The frames of a viewer whose connection breaks once, after so many bytes. */
async function watchTwice(turnId: string, bytes: number): Promise<string[]> {
  const held = await readFrames(await watch(turnId, 0), bytes);
  return [...held, ...(await readFrames(await watch(turnId, lastIdOf(held))))];
}

const bytesOf = (frames: string[]): number => Buffer.byteLength(frames.join("\n\n")) + 2;

test("[TURN-1] a stream cut at 1,000 random bytes and resumed gives 1,000 identical transcripts", async () => {
  const finished = await Promise.all([
    finishedTurn({ prompt: "A long story", model: "demo:tokens.200.gap.9" }),
    finishedTurn({ prompt: "Größe 🌊🌊 und ähnliches – 海 再见" }),
  ]);
  let identical = 0;
  for (const { turnId, log } of finished) {
    const events = createEventDecoder().push(`${log.join("\n\n")}\n\n`);
    expect(events.map(({ id }) => id)).toEqual(log.map((_, at) => at + 1));
    const cuts = Array.from({ length: 350 }, () => below(bytesOf(log)));
    const transcripts = await forAll(cuts, 25, (bytes) => watchTwice(turnId, bytes));
    for (const [at, frames] of transcripts.entries()) expect(frames, `${hint}, byte ${cuts[at]}`).toEqual(log);
    identical += transcripts.length;
  }

  const longest = bytesOf(finished[0].log) * 0.7;
  await Promise.all(
    Array.from({ length: 6 }, async (_, turn) => {
      const body = { prompt: `Live ${"again ".repeat(turn + 1)}`, model: "demo:tokens.200.gap.9" };
      const live = await house.call("/chat/stream", { as, body });
      const turnId = String(live.headers.get("x-turn-id"));
      const cuts = Array.from({ length: 50 }, () => below(longest));
      const [log, ...transcripts] = await Promise.all([
        readFrames(live),
        ...cuts.map((bytes) => watchTwice(turnId, bytes)),
      ]);
      expect(log.at(-1)).toContain("event: done");
      for (const [at, frames] of transcripts.entries()) expect(frames, `${hint}, byte ${cuts[at]}`).toEqual(log);
      identical += transcripts.length;
    }),
  );
  expect(identical).toBe(1_000);
}, 60_000);

type Manner = "at once" | "one after the other" | "aborted";

interface Message {
  prompt: string;
  path: "/chat" | "/chat/stream";
  manner: Manner;
  sessionId: string | undefined;
}

/** A message for one Idempotency-Key; its words are its own. */
function newMessage(number: number, sessionId?: string): Message {
  return {
    prompt: `Message number ${number}`,
    path: random() < 0.3 ? "/chat" : "/chat/stream",
    manner: (["at once", "one after the other", "aborted"] as const)[below(3)] ?? "at once",
    sessionId,
  };
}

/** Sends a message, and hangs up early where that is wanted. Gives the session and whether it was a replay. */
async function send(message: Message, hangUp: boolean): Promise<{ sessionId: string; replayed: boolean } | undefined> {
  const { path, prompt, sessionId } = message;
  const body = { prompt, model: "demo:tokens.12.gap.4", session_id: sessionId };
  const headers = { "idempotency-key": `key-of-${prompt.replaceAll(" ", "-")}` };
  const leaving = new AbortController();
  const { calls } = house.llm.stats();
  const asked = house.call(path, { as, body, headers, signal: leaving.signal });
  if (hangUp && path === "/chat") {
    await Promise.race([asked, house.llm.until((stats) => stats.calls > calls)]);
    leaving.abort();
    return void (await asked.then((response) => response.text()).catch(() => undefined));
  }
  const response = await asked;
  expect(response.status, hint).toBe(200);
  if (path === "/chat") await response.text();
  else await readFrames(response, hangUp ? below(1_500) : undefined);
  return {
    sessionId: String(response.headers.get("x-session-id")),
    replayed: response.headers.get("idempotent-replayed") === "true",
  };
}

/** The session in which three sendings ended up. */
async function sendThrice(message: Message): Promise<string> {
  const abort = message.manner === "aborted";
  const thrice = [abort, abort, false];
  const sent = await forAll(thrice, message.manner === "at once" ? 3 : 1, (hangUp) => send(message, hangUp));
  const told = sent.filter((answer) => answer !== undefined);
  expect(new Set(told.map((answer) => answer.sessionId)).size, hint).toBe(1);
  // A JSON request that was aborted tells nothing, and may be the one that began.
  const fresh = told.filter((answer) => !answer.replayed).length;
  expect([1, told.length === 3 ? 1 : 0], hint).toContain(fresh);
  return told[0]?.sessionId ?? "";
}

test("[TURN-2] 100 messages sent three times each, with disconnects, are 100 questions and 100 answers", async () => {
  as = await house.newTenant();
  const { calls } = await house.llm.until((stats) => stats.in_flight === 0);
  const firsts = Array.from({ length: 70 }, (_, at) => newMessage(at));
  const sessions = await forAll(firsts, 20, sendThrice);
  const talks = sessions.slice(0, 10).map((id, talk) => [0, 1, 2].map((at) => newMessage(70 + 3 * talk + at, id)));
  await forAll(talks, 10, async (talk) => {
    for (const message of talk) await sendThrice(message);
  });

  const rows = await untilRows(
    house,
    200,
    `select m.role, m.content, m.status from messages m join chat_sessions s on s.id = m.session_id
     where s.user_id = $1 order by m.session_id, m.seq`,
    as.id,
  );
  const asked = rows.filter((row) => row["role"] === "user").map((row) => row["content"]);
  expect(new Set(asked).size, hint).toBe(100);
  expect(asked, hint).toHaveLength(100);
  expect(
    rows.map((row) => row["role"]),
    hint,
  ).toEqual(rows.map((_, at) => (at % 2 === 0 ? "user" : "assistant")));
  expect(
    rows.every((row) => row["status"] === "complete"),
    hint,
  ).toBe(true);
  expect(house.llm.stats().calls - calls, hint).toBe(100);
}, 60_000);

test("[F15] a viewer comes back with a valid or an old number, one that is not there yet, or for another user's turn", async () => {
  const { turnId, log } = await finishedTurn({ prompt: "Come and go", model: "demo:tokens.20.gap.9" });
  for (const after of [0, 1, log.length - 1, log.length]) {
    expect(await readFrames(await watch(turnId, after))).toEqual(log.slice(after));
  }
  const future = await watch(turnId, log.length + 1);
  expect(future.status).toBe(400);
  expect(ErrorBody.parse(await future.json()).error.code).toBe("invalid_request");
  const stranger = await house.newTenant();
  const theirs = await house.call(`/chat/turns/${turnId}/stream?after=1`, { as: stranger });
  expect(theirs.status).toBe(404);
});

test("[F15] the events of a turn that ended long ago are gone, and the reply names its message", async () => {
  const response = await house.call("/chat/stream", { as, body: { prompt: "An old story" } });
  const sessionId = String(response.headers.get("x-session-id"));
  const turnId = String(response.headers.get("x-turn-id"));
  const events = await readEvents(response);
  await house.querySession(sessionId, "UPDATE turns SET ended_at = ended_at - 7200000");
  const late = await watch(turnId, 1);
  expect(late.status).toBe(410);
  const { error } = ErrorBody.parse(await late.json());
  expect(error.code).toBe("turn_expired");
  const meta = events[0]?.event === "meta" ? events[0].data : undefined;
  expect(error.details).toEqual({ message_id: meta?.message_id });
  expect(answerOf(events)).toContain("An old story");
});
