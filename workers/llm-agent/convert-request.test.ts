import { expect, test } from "vitest";
import type { ModelRequest } from "../../contracts/llm.ts";
import type { Quirks } from "../../contracts/models.ts";
import type { ModelAttachment } from "../../contracts/parts.ts";
import { toChatCompletion } from "./convert-request.ts";

const QUIRKS: Quirks = {
  max_tokens_field: "max_tokens",
  stream_usage: true,
  continuous_usage: false,
  cache_hint: "none",
  file_parts: true,
};
const context = { sessionId: "session", cacheSalt: "salt" };

function convert(of: ModelRequest, quirks: Partial<Quirks>): Record<string, unknown> {
  return toChatCompletion({ request: of, context, endpoint: { quirks: { ...QUIRKS, ...quirks } }, model: "m" });
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
  expect(convert(request, { max_tokens_field: "max_completion_tokens" })).toEqual({
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
  const body = convert({ model: "m", messages: [], tools: [] }, { stream_usage: false });
  expect(body).toEqual({ model: "m", messages: [], stream: true });
});

test("the order in which tools are listed changes no byte", () => {
  const swapped = { ...request, tools: request.tools?.toReversed() } as ModelRequest;
  const bytes = (of: ModelRequest) => JSON.stringify(convert(of, {}));
  expect(bytes(swapped)).toBe(bytes(request));
});

test("[LLM-1] quirks are data: a provider's own words for the cache and for usage, its own name for the model", () => {
  const asked = { model: "ours", messages: [] };
  expect(convert(asked, { cache_hint: "prompt_cache_key" })).toMatchObject({ prompt_cache_key: "session" });
  expect(convert(asked, { cache_hint: "cache_salt" })).toMatchObject({ cache_salt: "salt" });
  const plain = convert(asked, { stream_usage: false });
  expect(plain).toEqual({ model: "m", messages: [], stream: true });
  expect(convert(asked, {})).toMatchObject({ stream_options: { include_usage: true } });
  const stream_options = { include_usage: true, continuous_usage_stats: true };
  expect(convert(asked, { continuous_usage: true })).toMatchObject({ stream_options });
});

test("[MEDIA-1] attachments stand where they stood, whoever joined the messages; a name is made where there is none", () => {
  const file = { type: "file", mime_type: "application/pdf", sha256: "0", bytes: 1, data: "AA==" } as const;
  const picture = { type: "image", mime_type: "image/png", sha256: "1", bytes: 1, data: "AQ==" } as const;
  const partsOf = (content: string, attachments: ModelAttachment[]) => {
    const body = convert({ model: "m", messages: [{ role: "user", content, attachments }] }, {});
    return (body["messages"] as { content: unknown }[])[0]?.content;
  };
  const image = { type: "image_url", image_url: { url: "data:image/png;base64,AQ==" } };
  const pdf = { type: "file", file: { filename: "file.pdf", file_data: "data:application/pdf;base64,AA==" } };
  const text = (said: string) => ({ type: "text", text: said });
  expect(partsOf("", [{ ...picture, at: 0 }])).toEqual([image]);
  expect(
    partsOf("a\nb", [
      { ...picture, at: 0 },
      { ...file, at: 1 },
    ]),
  ).toEqual([image, text("a"), pdf, text("b")]);
  expect(
    partsOf("a", [
      { ...picture, at: 1 },
      { ...picture, at: 1 },
    ]),
  ).toEqual([text("a"), image, image]);
  const notes = { type: "file", mime_type: "text/markdown", sha256: "2", bytes: 3, data: "w6kh" } as const;
  expect(
    partsOf("a", [
      { ...notes, at: 1, filename: "notes.md" },
      { ...notes, at: 1 },
    ]),
  ).toEqual([text("a"), text("notes.md:\né!"), text("file.md:\né!")]);
  const far = { type: "image", at: 0, url: "https://images.example.com/a.png", detail: "high" } as const;
  expect(partsOf("a", [far])).toEqual([{ type: "image_url", image_url: { url: far.url, detail: "high" } }, text("a")]);
});
