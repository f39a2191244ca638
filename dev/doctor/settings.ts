/**
 * A file of settings against the Workers' schemas, and what no schema says: names that nobody reads, weak secrets, settings that are in
 * vain without another. Pure. Never tells a value.
 */
import { findModel } from "../../contracts/models.ts";
import { readConfig as readAgentConfig } from "../../workers/llm-agent/env.ts";
import { readConfig as readMainConfig } from "../../workers/main/env.ts";
import { findProblems as findMcpProblems } from "../../workers/mcp/env.ts";
import { LOCAL_LLM_KEY, LOCAL_REDIS_TOKEN } from "../local.ts";
import { listSettings, readersOf, WORKER_NAMES, type WorkerName } from "../settings-table.ts";
import { failure, type Finding, good, warning } from "./finding.ts";

export type Values = Record<string, string>;

/** Read by `npm run dev` alone. */
const DEV_ONLY = ["REDIS_URL"];

/** In a local run what is missing is no problem: a stand-in takes its place. */
export function checkSettings(values: Values, isDeployment: boolean): Finding[] {
  const problems: Record<WorkerName, string[]> = {
    main: readMainConfig(values).problems.filter((problem) => isDeployment || !problem.endsWith(" is missing")),
    "llm-agent": readAgentConfig(values).malformed.map((name) => `${name} is malformed`),
    mcp: findMcpProblems(values).filter((problem) => isDeployment || !problem.endsWith(" is missing")),
  };
  const found = WORKER_NAMES.flatMap((worker) => problems[worker].map((problem) => explain(worker, problem)));
  const clean = WORKER_NAMES.filter((worker) => problems[worker].length === 0);
  return [
    ...clean.map((worker) => good(worker, `${countOf(values, worker)} settings given, all well-formed`)),
    ...found,
    ...checkNames(values),
  ];
}

function countOf(values: Values, worker: WorkerName): number {
  return Object.keys(values).filter((name) => readersOf(name).includes(worker)).length;
}

function explain(worker: WorkerName, problem: string): Finding {
  const [name = ""] = problem.split(" ");
  const meaning = listSettings(worker).find((setting) => setting.name === name)?.meaning ?? "";
  const act = problem.endsWith("missing")
    ? `set ${name}`
    : problem.endsWith("MODELS")
      ? `name a model that MODELS has in ${name}`
      : `mend ${name}`;
  return failure(worker, problem, `${act}: ${meaning}`);
}

function checkNames(values: Values): Finding[] {
  const known = [
    ...new Set(WORKER_NAMES.flatMap((worker) => listSettings(worker).map(({ name }) => name))),
    ...DEV_ONLY,
  ];
  return Object.keys(values)
    .filter((name) => !known.includes(name))
    .map((name) => {
      const near = known.find((other) => distance(other, name) <= 2);
      return warning(
        "names",
        `nobody reads ${name}`,
        near === undefined ? `remove ${name}` : `write ${near} instead of ${name}`,
      );
    });
}

/** How many letters differ between two names (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1];
    for (const [j, other] of [...b].entries()) {
      next.push(Math.min((row[j] ?? 0) + (letter === other ? 0 : 1), (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}

const MIN_DISTINCT_CHARS = 12;
const NEW_SECRET = "node -p \"require('crypto').randomBytes(32).toString('base64url')\"";

export function checkSecrets(values: Values, isDeployment: boolean): Finding[] {
  const { SECRET_KEY: key, METRICS_TOKEN: scrape, UPSTASH_REDIS_REST_TOKEN: token, OPENAI_API_KEY: modelKey } = values;
  const found: Finding[] = [];
  const fix = `make another one: ${NEW_SECRET}`;
  if (key !== undefined && isGuessable(key))
    found.push(failure("secrets", "SECRET_KEY can be guessed: whoever does can sign keys of every user", fix));
  if (scrape !== undefined && isGuessable(scrape))
    found.push(failure("secrets", "METRICS_TOKEN can be guessed: whoever does can read the figures", fix));
  const isLocal = (isDeployment && token === LOCAL_REDIS_TOKEN) || (isDeployment && modelKey === LOCAL_LLM_KEY);
  if (isLocal)
    found.push(failure("secrets", "a token of the local stand-ins is set", "set the token of the real service"));
  return found.length > 0
    ? found
    : [good("secrets", key === undefined ? "none to judge" : "nothing is one of the guessable ones")];
}

function isGuessable(key: string): boolean {
  return (
    new Set(key).size < MIN_DISTINCT_CHARS ||
    /secret|password|change.?me|example|basechat|local|test|0123456789|abcdef/i.test(key)
  );
}

export function checkMcp(values: Values, isDeployment: boolean): Finding[] {
  const found: Finding[] = [];
  const pages = splitList(values["CORS_ORIGINS"]);
  const stray = splitList(values["MCP_ALLOWED_ORIGINS"]).filter((origin) => !pages.includes(origin));
  if (stray.length > 0) {
    found.push(
      warning("mcp", "a page of MCP_ALLOWED_ORIGINS is not in CORS_ORIGINS, so it cannot call /mcp", "list it in both"),
    );
  }
  if (isDeployment && values["MCP_CONFORMANCE"] === "1") {
    found.push(
      failure("mcp", "MCP_CONFORMANCE offers the conformance suite's tools to everyone", "remove MCP_CONFORMANCE"),
    );
  }
  const { KNOWLEDGE_EMBEDDING_MODEL: embedding } = values;
  const model = embedding === undefined ? undefined : findModel(readMainConfig(values).MODELS, embedding);
  if (model?.ok === false && model.error.code === "model_not_found") {
    const fix = "name a model that MODELS has in KNOWLEDGE_EMBEDDING_MODEL";
    found.push(failure("mcp", "KNOWLEDGE_EMBEDDING_MODEL is not in MODELS", fix));
  }
  const { CF_ACCESS_CLIENT_ID: id, CF_ACCESS_CLIENT_SECRET: secret } = values;
  if ((id === undefined) !== (secret === undefined)) {
    found.push(
      failure(
        "access",
        "one half of the service token of Cloudflare Access is missing",
        "set CF_ACCESS_CLIENT_ID and CF_ACCESS_CLIENT_SECRET, or neither",
      ),
    );
  }
  return found;
}

function splitList(list = ""): string[] {
  return list
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}
