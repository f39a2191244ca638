import { expect, test } from "vitest";
import type { ModelRequest } from "../../contracts/llm.ts";
import type { Quirks } from "../../contracts/models.ts";
import { toChatCompletion } from "./convert-request.ts";

const QUIRKS: Quirks = { max_tokens_field: "max_tokens", stream_usage: true, cache_hint: "none" };
const context = { sessionId: "session", cacheSalt: "salt" };

function convert(of: ModelRequest, quirks: Partial<Quirks>, stream: boolean): Record<string, unknown> {
  return toChatCompletion({ request: of, context, endpoint: { quirks: { ...QUIRKS, ...quirks } }, model: "m" }, stream);
}

const request: ModelRequest = {
  model: "m",
  messages: [
    { role: "system", content: "s" },
    { role: "user", content: "u" },
    { role: "assistant", content: "", toolCalls: [{ id: "c1", name: "f", arguments: { b: 1, a: "é" } }] },
    { role: "tool", toolCallId: "c1", content: "2" },
    { role: "assistant", content: "" },
  ],
  tools: [
    { name: "zeta", description: "z", inputSchema: { type: "object", properties: { b: {}, a: {} } } },
    { name: "alpha", description: "a", inputSchema: {} },
  ],
  temperature: 0,
  maxTokens: 9,
  responseFormat: { type: "json_object" },
};

test("a request becomes OpenAI's wire: snake case, tools by name, arguments as the model wrote them", () => {
  expect(convert(request, { max_tokens_field: "max_completion_tokens" }, true)).toEqual({
    model: "m",
    tools: [
      { type: "function", function: { name: "alpha", description: "a", parameters: {} } },
      {
        type: "function",
        function: { name: "zeta", description: "z", parameters: { properties: { a: {}, b: {} }, type: "object" } },
      },
    ],
    messages: [
      { role: "system", content: "s" },
      { role: "user", content: "u" },
      {
        role: "assistant",
        content: null,
        tool_calls: [{ id: "c1", type: "function", function: { name: "f", arguments: '{"b":1,"a":"é"}' } }],
      },
      { role: "tool", tool_call_id: "c1", content: "2" },
      { role: "assistant", content: "" },
    ],
    temperature: 0,
    max_completion_tokens: 9,
    response_format: { type: "json_object" },
    stream: true,
    stream_options: { include_usage: true },
  });
});

test("what is left out stays out", () => {
  const body = convert({ model: "m", messages: [], tools: [] }, {}, false);
  expect(body).toEqual({ model: "m", messages: [], stream: false });
});

test("the order in which tools and their schemas are listed changes no byte", () => {
  const [first, second] = request.tools ?? [];
  const other = { ...first, inputSchema: { properties: { a: {}, b: {} }, type: "object" } };
  const swapped = { ...request, tools: [second, other] } as ModelRequest; // both exist above
  const bytes = (of: ModelRequest) => JSON.stringify(convert(of, {}, true));
  expect(bytes(swapped)).toBe(bytes(request));
});

test("[LLM-1] quirks are data: a provider's own words for the cache and for usage, its own name for the model", () => {
  const asked = { model: "ours", messages: [] };
  expect(convert(asked, { cache_hint: "prompt_cache_key" }, true)).toMatchObject({ prompt_cache_key: "session" });
  expect(convert(asked, { cache_hint: "cache_salt" }, true)).toMatchObject({ cache_salt: "salt" });
  const plain = convert(asked, { stream_usage: false }, true);
  expect(plain).toEqual({ model: "m", messages: [], stream: true });
});
