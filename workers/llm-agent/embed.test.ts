/** Texts as vectors, against the LLM stand-in: what is asked of a provider, what its reply must be, and what is refused unasked. */
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fromBase64, MAX_TEXT_CHARS, MAX_TEXTS, toBase64 } from "../../contracts/embeddings.ts";
import { serveLlm } from "../../dev/stand-ins/llm.ts";
import type { StandIn } from "../../dev/stand-ins/serve.ts";
import { readEmbeddings } from "./embed.ts";
import { readConfig } from "./env.ts";
import { Fleet } from "./fleet.ts";
import { type CallDeps, embed } from "./generate.ts";

let llm: StandIn;
beforeAll(async () => {
  llm = await serveLlm({ apiKey: "sk" });
});
afterAll(() => llm.close());

function depsFor(settings: Record<string, string> = {}, fleet = new Fleet()): CallDeps {
  return {
    config: readConfig({ OPENAI_API_KEY: "sk", OPENAI_BASE_URL: `${llm.url}/v1`, ...settings }),
    ...{ fetch, now: Date.now, wait: async () => undefined, newCallId: () => "made" },
    ...{ fleet, random: () => 0, trace: [], attempts: [] },
  };
}
const ask = (model: string, texts: string[], deps = depsFor(), dimensions?: number) =>
  embed(
    { request: { model, texts, ...(dimensions && { dimensions }) }, context: { requestId: "r", userId: "u" } },
    deps,
  );
const cosine = (a: Float32Array | undefined, b: Float32Array | undefined) =>
  a?.reduce((sum, value, at) => sum + value * (b?.[at] ?? 0), 0);

test("[EMBED-1] gives a vector for each text, in order, near for near texts, with what it cost", async () => {
  const made = await ask("demo", ["How do I reset my password?", "How can I reset the password", "Where is Paris?"]);
  if (!made.ok) throw new Error(made.error.code);
  const { vectors, model, provider, usage } = made.value;
  expect({ model, provider, usage }).toMatchObject({ model: "demo", provider: "openai", usage: { prompt_tokens: 18 } });
  expect(vectors.map((vector) => vector.length)).toEqual([256, 256, 256]);
  expect(cosine(vectors[0], vectors[1])).toBeGreaterThan(0.9);
  expect(cosine(vectors[0], vectors[2])).toBeLessThan(0.5);
  const short = await ask("demo", ["x"], depsFor(), 64);
  expect(short.ok && short.value.vectors[0]?.length).toBe(64);
});

test("[EMBED-1] what a model cannot do, and what a call cannot carry, is refused before anyone is asked", async () => {
  const MODELS = { models: { talker: { abilities: ["chat"] }, vectors: { abilities: ["embeddings"] } } };
  const deps = depsFor({ MODELS: JSON.stringify(MODELS) });
  const before = llm.stats().calls;
  const refused = async (model: string, texts: string[], dimensions?: number) => {
    const made = await ask(model, texts, deps, dimensions);
    return made.ok ? "ok" : made.error.code;
  };
  expect(await refused("talker", ["x"])).toBe("invalid_request");
  expect(await refused("nobody", ["x"])).toBe("model_not_found");
  expect(await refused("vectors", [])).toBe("invalid_request");
  expect(await refused("vectors", ["x", ""])).toBe("invalid_request");
  expect(
    await refused(
      "vectors",
      Array.from({ length: MAX_TEXTS + 1 }, () => "x"),
    ),
  ).toBe("invalid_request");
  expect(await refused("vectors", ["x".repeat(MAX_TEXT_CHARS), "x"])).toBe("invalid_request");
  expect(await refused("vectors", ["x"], 4_097)).toBe("invalid_request");
  expect(await refused("vectors", ["x"], 1.5)).toBe("invalid_request");
  expect(llm.stats().calls).toBe(before);
  expect(await refused("vectors", ["x"])).toBe("ok");
});

test.each([
  ["demo:status.500", "upstream_error", 2],
  ["demo:429", "rate_limited", 1],
  ["demo:login", "upstream_auth", 1],
  ["demo:html200", "upstream_auth", 1],
  ["demo:unknown", "model_not_found", 1],
  ["demo:context", "context_length_exceeded", 1],
  ["demo:context.flat", "context_length_exceeded", 1],
  ["demo:invalid", "invalid_request", 1],
  ["demo:cut.1", "upstream_truncated", 2],
] as const)("[EMBED-2] %s is %s after %i calls, as for completions", async (model, code, calls) => {
  const before = llm.stats().calls;
  expect(await ask(model, ["x"])).toMatchObject({ ok: false, error: { code } });
  expect(llm.stats().calls - before).toBe(calls);
});

test("[EMBED-2] a silent provider is left after its time; one that fails over and over is passed by for another", async () => {
  expect(await ask("demo:stall.headers", ["x"], depsFor({ LLM_HEADERS_TIMEOUT_MS: "30" }))).toMatchObject({
    error: { code: "upstream_timeout" },
  });
  const provider = { kind: "compatible", nodes: [`${llm.url}/v1`] };
  const MODELS = {
    providers: { bad: provider, good: provider },
    models: {
      both: {
        routes: [
          { provider: "bad", model: "demo:status.500" },
          { provider: "good", model: "demo" },
        ],
      },
    },
  };
  const deps = depsFor({ MODELS: JSON.stringify(MODELS), PROVIDER_KEYS: '{"bad":"sk","good":"sk"}' });
  for (let at = 0; at < 6; at += 1) expect(await ask("both", ["x"], deps)).toMatchObject({ ok: true });
  expect(deps.trace.slice(-1)).toEqual(["good/1"]);
  expect(deps.trace.filter((node) => node === "bad/1").length).toBeLessThan(6);
});

test("[EMBED-2] a reply that has not one vector a text, all of one length and of numbers, is none", () => {
  const read = (data: unknown[], count = 2) => {
    const made = readEmbeddings(JSON.stringify({ data }), { model: "m", texts: Array(count).fill("text") }, "p");
    return made.ok ? made.value.vectors.map((vector) => Array.from(vector)) : made.error.code;
  };
  expect(read([{ embedding: [1, 2] }, { embedding: toBase64(new Float32Array([3, 4])) }])).toEqual([
    [1, 2],
    [3, 4],
  ]);
  expect(
    read([
      { index: 1, embedding: [1] },
      { index: 0, embedding: [2] },
    ]),
  ).toEqual([[2], [1]]);
  for (const data of [
    [{ embedding: [1] }],
    [{ embedding: [1] }, { embedding: [1, 2] }],
    [{ embedding: [1] }, { embedding: [] }],
    [{ embedding: [1] }, { embedding: "abc" }],
    [{ embedding: [1] }, { embedding: [1e300] }],
    [
      { index: 0, embedding: [1] },
      { index: 0, embedding: [1] },
    ],
    [{ embedding: [1] }, {}],
  ]) {
    expect(read(data)).toBe("upstream_error");
  }
  expect(readEmbeddings("<html>", { model: "m", texts: ["x"] }, "p")).toMatchObject({ ok: false });
});

test("[EMBED-1] base64 brings back the same numbers", () => {
  fc.assert(
    fc.property(fc.float32Array({ maxLength: 5_000 }), (vector) => {
      expect(fromBase64(toBase64(vector))).toEqual(vector);
    }),
    { numRuns: 30 },
  );
  expect(fromBase64("***")).toBeUndefined();
});
