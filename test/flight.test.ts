/**
 * Several turns that ask the same at once share one answer while it is made. On real Workers: each turn runs in an object of its own,
 * and they meet in a third one, so it does not matter which Worker took a request.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { ChatReply } from "../contracts/chat.ts";
import { isTerminal, type NumberedEvent } from "../contracts/events.ts";
import { LOCAL_REDIS_TOKEN } from "../dev/local.ts";
import { type CacheAdmin, createCacheAdmin } from "../workers/main/cache/admin.ts";
import { createRedisStore } from "../workers/main/cache/redis.ts";
import { cacheReason, answerOf, type House, openHouse, readEvents, type Tenant } from "./house.ts";

let house: House;
let tenants: Tenant[];
let admin: CacheAdmin;
beforeAll(async () => {
  house = await openHouse({ settings: { CACHE_JOIN_TIMEOUT_MS: "5000" } });
  tenants = await Promise.all([1, 2, 3, 4].map(() => house.newTenant()));
  const redis = createRedisStore({ url: house.redis.url, token: LOCAL_REDIS_TOKEN, readTimeoutMs: 5_000 });
  admin = createCacheAdmin({ redis, enabled: true, prices: {}, now: Date.now, log: () => {} });
});
afterAll(() => house.close());

let asked = 0;
const unique = (text: string): string => `${text} ${"again ".repeat((asked += 1))}`.trim();
const tenant = (at: number): Tenant => tenants[at % tenants.length] ?? { id: "", apiKey: "" };
const calls = (): number => house.llm.stats().calls;

/** Speaks for some seconds, so that all are there before it has ended. */
const SLOW = "demo:tokens.45.gap.100";

interface Watched {
  sessionId: string;
  turnId: string;
  headers: Headers;
  /** The events up to the first delta, and all of them. */
  begun: Promise<NumberedEvent[]>;
  ended: Promise<NumberedEvent[]>;
}

/** Starts a turn and watches it. */
async function watch(as: Tenant, body: Record<string, unknown>): Promise<Watched> {
  const response = await house.call("/chat/stream", { as, body });
  const begun = Promise.withResolvers<NumberedEvent[]>();
  const seen: NumberedEvent[] = [];
  const ended = readEvents(response, (event) => {
    seen.push(event);
    if (event.event === "delta" || isTerminal(event)) begun.resolve([...seen]);
    return isTerminal(event);
  });
  const [sessionId, turnId] = ["x-session-id", "x-turn-id"].map((name) => String(response.headers.get(name)));
  return { sessionId: sessionId ?? "", turnId: turnId ?? "", headers: response.headers, begun: begun.promise, ended };
}

/** The answer as a client is to show it: a rewind takes back what it names. */
function shownOf(events: NumberedEvent[]): string {
  return answerOf(
    events.filter(
      (event) =>
        !events.some((later) => later.event === "rewind" && later.id > event.id && event.id > later.data.after),
    ),
  );
}

test("[F30] [P10] 100 identical requests at once, of several users in as many sessions: one model call", async () => {
  const body = { prompt: unique("Tell me a long story"), model: "demo:tokens.40.gap.100" };
  const before = calls();
  const watched = await Promise.all(Array.from({ length: 100 }, (_, at) => watch(tenant(at), body)));
  const all = await Promise.all(watched.map(({ ended }) => ended));
  expect(calls()).toBe(before + 1);
  const answer = answerOf(all[0] ?? []);
  expect(answer.length).toBeGreaterThan(40);
  expect(new Set(all.map(answerOf))).toEqual(new Set([answer]));
  for (const events of all) {
    expect(events.map((event) => event.id)).toEqual(events.map((_, at) => at + 1));
    expect(events.at(-1)).toMatchObject({ event: "done", data: { finish_reason: "stop" } });
  }
  const verdicts = watched.map(({ headers }) => headers.get("x-cache"));
  expect([verdicts.filter((one) => one === "HIT").length, verdicts.filter((one) => one === "MISS").length]).toEqual([
    99, 1,
  ]);
}, 60_000);

test("[F30] [S15] identical requests that keep their answer to its user: one model call a user", async () => {
  const own = { cache: { scope: "user" }, model: "demo:tokens.40.gap.100" };
  const body = { ...own, prompt: unique("Tell me my own story") };
  const before = calls();
  const watched = await Promise.all([0, 1, 0, 1, 0, 1].map((at) => watch(tenant(at), body)));
  const all = await Promise.all(watched.map(({ ended }) => ended));
  expect(calls()).toBe(before + 2);
  expect(all.map((events) => events.at(-1)?.event)).toEqual(all.map(() => "done"));
  expect(watched.filter(({ headers }) => cacheReason(headers) === "joined")).toHaveLength(4);
}, 60_000);

