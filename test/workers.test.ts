/**
 * main runs in many places at once: two main Workers in isolates of their own, which share objects, Redis and Postgres. What one has done,
 * the other knows; and a soak of both by several users, in which nobody is given what is another one's.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { ChatReply } from "../contracts/chat.ts";
import { seededRandom } from "../dev/house/random.ts";
import { answerOf, type House, openHouse, readEvents, type Tenant } from "./house.ts";

let house: House;
let tenants: Tenant[];
let admin: Tenant;
beforeAll(async () => {
  house = await openHouse({ hasTwin: true, settings: { CACHE_JOIN_TIMEOUT_MS: "5000" } });
  tenants = await Promise.all([1, 2, 3, 4].map(() => house.newTenant()));
  admin = await house.newTenant("admin");
});
afterAll(() => house.close());

const tenant = (at: number): Tenant => tenants[at % tenants.length] ?? admin;
/** Every other one through the other Worker. */
const through = (at: number) => (at % 2 === 0 ? {} : { through: "twin" as const });
const settled = () => house.redis.until(({ in_flight }) => in_flight === 0);

test("[F30] [P10] 60 identical requests at once through two main Workers: one model call, streamed to all", async () => {
  const before = house.llm.stats().calls;
  const body = { prompt: "Tell both of you a long story", model: "demo:tokens.40.gap.100" };
  const responses = await Promise.all(
    Array.from({ length: 60 }, (_, at) => house.call("/chat/stream", { as: tenant(at), body, ...through(at) })),
  );
  const all = await Promise.all(responses.map((response) => readEvents(response)));
  expect(house.llm.stats().calls).toBe(before + 1);
  expect(new Set(all.map(answerOf)).size).toBe(1);
  expect(all.every((events) => events.at(-1)?.event === "done")).toBe(true);
  const verdicts = responses.map((response) => response.headers.get("x-cache"));
  expect(verdicts.filter((verdict) => verdict === "MISS")).toHaveLength(1);
  // Followers of either Worker.
  for (const side of [0, 1])
    expect(verdicts.filter((verdict, at) => at % 2 === side && verdict === "HIT").length).toBeGreaterThan(28);
});

test("[F30] what one Worker has kept is a hit through the other, and a purge through one is effective in both", async () => {
  const body = { prompt: "Tell me of two doors", model: "demo" };
  await (await house.call("/chat", { as: tenant(0), body })).text();
  await settled();
  const verdictOf = async (at: number) => {
    const response = await house.call("/chat", { as: tenant(at), body, ...through(at) });
    await response.text();
    await settled();
    return response.headers.get("x-cache");
  };
  expect([await verdictOf(1), await verdictOf(2)]).toEqual(["HIT", "HIT"]);
  await (await house.call("/cache/invalidate/llm", { as: admin, method: "DELETE", through: "twin" })).text();
  expect(await verdictOf(2)).toBe("MISS");
});

test("[S15] a soak by four users: purges by a user's tag take that user's entries alone, and nobody is told another one's words", async () => {
  const random = seededRandom(20_261);
  const secretOf = (at: number) => `sesame${"abcd".charAt(at % tenants.length)}`;
  /** Users whose private entry is to be there. */
  const kept = new Set<number>();
  /** What each round saw, and what it should have seen. */
  const [seen, wanted]: [unknown[], unknown[]] = [[], []];
  const ask = async (at: number, prompt: string, scope: "user" | "shared", side: number) => {
    const cache = scope === "user" ? { scope } : {};
    const response = await house.call("/chat", { as: tenant(at), body: { prompt, cache }, ...through(side) });
    const reply = ChatReply.parse(await response.json());
    await settled();
    return { verdict: response.headers.get("x-cache"), said: reply.response, session: reply.session_id };
  };
  for (let round = 0; round < 120; round += 1) {
    const [at, side] = [Math.floor(random() * tenants.length), Math.floor(random() * 2)];
    const step = random();
    if (step < 0.45) {
      // The same words for everyone; each user has an answer of their own.
      const { verdict } = await ask(at, "What do you know of me?", "user", side);
      seen.push(verdict);
      wanted.push(kept.has(at) ? "HIT" : "MISS");
      kept.add(at);
    } else if (step < 0.75) {
      const { session } = await ask(at, `My name is ${secretOf(at)}`, "user", side);
      const more = { prompt: "What is my name?", session_id: session };
      const response = await house.call("/chat", { as: tenant(at), body: more, ...through(side + 1) });
      seen.push(/Your name is (\w+)/.exec(ChatReply.parse(await response.json()).response)?.[1]);
      wanted.push(secretOf(at));
      await settled();
    } else {
      const path = `/cache/invalidate?user=${tenant(at).id}`;
      const counted = await house.call(`${path}&dry_run=true`, { as: admin, method: "DELETE", ...through(side) });
      const purged = await house.call(path, { as: tenant(at), method: "DELETE", ...through(side + 1) });
      const [dry, real] = [
        await counted.json<{ deleted_count: number }>(),
        await purged.json<{ deleted_count: number }>(),
      ];
      seen.push(real.deleted_count);
      wanted.push(dry.deleted_count);
      kept.delete(at);
    }
  }
  expect(seen).toEqual(wanted);
  expect(new Set(wanted).size).toBeGreaterThan(6);
}, 120_000);
