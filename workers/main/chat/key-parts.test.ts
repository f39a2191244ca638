/** Cache keys by their promise: equal meanings share a key, different ones never do. */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { ModelMessage } from "../../../contracts/llm.ts";
import { cacheKey, type Scope } from "../cache/key.ts";
import { type KeyedRequest, keyParts } from "./key-parts.ts";

const SHARED: Scope = { shared: true };
const keyOf = (request: KeyedRequest, scope: Scope = SHARED, layer: "llm" | "intent" = "llm"): string =>
  cacheKey(layer, scope, keyParts(request));

const TOOL = {
  ...{ name: "calculator", description: "adds", inputSchema: {}, readOnly: true, idempotent: true, private: false },
  cost: "free" as const,
};
const visible = fc.string({ unit: "grapheme", minLength: 1 }).filter((text) => text.trim() !== "");
const call = fc.record({
  name: fc.constantFrom("calculator", "echo"),
  arguments: fc.dictionary(visible, fc.jsonValue()),
});
const turn: fc.Arbitrary<ModelMessage[]> = fc.oneof(
  visible.map((content): ModelMessage[] => [{ role: "user", content }]),
  fc.string().map((content): ModelMessage[] => [{ role: "assistant", content }]),
  fc.tuple(fc.string(), call, fc.string()).map(([content, made, result]): ModelMessage[] => [
    { role: "assistant", content, toolCalls: [{ id: "a", ...made }] },
    { role: "tool", toolCallId: "a", content: result },
  ]),
);
const request: fc.Arbitrary<KeyedRequest> = fc.record({
  model: fc.constantFrom("demo", "gpt-4o", "org/model:v1"),
  modelType: fc.constantFrom("openai" as const, "vllm" as const),
  onlyType: fc.constantFrom(undefined, "openai" as const, "vllm" as const),
  temperature: fc.constantFrom(undefined, 0, 0.7, 1),
  maxTokens: fc.constantFrom(undefined, 1, 64, 640),
  responseFormat: fc.constantFrom(undefined, { type: "text" as const }, { type: "json_object" as const }),
  tools: fc.constantFrom(
    undefined,
    { version: "1", tools: [] },
    { version: "1", tools: [TOOL] },
    { version: "2", tools: [TOOL] },
  ),
  askFirst: fc.constantFrom([], ["calculator"]),
  context: fc.array(turn, { minLength: 1, maxLength: 5 }).map((turns) => turns.flat()),
});

/** The same request, written differently. */
function rewrite(original: KeyedRequest, space: string): KeyedRequest {
  const context = original.context.map((message): ModelMessage => {
    if (message.role === "user") return { ...message, content: space + message.content.normalize("NFD") + space };
    if (message.role === "tool") return { ...message, toolCallId: `other-${message.toolCallId}` };
    if (message.role !== "assistant" || message.toolCalls === undefined) return { ...message };
    const toolCalls = message.toolCalls.map(({ id, name, arguments: args }) => ({
      arguments: Object.fromEntries(Object.entries(args).toReversed()),
      ...{ name, id: `other-${id}` },
    }));
    return { toolCalls, content: message.content, role: "assistant" };
  });
  return Object.fromEntries(Object.entries({ ...original, context }).toReversed()) as unknown as KeyedRequest; // as it was
}

/** What it means, in words of its own: nothing of the code under test. */
function meaningOf({ context, tools, ...rest }: KeyedRequest): unknown {
  const said = context.map((message) => [
    message.role,
    message.role === "user" ? message.content.normalize("NFC").trim() : message.content,
    message.role === "assistant" ? (message.toolCalls ?? []).map((made) => [made.name, made.arguments]) : [],
  ]);
  return { ...rest, tools: tools && [tools.version, tools.tools.map((tool) => tool.name)], said };
}

