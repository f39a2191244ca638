import { expect, test } from "vitest";
import { findModel, lackedBy, Models, OPEN_MODELS, pricesOf, requireAbilities } from "./models.ts";
import { costUsd } from "./prices.ts";

const read = (registry: object) => Models.safeParse(registry).success;
const REGISTRY = Models.parse({
  models: {
    "gpt-4o-mini": { price: { input: 1, output: 2 } },
    "gpt-*": { abilities: ["chat"] },
    "gpt-4o*": { abilities: ["chat", "images"], price: { input: 10, output: 20 } },
  },
});

test("[LLM-1] an exact name counts before a pattern, a longer pattern before a shorter one, and a pattern is no name", () => {
  const entryOf = (name: string) => findModel(REGISTRY, name);
  expect(entryOf("gpt-4o-mini")).toMatchObject({ value: { price: { input: 1 } } });
  expect(entryOf("gpt-4o-2026")).toMatchObject({ value: { abilities: ["chat", "images"] } });
  expect(entryOf("gpt-3.5")).toMatchObject({ value: { abilities: ["chat"] } });
  for (const name of ["other", "", "constructor", "__proto__"]) expect(entryOf(name).ok).toBe(false);
  expect(findModel(OPEN_MODELS, "anything").ok).toBe(true);
});

test.each([
  [{ models: {} }],
  [{ models: { "a b": {} } }],
  [{ models: { m: { routes: [{ provider: "nobody" }] } } }],
  [{ models: { m: { routes: [] } } }],
  [{ models: { m: { abilities: ["flying"] } } }],
  [{ models: { m: {} }, more: 1 }],
  [{ providers: { p: { kind: "vllm", nodes: [] } }, models: { m: {} } }],
  [{ providers: { p: { kind: "vllm", nodes: ["file:///etc"] } }, models: { m: {} } }],
  [{ providers: { p: { kind: "vllm", nodes: ["https://user:key@host/v1"] } }, models: { m: {} } }],
  [{ providers: { p: { kind: "other", nodes: ["https://host/v1"] } }, models: { m: {} } }],
  [{ providers: { p: { kind: "vllm", nodes: ["https://host/v1"], key: "k" } }, models: { m: {} } }],
])("[LLM-1] a registry is refused: %j", (registry) => {
  expect(read(registry)).toBe(false);
});

test("[LLM-4] what is lacking is named; a model of which nobody has said anything lacks nothing", () => {
  const able = lackedBy(REGISTRY, "gpt-3.5");
  expect(requireAbilities(able, ["chat"]).ok).toBe(true);
  expect(requireAbilities(lackedBy(REGISTRY, "gpt-4o-mini"), ["embeddings", "files"]).ok).toBe(true);
  for (const ability of ["images", "audio", "files"] as const) {
    expect(requireAbilities(able, ["chat", ability])).toMatchObject({
      error: { code: "unsupported_modality", details: { ability } },
    });
  }
  for (const ability of ["tools", "json_schema", "embeddings"] as const) {
    expect(requireAbilities(able, [ability])).toMatchObject({
      error: { code: "invalid_request", details: { ability } },
    });
  }
});

test("[LLM-4] [MEDIA-1] a model takes files where one of its providers takes them, whatever is said of the model", () => {
  const registry = Models.parse({
    providers: {
      gpus: { kind: "vllm", nodes: ["https://gpu.example.com/v1"] },
      proxy: { kind: "compatible", nodes: ["https://proxy.example.com/v1"], quirks: { file_parts: true } },
    },
    models: {
      own: { routes: [{ provider: "gpus" }], abilities: ["chat", "files"] },
      either: { routes: [{ provider: "gpus" }, { provider: "openai" }] },
      far: { routes: [{ provider: "proxy" }] },
      open: {},
    },
  });
  expect(lackedBy(registry, "own")).toContain("files");
  expect(lackedBy(registry, "either")).toEqual([]);
  expect(lackedBy(registry, "either", "vllm")).toEqual(["files"]);
  expect(lackedBy(registry, "far")).toEqual([]);
  expect([lackedBy(registry, "open", "openai"), lackedBy(registry, "open", "vllm")]).toEqual([[], ["files"]]);
});

test("[LLM-6] a price is found like its model", () => {
  const usage = { prompt_tokens: 1_000_000, completion_tokens: 500_000, total_tokens: 1_500_000 };
  const cost = (model: string) => costUsd(pricesOf(REGISTRY), model, usage);
  expect([cost("gpt-4o-mini"), cost("gpt-4o-2026"), cost("gpt-3.5"), cost("other")]).toEqual([2, 20, null, null]);
});

test("[LEDGER-17] cached tokens have a price of their own, or that of the others", () => {
  const usage = {
    prompt_tokens: 1_000_000,
    cached_tokens: 400_000,
    completion_tokens: 500_000,
    total_tokens: 1_500_000,
  };
  const prices = { own: { input: 10, cached_input: 1, output: 2 }, none: { input: 10, output: 2 } };
  expect(["own", "none"].map((model) => costUsd(prices, model, usage))).toEqual([7.4, 11]);
});
