/**
 * The provider factory: a provider is data, from MODELS or from the settings of the two that need no description. Pure.
 * Refuses a provider whose keys are missing or malformed, naming the keys.
 */
import type { Dialect } from "../../contracts/dialects.ts";
import { fail, ok, type Result } from "../../contracts/errors.ts";
import { type ProviderSpec, type Quirks, quirksOf } from "../../contracts/models.ts";
import type { Config, ConfigKey } from "./env.ts";

/** One server of a provider: all that a call needs. */
export interface Endpoint {
  /** For people and logs: the provider's name and the node's number. */
  id: string;
  provider: string;
  baseUrl: string;
  /** Undefined: no Authorization header is sent. */
  apiKey: string | undefined;
  headers: Record<string, string>;
  dialect: Dialect;
  quirks: Quirks;
  isDraining: boolean;
  /** Calls at once from which on others are preferred. */
  maxInFlight: number;
  /** Of all nodes of its provider at once. */
  maxCalls: number;
  weight: number;
}

/** By the settings that they are of, which are read once in an isolate. */
const endpointsIn = new WeakMap<Config, Map<string, Result<Endpoint[]>>>();

/** The nodes of a provider; at least one. `name` is one that the settings know. */
export function endpointsOf(config: Config, name: string): Result<Endpoint[]> {
  const known = endpointsIn.get(config) ?? new Map<string, Result<Endpoint[]>>();
  const endpoints = known.get(name) ?? describeEndpoints(config, name);
  endpointsIn.set(config, known.set(name, endpoints));
  return endpoints;
}

function describeEndpoints(config: Config, name: string): Result<Endpoint[]> {
  const spec = specOf(config, name);
  if (!spec.ok) return spec;
  const { kind, nodes, max_calls, access = kind === "vllm" } = spec.value;
  const headers = access ? accessHeaders(config) : ok({});
  if (!headers.ok) return headers;
  const apiKey = keyOf(config, name);
  if (apiKey === undefined && kind === "openai")
    return notConfigured(name === "openai" ? "OPENAI_API_KEY" : "PROVIDER_KEYS");
  const shared = {
    ...{ provider: name, apiKey, headers: headers.value, dialect: "openai-chat" as const },
    quirks: quirksOf(spec.value),
    maxCalls: max_calls ?? Number.POSITIVE_INFINITY,
  };
  return ok(
    nodes.map(({ url, drain, max_in_flight, weight }, at) => ({
      ...{ ...shared, id: `${name}/${at + 1}`, baseUrl: url, isDraining: drain, weight },
      maxInFlight: max_in_flight ?? Number.POSITIVE_INFINITY,
    })),
  );
}

/** The providers whose settings are all there, each with its nodes. */
export function configuredProviders(config: Config): { name: string; endpoints: Endpoint[] }[] {
  const names = new Set(["openai", "vllm", ...Object.keys(config.MODELS.providers)]);
  return [...names].flatMap((name) => {
    const endpoints = endpointsOf(config, name);
    return endpoints.ok ? [{ name, endpoints: endpoints.value }] : [];
  });
}

/** What MODELS says of it, else what its own settings say. */
function specOf(config: Config, name: string): Result<ProviderSpec> {
  const { malformed } = config;
  const described = Object.hasOwn(config.MODELS.providers, name) ? config.MODELS.providers[name] : undefined;
  if (described !== undefined)
    return malformed.includes("PROVIDER_KEYS") ? notConfigured("PROVIDER_KEYS") : ok(described);
  const url = name === "openai" ? config.OPENAI_BASE_URL : config.VLLM_BASE_URL;
  if (name === "openai" && malformed.includes("OPENAI_BASE_URL")) return notConfigured("OPENAI_BASE_URL");
  if (url === undefined) return notConfigured("VLLM_BASE_URL");
  return ok({ kind: name === "openai" ? "openai" : "vllm", nodes: [{ url, drain: false, weight: 1 }], quirks: {} });
}

function keyOf({ PROVIDER_KEYS: keys = {}, OPENAI_API_KEY, VLLM_API_KEY }: Config, name: string): string | undefined {
  if (Object.hasOwn(keys, name)) return keys[name];
  return name === "openai" ? OPENAI_API_KEY : name === "vllm" ? VLLM_API_KEY : undefined;
}

/** The service token of Cloudflare Access: both halves, or none where nothing is in front of the server. */
function accessHeaders({ CF_ACCESS_CLIENT_ID: id, CF_ACCESS_CLIENT_SECRET: secret }: Config) {
  if (id === undefined && secret === undefined) return ok({});
  if (id === undefined) return notConfigured("CF_ACCESS_CLIENT_ID");
  if (secret === undefined) return notConfigured("CF_ACCESS_CLIENT_SECRET");
  return ok({ "CF-Access-Client-Id": id, "CF-Access-Client-Secret": secret });
}

function notConfigured(key: ConfigKey): Result<never> {
  return fail("not_configured", `the model provider is not configured: ${key}`);
}
