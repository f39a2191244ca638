import { expect, test } from "vitest";
import { ok } from "../../../contracts/errors.ts";
import type { StartTurn } from "../../../contracts/session.ts";
import { createCache } from "../cache/cache.ts";
import { createSlots } from "../chat/turn.ts";
import { createLookAhead, readCommand } from "./ahead.ts";

const ID = "01a208da-e978-7048-8025-8d0d150d1078";
/** No test waits for so long. */
const LONG_MS = 60_000;
const NOTHING = { keys: [], values: undefined };

/** A request whose body comes in these pieces, and then ends, or does not. */
function bodyOf(pieces: Uint8Array[], end: "ends" | "breaks off" | "hangs" = "ends"): Request {
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      const piece = pieces.shift();
      if (piece !== undefined) controller.enqueue(piece);
      else if (end === "breaks off") controller.error(new Error("gone"));
      else if (end === "ends") controller.close();
      else return new Promise(() => undefined);
      return undefined;
    },
  });
  const headers = { "content-type": "application/jsonl" };
  return new Request("https://session.internal/", { method: "POST", headers, body, duplex: "half" } as RequestInit);
}

const bytesOf = (text: string): Uint8Array[] => [...new TextEncoder().encode(text)].map((byte) => Uint8Array.of(byte));
const command = { kind: "start", sessionId: "s", request: { prompt: "Grüße\n\u{1F600}" } };
const told = { keys: ["k", "p"], values: ["ä\n", null] };

test("[CACHE-12] what is found ahead comes behind its command, in whatever pieces, and is missed by nobody where it does not", async () => {
  const whole = `${JSON.stringify(command)}\n${JSON.stringify(told)}`;
  const [first, ahead] = await readCommand(bodyOf(bytesOf(whole)), LONG_MS);
  expect(first).toEqual(command);
  expect(await ahead).toEqual(told);
  const [, none] = await readCommand(bodyOf(bytesOf(`${JSON.stringify(command)}\nnull`)), LONG_MS);
  expect(await none).toBeUndefined();
  const [cut, lost] = await readCommand(bodyOf(bytesOf(whole.slice(0, -4)), "breaks off"), LONG_MS);
  expect(cut).toEqual(command);
  expect(await lost).toBeUndefined();
  const plain = new Request("https://session.internal/", { method: "POST", body: JSON.stringify(command) });
  expect(await readCommand(plain, LONG_MS)).toEqual([command, undefined]);
});

test("[CACHE-12] a way to main that hangs in the middle of what is found ahead is not waited for", async () => {
  const [hanging, late] = await readCommand(bodyOf(bytesOf(`${JSON.stringify(command)}\n{`), "hangs"), 1);
  expect(hanging).toEqual(command);
  expect(await late).toBeUndefined();
});

test("[CACHE-12] the cache asks Redis but where it was told of just the keys that it would ask for", async () => {
  const asked: string[][] = [];
  const redis = {
    getMany: (keys: string[]) => {
      asked.push(keys);
      return Promise.resolve(ok(keys.map(() => null)));
    },
    run: () => Promise.resolve(ok(0)),
    ping: () => Promise.resolve(ok(undefined)),
  };
  const ttlSeconds = { llm: 1, intent: 1, mcp: 1 };
  const cache = createCache({ redis, ttlSeconds, now: Date.now, random: Math.random, pending: new Map() });
  const slots = [cache.slot("llm", { shared: true }, { question: "a" })];
  const ahead = await cache.look(slots);
  expect(asked).toHaveLength(1);
  const why = { reads: [{ verdict: "miss", why: "absent" }], since: 0 };
  expect(await cache.read(slots, { ahead: Promise.resolve(ahead) })).toEqual(why);
  expect(asked).toHaveLength(1);
  // A Redis that did not answer main is not waited for once more.
  const away = Promise.resolve({ ...ahead, values: undefined });
  expect(await cache.read(slots, { ahead: away })).toMatchObject({ reads: [{ verdict: "bypass", why: "away" }] });
  expect(asked).toHaveLength(1);
  const others = [cache.slot("llm", { userId: ID }, { question: "a" })];
  for (const one of [undefined, NOTHING, { ...ahead, keys: ahead.keys.toReversed() }]) {
    expect(await cache.read(slots, { ahead: Promise.resolve(one) })).toEqual(why);
  }
  await cache.read(others, { ahead: Promise.resolve(ahead) });
  expect(asked.slice(1).map(([key]) => key)).toEqual([
    ...Array.from({ length: 3 }, () => slots[0]?.key),
    others[0]?.key,
  ]);
});

test("[CACHE-12] main looks where a first turn would: not where the cache is not to be read, and never with an error", async () => {
  const looked: string[][] = [];
  const cache = createCache({
    ...{ redis: undefined, ttlSeconds: { llm: 1, intent: 1, mcp: 1 }, now: Date.now, random: Math.random },
  });
  const look = createLookAhead({
    cache: {
      look(slots) {
        looked.push(slots.map(({ layer }) => layer));
        return Promise.resolve(NOTHING);
      },
    },
    slots: createSlots({ cache, sharesAnswers: true, routesOf: () => undefined, policy: [] }),
    tools: { list: () => Promise.resolve(undefined) },
    resolve: (request) =>
      request.model === "broken"
        ? { ok: false, error: { code: "model_not_found", message: "" } }
        : ok({ request, model: "m", modelType: "openai", temperature: undefined, maxTokens: undefined }),
  });
  const ask = (request: StartTurn["request"]) => {
    const asker = {
      userId: ID,
      requestId: "r",
      sessionId: ID,
      preferences: {},
      credential: {},
      branch: { kind: "end" },
    };
    return look({ ...asker, kind: "start", create: true, route: "chat", request } as unknown as StartTurn); // as main makes it
  };
  expect(await ask({ prompt: "a" })).toBe(NOTHING);
  expect(await ask({ prompt: "a", cache: { mode: "no-cache" } })).toBeUndefined();
  expect(await ask({ prompt: "a", model: "broken" })).toBeUndefined();
  expect(looked).toEqual([["llm", "intent"]]);
});
