/**
 * The stand-ins of a local run, chosen by the developer's settings: whatever real service is configured needs none.
 * State: servers in this process, PGlite's data in .dev/postgres.
 */
import * as z from "zod";
import { Models as ModelRegistry } from "../contracts/models.ts";
import { jsonSetting } from "../contracts/settings.ts";
import { LOCAL_DATABASE_URL, LOCAL_LLM_KEY, LOCAL_MODELS, LOCAL_REDIS_TOKEN } from "./local.ts";
import { serveLlm } from "./stand-ins/llm.ts";
import { serveNeon } from "./stand-ins/neon.ts";
import { serveRedis } from "./stand-ins/redis.ts";
import type { StandIn } from "./stand-ins/serve.ts";

export interface LocalStack {
  standIns: { llm?: StandIn; redis?: StandIn; neon?: StandIn };
  /** What the Workers must be told of them. */
  settings: Record<string, string>;
}

export async function startStandIns(own: Record<string, string>): Promise<LocalStack> {
  const [llm, redis, neon] = await Promise.all([startLlm(own), startRedis(own), startNeon(own)]);
  const standIns = {
    ...(llm.standIn && { llm: llm.standIn }),
    ...(redis && { redis: redis.standIn }),
    ...(neon && { neon: neon.standIn }),
  };
  return { standIns, settings: { ...llm.settings, ...redis?.settings, ...neon?.settings } };
}

interface Started {
  standIn: StandIn;
  settings: Record<string, string>;
}

/** The demo model, unless a provider is configured; a vLLM server alone is the default, with the first model it serves. */
async function startLlm(own: Record<string, string>): Promise<Pick<Started, "settings"> & Partial<Started>> {
  if (own["OPENAI_API_KEY"] || namesProviders(own["MODELS"])) return { settings: {} };
  const vllmUrl = own["VLLM_BASE_URL"];
  if (vllmUrl) {
    const model = own["DEFAULT_MODEL"] ?? (await firstModel(vllmUrl, own["VLLM_API_KEY"]));
    return { settings: { LLM_TYPE: "vllm", ...(model && { DEFAULT_MODEL: model }) } };
  }
  const standIn = await serveLlm({ apiKey: LOCAL_LLM_KEY });
  return {
    standIn,
    settings: {
      OPENAI_API_KEY: LOCAL_LLM_KEY,
      OPENAI_BASE_URL: `${standIn.url}/v1`,
      LLM_TYPE: "openai",
      ...(!own["MODELS"] && { DEFAULT_MODEL: "demo" }),
      // A name that nobody serves is refused, as in a deployment with a registry; who names a model of their own gets it.
      ...(!own["DEFAULT_MODEL"] && { MODELS: LOCAL_MODELS }),
    },
  };
}

/** Whether a registry brings servers of its own; of one that is malformed the Workers tell. */
function namesProviders(registry: string | undefined): boolean {
  const parsed = jsonSetting(ModelRegistry).safeParse(registry);
  return parsed.success && Object.keys(parsed.data.providers).length > 0;
}

const Models = z.object({ data: z.array(z.object({ id: z.string() })) });

/** Undefined when the server does not say: requests must then name their model. */
async function firstModel(baseUrl: string, apiKey: string | undefined): Promise<string | undefined> {
  try {
    const headers = { ...(apiKey && { authorization: `Bearer ${apiKey}` }) };
    const response = await fetch(`${baseUrl}/models`, { headers, signal: AbortSignal.timeout(5_000) });
    return Models.parse(await response.json()).data[0]?.id;
  } catch {
    return undefined;
  }
}

/** Upstash's protocol in memory, or in front of the Redis at REDIS_URL. */
async function startRedis(own: Record<string, string>): Promise<Started | undefined> {
  if (own["UPSTASH_REDIS_REST_URL"]) return undefined;
  const redisUrl = own["REDIS_URL"];
  const standIn = await serveRedis({ token: LOCAL_REDIS_TOKEN, ...(redisUrl && { redisUrl }) });
  return { standIn, settings: { UPSTASH_REDIS_REST_URL: standIn.url, UPSTASH_REDIS_REST_TOKEN: LOCAL_REDIS_TOKEN } };
}

/** Neon's protocol over PGlite, or in front of any other PostgreSQL at DATABASE_URL. */
async function startNeon(own: Record<string, string>): Promise<Started | undefined> {
  const address = own["DATABASE_URL"];
  if (own["DATABASE_HTTP_URL"] || (address && new URL(address).hostname.endsWith(".neon.tech"))) return undefined;
  const standIn = await serveNeon(address ? { postgresUrl: address } : { dataDir: ".dev/postgres" });
  return {
    standIn,
    settings: { ...(!address && { DATABASE_URL: LOCAL_DATABASE_URL }), DATABASE_HTTP_URL: `${standIn.url}/sql` },
  };
}