test("[F30] those who share an answer stream its words while they come", async () => {
  const before = calls();
  const body = { prompt: unique("Tell me a slow story"), model: "demo:tokens.60.gap.100" };
  const watched = await Promise.all(Array.from({ length: 8 }, (_, at) => watch(tenant(at), body)));
  const firsts = await Promise.all(watched.map(({ begun }) => begun));
  // All have words, and the model is still speaking.
  expect(house.llm.stats().in_flight).toBe(1);
  expect(firsts.every((events) => events.at(-1)?.event === "delta")).toBe(true);
  const verdicts = watched.map(({ headers }) => `${headers.get("x-cache")} ${cacheReason(headers)}`);
  expect(verdicts.filter((verdict) => verdict === "MISS absent")).toHaveLength(1);
  expect(verdicts.filter((verdict) => verdict === "HIT joined")).toHaveLength(7);
  const answers = (await Promise.all(watched.map(({ ended }) => ended))).map(answerOf);
  expect([new Set(answers).size, calls()]).toEqual([1, before + 1]);
});

test("[F30] JSON replies join too, cost no tokens, and the answer is in the history of each", async () => {
  const body = { prompt: unique("Tell me a short story"), model: "demo:tokens.20.gap.40" };
  const before = calls();
  const responses = await Promise.all(
    Array.from({ length: 8 }, (_, at) => house.call("/chat", { as: tenant(at), body })),
  );
  const replies = await Promise.all(responses.map(async (response) => ChatReply.parse(await response.json())));
  expect(calls()).toBe(before + 1);
  expect(new Set(replies.map(({ response }) => response)).size).toBe(1);
  expect(new Set(replies.map(({ session_id }) => session_id)).size).toBe(8);
  const rows = await Promise.all(
    replies.map(({ session_id }) =>
      house.querySession(session_id, "SELECT content, tokens, status FROM messages WHERE role = 'assistant'"),
    ),
  );
  expect(new Set(rows.flat().map((row) => `${String(row["content"])} ${String(row["status"])}`))).toEqual(
    new Set([`${replies[0]?.response} complete`]),
  );
  expect(rows.flat().filter((row) => row["tokens"] === 0)).toHaveLength(7);
  const costs = replies.map(({ cache, usage }) => `${cache} ${usage.cost_usd}`);
  expect(costs.toSorted()).toEqual([...Array.from({ length: 7 }, () => "hit 0"), "miss null"]);
});

test("[F30] tool calls and results are shared as well, each turn under ids of its own", async () => {
  const body = { prompt: unique("what is 12*34?") };
  const before = calls();
  const watched = await Promise.all(Array.from({ length: 6 }, (_, at) => watch(tenant(at), body)));
  const all = await Promise.all(watched.map(({ ended }) => ended));
  expect(calls()).toBe(before + 2);
  const ids = all.map((events) => {
    const call = events.find((event) => event.event === "tool_call");
    const result = events.find((event) => event.event === "tool_result");
    expect([call?.data.name, result?.data.content, result?.data.id]).toEqual(["calculator", "408", call?.data.id]);
    expect(answerOf(events)).toContain("408");
    return call?.data.id;
  });
  expect(new Set(ids).size).toBe(6);
});

/** Starts one turn, and others that follow it once it speaks. */
async function startFlight(body: Record<string, unknown>, followers: number): Promise<[leader: Watched, ...Watched[]]> {
  const leader = await watch(tenant(0), body);
  await leader.begun;
  const others = await Promise.all(Array.from({ length: followers }, (_, at) => watch(tenant(at + 1), body)));
  await Promise.all(others.map(({ begun }) => begun));
  return [leader, ...others];
}

/** Who followed has one whole answer, made by one more call for all of them. */
async function expectOneMore(followers: Watched[], before: number): Promise<void> {
  const all = await Promise.all(followers.map(({ ended }) => ended));
  expect(calls()).toBe(before + 2);
  expect(new Set(all.map(shownOf)).size).toBe(1);
  for (const events of all) {
    expect(events.at(-1)).toMatchObject({ event: "done" });
    expect(events.map((event) => event.id)).toEqual(events.map((_, at) => at + 1));
  }
  expect(all.every((events) => events.some((event) => event.event === "rewind"))).toBe(true);
}

test("[F30] the leader is stopped: one follower makes the answer anew, the others follow it", async () => {
  const before = calls();
  const body = { prompt: unique("Tell me a tale"), model: SLOW };
  const [leader, ...followers] = await startFlight(body, 5);
  await (await house.call(`/chat/turns/${leader.turnId}/cancel`, { as: tenant(0), method: "POST" })).text();
  expect((await leader.ended).at(-1)).toMatchObject({ event: "error", data: { code: "cancelled" } });
  await expectOneMore(followers, before);
});

