/** The story of a turn against fakes of its contracts: what cannot be provoked from outside. */
import { expect, test } from "vitest";
import { type LlmAgent } from "../../../contracts/llm.ts";
import { ok } from "../../../contracts/errors.ts";
import type { Attributes, InSpan } from "../../../contracts/spans.ts";
import type { ToolList, ToolServer } from "../../../contracts/tools.ts";
import { createCache } from "../cache/cache.ts";
import { createTurnRunner, type TurnDeps, type TurnResult } from "./turn.ts";
import type { TurnRequest } from "./turn-request.ts";

const never = () => Promise.reject(new Error("not asked for"));
const LLM: LlmAgent = {
  ...{ stream: never, generate: never, embed: never, models: never, health: never, brokeOff: never },
};
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

const PROBE: ToolList = {
  version: "1",
  tools: [
    {
      ...{ name: "probe", description: "", inputSchema: { type: "object" }, cost: "free" },
      ...{ readOnly: true, idempotent: false, private: false },
    },
  ],
};

async function run(
  llm: LlmAgent,
  more: Partial<TurnDeps> = {},
  tools?: ToolList,
): Promise<{ result: TurnResult; events: string[] }> {
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
      routesOf: () => undefined,
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
    ...more,
  });
  const append = (event: { event: string }) => void events.push(event.event);
  const emit = { last: 0, spent: () => undefined, append, text: () => {}, save: () => {} };
  const result = await runner.begin({ ...REQUEST, tools }).run(emit, { ask: never }, new AbortController().signal);
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

test("[SPAN-1] a turn, its model calls and its tool calls are spans with names of the conventions, and no words", async () => {
  const spans: { name: string; attributes: Attributes }[] = [];
  const inSpan: InSpan = async ({ name, attributes = {} }, work) => {
    const span = { name, attributes: { ...attributes } };
    spans.push(span);
    return work((more) => void Object.assign(span.attributes, more));
  };
  let asked = 0;
  const stream: LlmAgent["stream"] = () => {
    asked += 1;
    const call = { index: 0, id: "c", function: { name: "probe", arguments: '{"secret":1}' } };
    const delta = asked === 1 ? { tool_calls: [call] } : { content: "secret answer" };
    const chunk = { choices: [{ index: 0, delta, finish_reason: asked === 1 ? "tool_calls" : "stop" }] };
    const body = new Blob([`data: ${JSON.stringify(chunk)}\n\ndata: [DONE]\n\n`]).stream();
    return Promise.resolve(ok({ model: "demo", provider: "openai", route: "openai/1", dialect: "openai-chat", body }));
  };
  const call: ToolServer["call"] = () => Promise.resolve({ ok: false, content: "secret result" });
  const { result } = await run({ ...LLM, stream }, { inSpan, tools: { ...TOOLS, call } }, PROBE);
  expect(result.outcome.ok).toBe(true);
  expect(spans.map(({ name }) => name)).toEqual([
    "invoke_agent basechat",
    "chat demo",
    "tools",
    "execute_tool probe",
    "chat demo",
  ]);
  expect(spans[0]?.attributes).toMatchObject({
    ...{ "gen_ai.operation.name": "invoke_agent", "gen_ai.provider.name": "openai", "gen_ai.response.model": "demo" },
    ...{ "gen_ai.usage.input_tokens": expect.any(Number), "gen_ai.usage.output_tokens": expect.any(Number) },
  });
  expect(spans[3]?.attributes).toMatchObject({ "gen_ai.tool.name": "probe", "error.type": "tool_error" });
  expect(JSON.stringify(spans)).not.toContain("secret");
});
