/**
 * Answers that break off in the middle, with another provider that serves the model as well: they are begun again there, or end as
 * interrupted. Two stand-ins, tried in order; each one's faults are set on its control port.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { ChatReply, TurnView } from "../contracts/chat.ts";
import { isTerminal, type NumberedEvent } from "../contracts/events.ts";
import { seededRandom } from "../dev/house/random.ts";
import { serveLlm } from "../dev/stand-ins/llm.ts";
import type { StandIn } from "../dev/stand-ins/serve.ts";
import { answerOf, type House, openHouse, readEvents, type Tenant, untilRows } from "./house.ts";

/** Of a run that failed: CUTS_SEED=… repeats its chance. */
const seed = Number(process.env["CUTS_SEED"] ?? Date.now() % 1_000_000);
const SILENT = { firstTokenMs: 0, tokensPerSecond: Number.POSITIVE_INFINITY };

let house: House;
let first: StandIn;
let second: StandIn;
let as: Tenant;
let persistTo: string;
beforeAll(async () => {
  [first, second] = await Promise.all([serveLlm({ pace: SILENT }), serveLlm({ pace: SILENT })]);
  persistTo = await mkdtemp(join(tmpdir(), "basechat-rewind-"));
  // One server under many names: each has a breaker of its own, so that no test finds what another one left.
  const names = Array.from({ length: 14 }, (_, at) => `first-${at}`);
  const MODELS = JSON.stringify({
    providers: {
      ...Object.fromEntries(names.map((name) => [name, { kind: "compatible", nodes: [`${first.url}/v1`] }])),
      second: { kind: "compatible", nodes: [`${second.url}/v1`] },
    },
    models: Object.fromEntries(
      names.map((name) => [name, { routes: [name, "second"].map((provider) => ({ provider, model: "demo" })) }]),
    ),
  });
  const PROVIDER_KEYS = JSON.stringify(Object.fromEntries([...names, "second"].map((name) => [name, "k"])));
  const settings = { MODELS, PROVIDER_KEYS, LLM_STALL_TIMEOUT_MS: "600" };
  house = await openHouse({ settings, persistTo });
  as = await house.newTenant();
});
afterAll(async () => {
  await house.close();
  await Promise.all([first.close(), second.close(), rm(persistTo, { recursive: true })]);
});
afterEach(async () => {
  for (const server of [first, second]) {
    server.control({ mode: "up" });
    await server.until((stats) => stats.in_flight === 0);
  }
});

let tests = 0;
const freshModel = (): string => `first-${(tests += 1)}`;

let asked = 0;
/** No two prompts are the same: none is answered from the cache. Letters only: digits would be arithmetic. */
const unique = (text: string): string => `${text} ${"again ".repeat((asked += 1))}`.trim();

interface Told {
  events: NumberedEvent[];
  answer: string;
  last: NumberedEvent | undefined;
  rewinds: number;
  turnId: string;
  sessionId: string;
}

async function tell(body: object): Promise<Told> {
  const response = await house.call("/chat/stream", { as, body });
  const events = await readEvents(response, () => false);
  expect(events.filter(isTerminal)).toHaveLength(1);
  expect(events.map(({ id }) => id)).toEqual(events.map((_, at) => at + 1));
  const rewinds = events.filter(({ event }) => event === "rewind").length;
  const ids = {
    turnId: String(response.headers.get("x-turn-id")),
    sessionId: String(response.headers.get("x-session-id")),
  };
  return { events, answer: answerOf(events), last: events.at(-1), rewinds, ...ids };
}

async function answerIn(sessionId: string): Promise<{ status: unknown; content: unknown; provider: unknown }> {
  const query = "select status, content, provider from messages where session_id = $1 order by seq";
  const { status, content, provider } = (await untilRows(house, 2, query, sessionId))[1] ?? {};
  return { status, content, provider };
}

test.each([
  ["[F1]", "cut.3"],
  ["[F1]", "drop.3"],
  ["[F3]", "rst.3"],
  ["[F4]", "stall.3"],
  ["[F5]", "err.3"],
  ["[F5]", "err.3.done"],
  ["[F11]", "finish.abort"],
])("%s [FLEET-7] an answer that breaks off by %s is rewound and told whole by the next route", async (_, mode) => {
  first.control({ mode });
  const body = { prompt: unique("Tell me a story"), model: freshModel() };
  const { answer, last, rewinds, sessionId } = await tell(body);
  expect(last).toMatchObject({ event: "done" });
  expect(rewinds).toBe(1);
  expect(answer).toMatch(/^\[demo model\].*real model\.$/s);
  expect(await answerIn(sessionId)).toEqual({ status: "complete", content: answer, provider: "second" });
});

test("[FLEET-7] the same as JSON; the usage counts both replies, and says that it is estimated", async () => {
  first.control({ mode: "cut.3" });
  const response = await house.call("/chat", { as, body: { prompt: unique("Tell me a story"), model: freshModel() } });
  const reply = ChatReply.parse(await response.json());
  expect(reply).toMatchObject({ provider: "second", finish_reason: "stop", usage: { estimated: true } });
  expect(reply.response).toMatch(/^\[demo model\].*real model\.$/s);
});