test("[F30] the leader's object dies: one of a hundred followers makes the answer anew, the others follow it", async () => {
  const before = calls();
  const body = { prompt: unique("Tell me a saga"), model: "demo:tokens.80.gap.100" };
  const [leader, ...followers] = await startFlight(body, 100);
  leader.ended.catch(() => undefined);
  // An object whose turn's end cannot be stored throws itself away.
  await house.querySession(leader.sessionId, "ALTER TABLE messages RENAME TO lost");
  await expectOneMore(followers, before);
}, 60_000);

test("[F30] the leader's provider fails: the followers fail as it does, without a call each", async () => {
  const before = calls();
  const [leader, ...followers] = await startFlight({ prompt: unique("Tell me"), model: `${SLOW}:cut.20` }, 5);
  for (const events of await Promise.all([leader, ...followers].map(({ ended }) => ended))) {
    expect(events.at(-1)).toMatchObject({ event: "error", data: { code: "upstream_truncated" } });
  }
  expect(calls()).toBe(before + 1);
});

test("[F30] a leader that falls silent is waited for no longer than the limit: each then asks for itself", async () => {
  const before = calls();
  // The stand-in stays silent; the leader itself waits twenty seconds.
  const [leader, ...followers] = await startFlight({ prompt: unique("Tell me of"), model: "demo:stall.3" }, 2);
  await house.llm.until((stats) => stats.calls === before + 3);
  for (const { sessionId, turnId } of [leader, ...followers]) {
    for (const as of tenants) await (await house.call(`/chat/turns/${turnId}/cancel`, { as, method: "POST" })).text();
    expect(sessionId).not.toBe("");
  }
  await Promise.all([leader, ...followers].map(({ ended }) => ended));
  await house.llm.until((stats) => stats.in_flight === 0);
});

test("[F30] [S15] what a tool gives that is not for everyone is shown to nobody who follows", async () => {
  const body = { prompt: unique("what time is it?") };
  const before = calls();
  // So slow that all are there before the first one calls the tool.
  house.llm.control({ latencyMs: 500 });
  const watched = await Promise.all(Array.from({ length: 5 }, (_, at) => watch(tenant(at), body)));
  const all = await Promise.all(watched.map(({ ended }) => ended));
  // Each turn has called the model and the clock for itself.
  const own = all.map((events) => events.filter((event) => event.event === "tool_result"));
  expect(all.every((events) => events.at(-1)?.event === "done")).toBe(true);
  house.llm.control({ latencyMs: 0 });
  expect(own.flat()).toHaveLength(5);
  // One call in which they met, then one for each of the others, and for each its answer.
  expect(calls()).toBe(before + 10);
});

test("[F29] [F30] nobody follows an answer that was begun before a purge", async () => {
  const before = calls();
  const body = { prompt: unique("Tell me news"), model: SLOW };
  const [leader, follower] = await startFlight(body, 1);
  const purged = await admin.purge({ user: leader.sessionId }, { userId: tenant(0).id });
  expect(purged.ok).toBe(true);
  const late = await Promise.all([watch(tenant(2), body), watch(tenant(3), body)]);
  await Promise.all([leader, follower, ...late].flatMap((one) => (one ? [one.ended] : [])));
  // Those who came after the purge have shared an answer of their own.
  expect(calls()).toBe(before + 2);
});

test("[F30] only what any user may be given is shared: no other key, scope, mode or later turn", async () => {
  const model = "demo:tokens.10.gap.40";
  const prompt = unique("Tell me of moss");
  const first = ChatReply.parse(
    await (await house.call("/chat", { as: tenant(0), body: { prompt: unique("Hi") } })).json(),
  );
  const before = calls();
  const bodies = [
    { prompt, model },
    { prompt, model, temperature: 0.5 },
    { prompt, model, cache: { scope: "user" } },
    { prompt, model, cache: { mode: "no-cache" } },
    { prompt, model, cache: { mode: "no-store" } },
    { prompt, model, session_id: first.session_id },
  ];
  const watched = await Promise.all(bodies.map((body) => watch(tenant(0), body)));
  await Promise.all(watched.map(({ ended }) => ended));
  expect(calls()).toBe(before + bodies.length);
});

test("[F30] a follower that is stopped keeps what it was told, and the others go on", async () => {
  const before = calls();
  const body = { prompt: unique("Tell me of stars"), model: SLOW };
  const [leader, one, two] = await startFlight(body, 2);
  await (await house.call(`/chat/turns/${one?.turnId}/cancel`, { as: tenant(1), method: "POST" })).text();
  const events = (await one?.ended) ?? [];
  expect(events.at(-1)).toMatchObject({ event: "error", data: { code: "cancelled" } });
  expect(shownOf(events)).not.toBe("");
  expect((await two?.ended)?.at(-1)).toMatchObject({ event: "done" });
  expect((await leader.ended).at(-1)).toMatchObject({ event: "done" });
  expect(calls()).toBe(before + 1);
});
