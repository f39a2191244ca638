/**
 * The model list and the health of every configured provider, both from GET /models: free of model cost, bounded in time.
 * No state. A provider that refuses our credentials or is busy is degraded, one that cannot be reached is unhealthy.
 */
import * as z from "zod";
import { ok, type Result } from "../../contracts/errors.ts";
import type { ModelInfo, ProviderHealth } from "../../contracts/llm.ts";
import type { CallDeps } from "./generate.ts";
import { callProvider } from "./openai-compatible.ts";
import { chooseProvider, configuredProviders, type Provider } from "./provider.ts";
import { readText } from "./read-text.ts";
import { faulty, type Outcome } from "./refusal.ts";

const MAX_LIST_BYTES = 1024 * 1024;
const List = z.object({ data: z.array(z.object({ id: z.string().min(1).max(256) })).max(10_000) });

/** The models of the providers that answered; a failure only when none did. */
export async function listModels(deps: CallDeps): Promise<Result<ModelInfo[]>> {
  const lists = await Promise.all(configuredProviders(deps.config).map((provider) => probe(provider, deps)));
  const models = lists.flatMap((list) => (list.ok ? list.value : []));
  if (lists.some((list) => list.ok)) return ok(models);
  const failed = lists.find((list) => !list.ok) ?? chooseProvider(deps.config);
  return failed.ok ? ok([]) : { ok: false, error: failed.error };
}

/** Of every configured provider, and of the default one even if it is not. */
export async function checkHealth(deps: CallDeps): Promise<ProviderHealth[]> {
  const reports = await Promise.all(configuredProviders(deps.config).map((provider) => check(provider, deps)));
  const fallback = deps.config.LLM_TYPE;
  if (reports.some((report) => report.provider === fallback)) return reports;
  return [...reports, { provider: fallback, status: "unhealthy", latencyMs: 0 }];
}

async function check(provider: Provider, deps: CallDeps): Promise<ProviderHealth> {
  const startedMs = deps.now();
  const list = await probe(provider, deps);
  return { provider: provider.name, status: judge(list), latencyMs: deps.now() - startedMs };
}

function judge(list: Outcome<ModelInfo[]>): ProviderHealth["status"] {
  if (list.ok) return "healthy";
  return list.error.code === "upstream_auth" || list.error.code === "rate_limited" ? "degraded" : "unhealthy";
}

async function probe(provider: Provider, deps: CallDeps): Promise<Outcome<ModelInfo[]>> {
  const signal = AbortSignal.timeout(deps.config.LLM_PROBE_TIMEOUT_MS);
  const sent = await callProvider(provider, { path: "/models", mediaType: "application/json", signal }, deps);
  if (!sent.ok) return sent;
  try {
    const text = await readText(sent.value, MAX_LIST_BYTES);
    const list = List.parse(JSON.parse(text ?? ""));
    return { ok: true, value: list.data.map(({ id }) => ({ id, provider: provider.name })) };
  } catch {
    return faulty("the model provider sent an unreadable answer");
  }
}
