/**
 * The model registry: which models there are, who serves them, what they can do and what they cost. It is one setting, MODELS, that
 * main and llm-agent read alike. Pure. Refuses unknown fields, and a route to a provider that is nowhere described.
 */
import * as z from "zod";
import type { ModelType } from "./chat.ts";
import { fail, ok, type Result } from "./errors.ts";
import { isPattern, lookUp } from "./name-patterns.ts";
import { ModelPrice, type ModelPrices } from "./prices.ts";

export const ABILITIES = ["chat", "tools", "json_schema", "images", "audio", "files", "embeddings"] as const;
const Ability = z.enum(ABILITIES);
export type Ability = z.infer<typeof Ability>;

/** `vllm`: a server of one's own. `compatible`: any other that speaks OpenAI's API, asked for nothing that only OpenAI knows. */
const ProviderKind = z.enum(["openai", "vllm", "compatible"]);
export type ProviderKind = z.infer<typeof ProviderKind>;

const NodeUrl = z
  .url({ protocol: /^https?$/ })
  .refine((url) => new URL(url).username === "", "keys belong into PROVIDER_KEYS");
const Node = z.strictObject({
  url: NodeUrl,
  /** It gets nothing new; what runs there ends there. */
  drain: z.boolean().default(false),
  /** Calls at once, counted in one isolate, from which on others are preferred. */
  max_in_flight: z.int().min(1).max(10_000).optional(),
  /** Its share of the sessions beside the others'. */
  weight: z.number().min(0.01).max(100).default(1),
});

/** What differs between servers of one protocol; left out: what is usual for the kind. */
export const Quirks = z.strictObject({
  /** OpenAI's newer models refuse `max_tokens`. */
  max_tokens_field: z.enum(["max_tokens", "max_completion_tokens"]),
  /** Some servers refuse `stream_options`; their answers come without usage. */
  stream_usage: z.boolean(),
  /** vLLM tells in every chunk what the answer has taken so far, if it is asked to: what a stream took that was cut is known then. */
  continuous_usage: z.boolean(),
  /** How a session's prompt is kept where it was computed, and apart from other users'. */
  cache_hint: z.enum(["prompt_cache_key", "cache_salt", "none"]),
  /** PDF as `file` parts; many servers refuse them. Files of text are sent as text. */
  file_parts: z.boolean(),
});
export type Quirks = z.infer<typeof Quirks>;

const QUIRKS: Record<ProviderKind, Quirks> = {
  openai: {
    ...{ max_tokens_field: "max_completion_tokens", cache_hint: "prompt_cache_key" },
    ...{ stream_usage: true, continuous_usage: false, file_parts: true },
  },
  vllm: {
    ...{ max_tokens_field: "max_tokens", cache_hint: "cache_salt" },
    ...{ stream_usage: true, continuous_usage: true, file_parts: false },
  },
  compatible: {
    ...{ max_tokens_field: "max_tokens", cache_hint: "none" },
    ...{ stream_usage: true, continuous_usage: false, file_parts: false },
  },
};

const Provider = z.strictObject({
  kind: ProviderKind,
  /** Base URLs, `/v1` included. All of them serve the same models. */
  nodes: z
    .array(z.union([NodeUrl.transform((url) => Node.parse({ url })), Node]))
    .min(1)
    .max(32),
  /** Calls of all its nodes at once, counted in one isolate: what is more goes to the next route, or is told to come again. */
  max_calls: z.int().min(1).max(100_000).optional(),
  /** Send the service token of Cloudflare Access; left out: to vLLM only. */
  access: z.boolean().optional(),
  quirks: Quirks.partial().default({}),
});
export type ProviderSpec = z.infer<typeof Provider>;

const ProviderName = z.string().regex(/^[a-z][a-z0-9-]{0,31}$/);
const Route = z.strictObject({
  provider: ProviderName,
  /** The provider's name for the model; left out: ours. */
  model: z.string().min(1).max(256).optional(),
});
const Model = z.strictObject({
  /** In the order of preference; left out: the provider that the request or LLM_TYPE names. */
  routes: z.array(Route).min(1).max(8).optional(),
  /** Left out: nobody knows, and the provider has to say. */
  abilities: z.array(Ability).min(1).optional(),
  /** Tokens of prompt and answer together. */
  context_window: z.int().min(256).max(100_000_000).optional(),
  price: ModelPrice.optional(),
});
export type ModelEntry = z.infer<typeof Model>;

