/**
 * The models that can be asked for, and the health of every node, from the registry and from GET /models of the providers: free of model
 * cost, bounded in time. State: what was discovered, given by the caller; for a minute nobody is asked again. Never on a turn's path.
 * A node that refuses our credentials or is busy is degraded, one that cannot be reached is unhealthy.
 */
import * as z from "zod";
import { fail, ok, type Result } from "../../contracts/errors.ts";
import type { AgentHealth, HealthStatus, ModelInfo, NodeHealth, ProviderHealth } from "../../contracts/llm.ts";
import type { ModelEntry } from "../../contracts/models.ts";
import { isPattern, lookUp } from "../../contracts/name-patterns.ts";
import type { CallDeps } from "./generate.ts";
import { callProvider } from "./openai-compatible.ts";
import { configuredProviders, type Endpoint, endpointsOf } from "./provider.ts";
import { readText } from "./read-text.ts";
import { faulty, type Outcome } from "./refusal.ts";

const MAX_LIST_BYTES = 1024 * 1024;
const MAX_MODELS = 1_000;
const KEPT_MS = 60_000;
const List = z.object({
  data: z
    .array(z.object({ id: z.string().min(1).max(256), max_model_len: z.int().min(1).nullish().catch(undefined) }))
    .max(10_000),
});

interface Served {
  id: string;
  contextWindow: number | null;
}

/** By provider; a provider that could not be asked is not in it. */
export type Discovered = Map<string, { atMs: number; models: Served[] }>;

/** The registry's models, and of its patterns those that a provider lists. A failure only when nothing is known at all. */
export async function listModels(deps: CallDeps, discovered: Discovered): Promise<Result<ModelInfo[]>> {
  const { MODELS, malformed } = deps.config;
  if (malformed.includes("MODELS")) return fail("not_configured", "the models are not configured: MODELS is malformed");
  const refusals = await discover(deps, discovered);
  const named = Object.entries(MODELS.models).filter(([name]) => !isPattern(name));
  const listed = [...discovered.values()].flatMap(({ models }) => models.map(({ id }) => id));
  const matched = [...new Set(listed)].flatMap((id) => {
    const entry = named.some(([name]) => name === id) ? undefined : lookUp(MODELS.models, id);
    return entry === undefined ? [] : [[id, entry] as const];
  });
  const models = [...named, ...matched].map(([id, entry]) => describe(id, entry, discovered, deps));
  return models.length === 0 && refusals[0] !== undefined ? { ok: false, error: refusals[0] } : ok(models);
}

/** Asks the providers that were not asked lately; gives the refusals. */
async function discover(deps: CallDeps, discovered: Discovered) {
  const providers = configuredProviders(deps.config);
  if (providers.length === 0) {
    const missing = endpointsOf(deps.config, deps.config.LLM_TYPE);
    return missing.ok ? [] : [missing.error];
  }
  const refusals = await Promise.all(
    providers.map(async ({ name, endpoints }) => {
      const known = discovered.get(name);
      if (known !== undefined && known.atMs + KEPT_MS > deps.now()) return [];
      const lists = await Promise.all(endpoints.map((endpoint) => probe(endpoint, deps)));
      const list = lists.find((one) => one.ok);
      if (list?.ok) discovered.set(name, { atMs: deps.now(), models: list.value.slice(0, MAX_MODELS) });
      else discovered.delete(name);
      return list?.ok ? [] : lists.flatMap((one) => (one.ok ? [] : [one.error]));
    }),
  );
  return refusals.flat();
}

function describe(id: string, entry: ModelEntry, discovered: Discovered, { config }: CallDeps): ModelInfo {
  const routes = entry.routes ?? defaultRoutes(id, discovered, config.LLM_TYPE);
  const answered = routes.flatMap(({ provider, model = id }) => {
    const found = discovered.get(provider)?.models;
    return found === undefined ? [] : [found.find((served) => served.id === model)];
  });
  const served = answered.find((one) => one !== undefined);
  return {
    id,
    providers: [...new Set(routes.map(({ provider }) => provider))],
    abilities: entry.abilities ?? null,
    contextWindow: entry.context_window ?? served?.contextWindow ?? null,
    price: entry.price ?? null,
    isAvailable: answered.length === 0 ? null : served !== undefined,
  };
}

/** A model without routes goes to the default provider, and to another one if the request names its type. */
function defaultRoutes(id: string, discovered: Discovered, fallback: string): { provider: string; model?: string }[] {
  const listing = ["openai", "vllm"].filter((name) => discovered.get(name)?.models.some((served) => served.id === id));
  return (listing.length > 0 ? listing : [fallback]).map((provider) => ({ provider }));
}

/** Of every configured provider, and of the default one even if it is not. */
export async function checkHealth(deps: CallDeps): Promise<AgentHealth> {
  const providers = await Promise.all(
    configuredProviders(deps.config).map(async ({ name, endpoints }) =>
      judge(name, await Promise.all(endpoints.map((endpoint) => check(endpoint, deps)))),
    ),
  );
  const { LLM_TYPE: fallback, malformed } = deps.config;
  const needsFallback = Object.values(deps.config.MODELS.models).some(({ routes }) => routes === undefined);
  if (needsFallback && !providers.some(({ provider }) => provider === fallback)) providers.push(judge(fallback, []));
  return { providers, problems: malformed.map((key) => `${key} is malformed`) };
}

/** Of nodes that drain nothing is expected. */
function judge(provider: string, nodes: NodeHealth[]): ProviderHealth {
  const expected = nodes.filter(({ isDraining }) => !isDraining).map(({ status }) => status);
  const isAny = (status: HealthStatus) => expected.includes(status);
  const isAll = expected.length > 0 && expected.every((status) => status === "healthy");
  const status = isAll ? "healthy" : isAny("healthy") || isAny("degraded") ? "degraded" : "unhealthy";
  return { provider, status, latencyMs: Math.max(0, ...nodes.map(({ latencyMs }) => latencyMs)), nodes };
}

async function check(endpoint: Endpoint, deps: CallDeps): Promise<NodeHealth> {
  const startedMs = deps.now();
  const list = await probe(endpoint, deps);
  const status = list.ok ? "healthy" : isHalfThere(list.error.code) ? "degraded" : "unhealthy";
  const { id: node, isDraining } = endpoint;
  return { node, status, latencyMs: deps.now() - startedMs, isDraining, ...deps.fleet.view(endpoint, deps.now()) };
}

function isHalfThere(code: string): boolean {
  return code === "upstream_auth" || code === "rate_limited";
}

async function probe(endpoint: Endpoint, deps: CallDeps): Promise<Outcome<Served[]>> {
  const signal = AbortSignal.timeout(deps.config.LLM_PROBE_TIMEOUT_MS);
  const sent = await callProvider(endpoint, { path: "/models", mediaType: "application/json", signal }, deps);
  if (!sent.ok) return sent;
  try {
    const text = await readText(sent.value, MAX_LIST_BYTES);
    const { data } = List.parse(JSON.parse(text ?? ""));
    return { ok: true, value: data.map(({ id, max_model_len: length }) => ({ id, contextWindow: length ?? null })) };
  } catch {
    return faulty("the model provider sent an unreadable answer");
  }
}