test("[FLEET-7] after a tool only the answer is begun again: the tool is not called twice", async () => {
  first.control({ mode: "cut.4" }); // breaks the reply that calls the tool as well, before a word of it is shown
  const { answer, events, rewinds } = await tell({ prompt: "what is 21*2?", model: freshModel() });
  const results = events.filter(({ event }) => event === "tool_result");
  expect(results).toHaveLength(1);
  expect(answer).toBe("[demo model] The tool answered: 42");
  expect(rewinds).toBe(1);
  expect(events.find((event) => event.event === "rewind")?.data.after).toBe(results[0]?.id);
});

test("[FLEET-7] an answer that breaks off everywhere ends as interrupted with what is still shown", async () => {
  first.control({ mode: "cut.5" });
  second.control({ mode: "rst.2" });
  const body = { prompt: unique("Tell me a story"), model: freshModel() };
  const { answer, last, rewinds, sessionId } = await tell(body);
  expect(last).toMatchObject({ event: "error", data: { code: "upstream_truncated", retryable: true } });
  expect(rewinds).toBe(1);
  expect(answer).not.toBe("");
  expect(await answerIn(sessionId)).toEqual({ status: "interrupted", content: answer, provider: "second" });
});

test("[FLEET-7] who comes late, or back after the rewind, is told the same", async () => {
  first.control({ mode: "cut.4" });
  const { answer, events, turnId } = await tell({ prompt: unique("Tell me a story"), model: freshModel() });
  const at = events.findIndex(({ event }) => event === "rewind");
  for (const after of [0, at - 1, at, at + 2]) {
    const rest = await readEvents(await house.call(`/chat/turns/${turnId}/stream?after=${after}`, { as }));
    expect(answerOf([...events.slice(0, after), ...rest])).toBe(answer);
  }
});

test("[F16] [FLEET-7] a turn that is cut after a rewind keeps of its answer what still counts", async () => {
  first.control({ mode: "cut.4" });
  second.control({ mode: "stall.3" });
  const response = await house.call("/chat/stream", {
    as,
    body: { prompt: unique("Tell me a story"), model: freshModel() },
  });
  const seen: NumberedEvent[] = [];
  const rewound = Promise.withResolvers<void>();
  const cut = readEvents(response, (event) => {
    seen.push(event);
    if (event.event === "delta" && seen.some((one) => one.event === "rewind")) rewound.resolve();
    return false;
  });
  await rewound.promise;
  await Promise.all([house.kill(), expect(cut).rejects.toThrow("terminated")]);
  await house.restart();
  const turnId = String(response.headers.get("x-turn-id"));
  const resumed = await house.call(`/chat/turns/${turnId}/stream`, {
    as,
    headers: { "last-event-id": String(seen.at(-1)?.id) },
  });
  const whole = [...seen, ...(await readEvents(resumed))];
  const view = TurnView.parse(await (await house.call(`/chat/turns/${turnId}`, { as })).json());
  expect(view).toMatchObject({ state: "interrupted", response: answerOf(whole) });
  expect(whole.filter(({ event }) => event === "rewind")).toHaveLength(2);
});

/** Ways in which a stream can break after so many chunks. */
const BREAKS = ["cut", "drop", "rst", "err", "stall"];

test(
  "[F1] [F3] [F5] [FLEET-7] of 100 answers with random cuts each is complete or says that it is not",
  { timeout: 120_000 },
  async () => {
    const random = seededRandom(seed);
    const below = (limit: number) => Math.floor(random() * limit);
    const cut = () => {
      const kind = BREAKS[below(random() < 0.1 ? 5 : 4)] ?? "cut"; // a stall takes its time
      const split = random() < 0.3 ? `:bytes.${1 + below(40)}` : "";
      return `tokens.30:${kind}.${below(31)}${split}`;
    };
    const whole = Array.from({ length: 30 }, (_, at) => (at === 0 ? "[demo model]" : ` t${at}`)).join("");
    const counts = { complete: 0, interrupted: 0, restarted: 0 };
    for (let turn = 0; turn < 100; turn += 1) {
      first.control({ mode: cut() });
      second.control({ mode: random() < 0.3 ? cut() : "tokens.30" });
      const { answer, last, rewinds, turnId } = await tell({ prompt: unique("Go on"), model: "first-0" });
      const told = `seed ${seed}, turn ${turn}`;
      const view = TurnView.parse(await (await house.call(`/chat/turns/${turnId}`, { as })).json());
      expect(last?.event === "done" ? answer : whole, told).toBe(whole);
      expect(view.response ?? "", told).toBe(answer);
      expect(view.state === "complete", told).toBe(last?.event === "done");
      counts[last?.event === "done" ? "complete" : "interrupted"] += 1;
      counts.restarted += rewinds > 0 ? 1 : 0;
    }
    console.log(`seed ${seed}: ${JSON.stringify(counts)}`);
    expect(counts.complete + counts.interrupted).toBe(100);
    expect(counts.restarted).toBeGreaterThan(10); // an open breaker passes the first one by
  },
);