/** A model's name, or the beginning of many: `demo:*`. */
const ModelPattern = z.string().regex(/^(?!$)[\w./:-]{0,128}\*?$/);

/** Described by settings of their own. */
const BUILT_IN: Record<string, ProviderKind> = { openai: "openai", vllm: "vllm" };

export const Models = z
  .strictObject({
    providers: z.record(ProviderName, Provider).default({}),
    models: z.record(ModelPattern, Model),
  })
  .superRefine(({ providers, models }, issues) => {
    if (Object.keys(models).length === 0) issues.addIssue({ code: "custom", path: ["models"], message: "names none" });
    if (Object.keys(providers).length > 16) {
      issues.addIssue({ code: "custom", path: ["providers"], message: "are 16 at most" });
    }
    for (const [name, { routes = [] }] of Object.entries(models)) {
      const unknown = routes.find(({ provider }) => !Object.hasOwn({ ...BUILT_IN, ...providers }, provider));
      if (unknown) issues.addIssue({ code: "custom", path: ["models", name], message: "has a route to no provider" });
    }
  });
export type Models = z.infer<typeof Models>;

/** Without the setting: any name goes to the provider that is configured, which knows its models. */
export const OPEN_MODELS: Models = { providers: {}, models: { "*": {} } };
/** In place of a setting that is malformed. */
export const NO_MODELS: Models = { providers: {}, models: {} };

export function findModel(models: Models, name: string): Result<ModelEntry> {
  if (Object.keys(models.models).length === 0)
    return fail("not_configured", "the models are not configured: MODELS is malformed");
  const entry = lookUp(models.models, name);
  return entry === undefined ? fail("model_not_found", "there is no such model") : ok(entry);
}

export function quirksOf({ kind, quirks }: Pick<ProviderSpec, "kind" | "quirks">): Quirks {
  const said = Object.fromEntries(Object.entries(quirks).filter(([, value]) => value !== undefined));
  return { ...QUIRKS[kind], ...said };
}

/** What a client calls the kind of a provider. */
export function typeOf({ providers }: Models, provider: string): ModelType {
  return (providers[provider]?.kind ?? BUILT_IN[provider]) === "vllm" ? "vllm" : "openai";
}

/** What is sent with a request decides what its model must be able to do. */
const MODALITIES: readonly Ability[] = ["images", "audio", "files"];

export function requireAbilities(lacked: readonly Ability[], needed: readonly Ability[]): Result<undefined> {
  const lacking = needed.find((ability) => lacked.includes(ability));
  if (lacking === undefined) return ok(undefined);
  const code = MODALITIES.includes(lacking) ? "unsupported_modality" : "invalid_request";
  return fail(code, `the model has not this ability: ${lacking}`, { details: { ability: lacking } });
}

/** Who serves a model, by what name, in the order in which they are asked; undefined: the registry does not say. */
export function routesOf(models: Models, name: string): ModelEntry["routes"] {
  const found = findModel(models, name);
  return found.ok ? found.value.routes : undefined;
}

/** What the model is known not to be able to, wherever it is served; `onlyType`: where a provider of this type serves it. */
export function lackedBy(models: Models, name: string, onlyType?: ModelType): Ability[] {
  const found = findModel(models, name);
  if (!found.ok) return [];
  const { abilities = ABILITIES, routes = onlyType ? [{ provider: onlyType }] : [] } = found.value;
  const asked = routes.filter(({ provider }) => onlyType === undefined || typeOf(models, provider) === onlyType);
  const takesFiles = asked.length === 0 || asked.some(({ provider }) => takesFileParts(models, provider));
  return ABILITIES.filter((ability) => !abilities.includes(ability) || (ability === "files" && !takesFiles));
}

function takesFileParts({ providers }: Models, provider: string): boolean {
  return quirksOf(providers[provider] ?? { kind: BUILT_IN[provider] ?? "compatible", quirks: {} }).file_parts;
}

export function pricesOf({ models }: Models): ModelPrices {
  const priced = Object.entries(models).flatMap(([name, { price }]) => (price ? [[name, price] as const] : []));
  return Object.fromEntries(priced);
}

/** Models that the registry names, without those that it only describes by a pattern. */
export function namedModels({ models }: Models): string[] {
  return Object.keys(models).filter((name) => !isPattern(name));
}
