/** The story of a turn against fakes of its contracts: what cannot be provoked from outside. */
import { expect, test } from "vitest";
import { type LlmAgent } from "../../../contracts/llm.ts";
import type { ToolServer } from "../../../contracts/tools.ts";
import { createCache } from "../cache/cache.ts";
import { createTurnRunner, type TurnRequest, type TurnResult } from "./turn.ts";

const never = () => Promise.reject(new Error("not asked for"));
const LLM: LlmAgent = { stream: never, generate: never, embed: never, models: never, health: never };
const TOOLS: ToolServer = { list: () => Promise.resolve(undefined), call: never };

const REQUEST: Omit<TurnRequest, "askFirst"> = {
  turnId: "01a208da-e978-7048-8025-8d0d150d1078",
  sessionId: "01a208da-e947-7048-8025-8d0d150d1078",
  messageId: "01a208da-e979-7048-8025-8d0d150d1078",
  userId: "01a208da-e900-7048-8025-8d0d150d1078",
  requestId: "r",
  route: "chat",
  model: "demo",
  modelType: "openai",
  temperature: undefined,
  maxTokens: undefined,
  responseFormat: undefined,
  context: [{ role: "user", content: "Hello" }],
  tools: undefined,
  firstTurn: true,
  cache: {
    read: true,
    write: true,
    onlyIfCached: false,
    userScope: false,
    ttlSeconds: undefined,
    maxAgeSeconds: undefined,
  },
};

async function run(llm: LlmAgent): Promise<{ result: TurnResult; events: string[] }> {
  const events: string[] = [];
  const cache = createCache({
    redis: undefined,
    ttlSeconds: { llm: 1, intent: 1, mcp: 1 },
    now: () => 0,
    random: () => 0,
  });
  const runner = createTurnRunner({
    ...{
      llm,
      tools: TOOLS,
      cache,
      policy: [],
      sharesAnswers: true,
      placeTimeoutMs: 1_000,
      joinTimeoutMs: 1_000,
      stallTimeoutMs: 1_000,
      streamTimeoutMs: 9_000,
      log: () => {},
    },
    cacheSalt: () => undefined,
    showAttachments: async (messages) => messages,
    saver: () => {
      throw new Error("nothing asks first");
    },
    now: () => 0,
    newCallId: () => "call",
  });
  const append = (event: { event: string }) => void events.push(event.event);
  const emit = { last: 0, append, text: () => {}, save: () => {} };
  const result = await runner.begin(REQUEST).run(emit, { ask: never }, new AbortController().signal);
  return { result, events };
}

test("[F35] a model service that throws ends the turn as upstream_error, and nothing is cached", async () => {
  const { result } = await run({ ...LLM, stream: () => Promise.reject(new Error("secret of the binding")) });
  expect(result).toMatchObject({ outcome: { ok: false, failure: { code: "upstream_error" } }, keep: { entries: [] } });
  expect(JSON.stringify(result)).not.toContain("secret");
});

test("[F35] a stream of the service that breaks ends the turn as upstream_truncated", async () => {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(new TextEncoder().encode('data: {"choices":[{"index":0,"delta":{"content":"Hel"}}]}\n\n'));
    },
    pull: (controller) => controller.error(new Error("gone")),
  });
  const value = { model: "demo", provider: "openai", route: "openai/1", dialect: "openai-chat" as const, body };
  const nobody = { code: "overloaded", message: "no other route" } as const;
  const stream: LlmAgent["stream"] = ({ avoid }) =>
    Promise.resolve(avoid ? { ok: false, error: nobody } : { ok: true, value });
  const { result } = await run({ ...LLM, stream });
  expect(result.outcome).toMatchObject({ ok: false, failure: { code: "upstream_truncated" } });
});

test("[F33] without a tool server the chat goes on without tools", async () => {
  let offered: unknown = "not asked";
  await run({
    ...LLM,
    stream: (request) => {
      offered = request.tools;
      return Promise.resolve({ ok: false, error: { code: "upstream_error", message: "enough" } });
    },
  });
  expect(offered).toBeUndefined();
});