test("[CACHE-6] the same request written differently has the same key", () => {
  fc.assert(
    fc.property(request, fc.constantFrom("", " ", "\n", "\t ", "\u00a0"), (original, space) => {
      expect(keyOf(rewrite(original, space))).toBe(keyOf(original));
    }),
    { numRuns: 500 },
  );
});

test("[CACHE-6] two requests share a key exactly when they mean the same", () => {
  fc.assert(
    fc.property(request, request, fc.boolean(), (one, other, near) => {
      // Half of the pairs differ in one field only, or not at all.
      const two = near
        ? { ...one, onlyType: other.onlyType, context: other.context.length > 2 ? other.context : one.context }
        : other;
      const [left, right] = [meaningOf(one), meaningOf(two)];
      let same = true;
      try {
        expect(left).toEqual(right);
      } catch {
        same = false;
      }
      expect(keyOf(one) === keyOf(two)).toBe(same);
    }),
    { numRuns: 1_000 },
  );
});

const plain: KeyedRequest = {
  ...{ model: "demo", modelType: "openai", temperature: undefined, maxTokens: undefined, responseFormat: undefined },
  ...{ tools: undefined, askFirst: [], context: [{ role: "user", content: "Is 10 more than 1?" }] },
};
const saying = (content: string): KeyedRequest => ({ ...plain, context: [{ role: "user", content }] });

test.each([
  ["a number", saying("Is 100 more than 1?")],
  ["a negation", saying("Is 10 not more than 1?")],
  ["white space inside", saying("Is 1 0 more than 1?")],
  ["letter case", saying("IS 10 MORE THAN 1?")],
  ["a compatible letter", saying("Is １0 more than 1?")],
  ["a look-alike", saying("Is 1О more than 1?")],
  ["a zero-width letter", saying("Is 1\u200b0 more than 1?")],
  ["punctuation", saying("Is 10 more than 1")],
  [
    "a history",
    { ...plain, context: [{ role: "user", content: "Hello" }, { role: "assistant", content: "Hi" }, ...plain.context] },
  ],
  [
    "text moved between messages",
    {
      ...plain,
      context: [
        { role: "user", content: "Is 10 more" },
        { role: "user", content: "than 1?" },
      ],
    },
  ],
  ["another model", { ...plain, model: "demo2" }],
  ["another provider", { ...plain, modelType: "vllm" }],
  ["a provider that is insisted on", { ...plain, onlyType: "openai" }],
  ["another provider that is insisted on", { ...plain, onlyType: "vllm" }],
  ["temperature 0 for none", { ...plain, temperature: 0 }],
  ["a limit", { ...plain, maxTokens: 10 }],
  ["a form", { ...plain, responseFormat: { type: "json_object" } }],
  ["tools", { ...plain, tools: { version: "1", tools: [TOOL] } }],
  ["no tools of a list", { ...plain, tools: { version: "1", tools: [] } }],
  ["a tool that asks first", { ...plain, askFirst: ["calculator"] }],
] satisfies [string, KeyedRequest][])("[CACHE-6] another key for %s", (_what, other) => {
  expect(keyOf(other)).not.toBe(keyOf(plain));
});

test("[CACHE-6] another key where the registry has another provider or another name for the model", () => {
  const routes = [
    undefined,
    [{ provider: "one" }],
    [{ provider: "two" }],
    [{ provider: "one", model: "other" }],
    [{ provider: "one" }, { provider: "two" }],
    [{ provider: "two" }, { provider: "one" }],
  ];
  expect(new Set(routes.map((route) => cacheKey("llm", SHARED, keyParts(plain, route)))).size).toBe(routes.length);
});

test("[CACHE-6] layers and users have keys of their own, whatever they are called", () => {
  const keys = [
    keyOf(plain),
    keyOf(plain, SHARED, "intent"),
    keyOf(plain, { userId: "a" }),
    keyOf(plain, { userId: "b" }),
    keyOf(plain, { userId: "shared" }),
  ];
  expect(new Set(keys).size).toBe(keys.length);
});
