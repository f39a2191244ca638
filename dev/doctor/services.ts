/**
 * The services that are configured: reached, with which credential, and whether Postgres has the schema of this code. No state. Never a paid
 * call: a model provider is asked for its list of models. Never tells a value, nor a vendor's words.
 */
import { explain, status } from "../../db/migrate.ts";
import { openSql } from "../../db/open.ts";
import type { NodeHealth } from "../../contracts/llm.ts";
import { readConfig as readAgentConfig } from "../../workers/llm-agent/env.ts";
import { Fleet } from "../../workers/llm-agent/fleet.ts";
import { checkHealth } from "../../workers/llm-agent/models.ts";
import { failure, type Finding, good, warning } from "./finding.ts";
import type { Values } from "./settings.ts";

const TIMEOUT_MS = 10_000;
const STAND_IN = "not configured: npm run dev starts a stand-in";

export async function checkPostgres(values: Values, isDeployment: boolean): Promise<Finding> {
  const { DATABASE_URL: databaseUrl, DATABASE_HTTP_URL: httpUrl } = values;
  if (databaseUrl === undefined) return good("postgres", STAND_IN);
  if (!URL.canParse(databaseUrl))
    return failure("postgres", "DATABASE_URL is no address", "write postgres://user:password@host/database");
  if (!isDeployment && httpUrl === undefined && !new URL(databaseUrl).hostname.endsWith(".neon.tech")) {
    return good("postgres", "no SQL over HTTP of its own: npm run dev puts a stand-in in front of it");
  }
  try {
    const states = await status(openSql({ databaseUrl, httpUrl, timeoutMs: TIMEOUT_MS }));
    const pending = states.filter(({ appliedAt }) => appliedAt === null).length;
    if (pending > 0) {
      return failure(
        "postgres",
        `reached; ${pending} migrations are pending`,
        "npm run db:up, or npm run deploy, which does it first",
      );
    }
    return good("postgres", `reached; schema ${states.length}, as the code expects`);
  } catch (error) {
    const isRefused =
      error instanceof Error &&
      /password|authentication|28P01/i.test(`${error.message} ${(error as { code?: string }).code}`); // of the driver
    if (isRefused)
      return failure(
        "postgres",
        "the password or the user is refused",
        "take DATABASE_URL from the database's console again",
      );
    return failure("postgres", explain(error), "check DATABASE_URL and whether the database runs");
  }
}

export async function checkRedis(values: Values): Promise<Finding> {
  const { UPSTASH_REDIS_REST_URL: url, UPSTASH_REDIS_REST_TOKEN: token } = values;
  if (url === undefined) return good("redis", STAND_IN);
  if (token === undefined) return failure("redis", "it has an address and no token", "set UPSTASH_REDIS_REST_TOKEN");
  try {
    const init = { method: "POST", headers: { authorization: `Bearer ${token}` }, body: '["PING"]' };
    const response = await fetch(url, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) });
    const text = await response.text();
    if (response.ok && text.includes("PONG")) return good("redis", "reached");
    if (response.status === 401 || response.status === 403) {
      return failure(
        "redis",
        "the token is refused",
        "take UPSTASH_REDIS_REST_TOKEN from the database's console again",
      );
    }
    return failure(
      "redis",
      `it answers with ${response.status}`,
      "check that UPSTASH_REDIS_REST_URL is the REST address",
    );
  } catch {
    return failure(
      "redis",
      "it does not answer",
      "check UPSTASH_REDIS_REST_URL and whether it can be reached from here",
    );
  }
}

export async function checkProviders(values: Values, isDeployment: boolean): Promise<Finding[]> {
  const config = readAgentConfig({ ...values });
  const deps = {
    ...{ config, fleet: new Fleet(), trace: [], attempts: [], random: Math.random, now: Date.now },
    fetch: (input: string | URL | Request, init?: RequestInit) => fetch(input, init),
    ...{ wait: () => Promise.resolve(), newCallId: () => "" },
  };
  const { providers } = await checkHealth(deps);
  return providers.flatMap(({ provider, nodes }) =>
    nodes.length === 0 ? [judgeMissing(provider, values, isDeployment)] : nodes.map((node) => judge(node, provider)),
  );
}

function judgeMissing(provider: string, values: Values, isDeployment: boolean): Finding {
  const isSet = ["OPENAI_API_KEY", "VLLM_BASE_URL", "MODELS"].some((name) => values[name] !== undefined);
  if (!isSet && !isDeployment) return good("model", STAND_IN);
  const fix =
    provider === "openai"
      ? "set OPENAI_API_KEY, or LLM_TYPE=vllm"
      : "set VLLM_BASE_URL, and both halves of the Access token or none";
  return failure(
    "model",
    `models go to ${provider} by default, which is not configured`,
    `${fix}, or give every model of MODELS its routes`,
  );
}

function judge({ node, status: state, isDraining }: NodeHealth, provider: string): Finding {
  if (state === "healthy") return good("model", `${node} lists its models${isDraining ? " and drains" : ""}`);
  if (state === "degraded") {
    const key = provider === "openai" ? "OPENAI_API_KEY" : provider === "vllm" ? "VLLM_API_KEY" : "PROVIDER_KEYS";
    return failure(
      "model",
      `${node} refuses the credential, or is too busy to answer`,
      `check ${key}, and the service token if Access is in front`,
    );
  }
  const fix = "check that its address ends in /v1, that it runs, and its tunnel (docs/vllm-tunnel.md)";
  return (isDraining ? warning : failure)("model", `${node} cannot be reached`, fix);
}
