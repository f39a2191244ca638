/**
 * The doctor on folders that hold one misconfiguration each, with the stand-ins as services. State: temporary folders, the stand-ins.
 * Every finding is held against the values that it must not tell.
 */
import { execFile, execFileSync } from "node:child_process";
import { chmod, cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseEnv, stripVTControlCharacters } from "node:util";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { migrate } from "../db/migrate.ts";
import { CONFIGS, ROOT } from "./build.ts";
import { type Finding, show } from "./doctor/finding.ts";
import { examine } from "./doctor.ts";
import { LOCAL_DATABASE_URL, LOCAL_LLM_KEY, openLocalSql, newSecretKey } from "./local.ts";
import { serveLlm } from "./stand-ins/llm.ts";
import { serveNeon } from "./stand-ins/neon.ts";
import { serveRedis } from "./stand-ins/redis.ts";
import type { StandIn } from "./stand-ins/serve.ts";

const REDIS_TOKEN = "a-token-of-this-test";
let neon: StandIn;
let redis: StandIn;
let llm: StandIn;
const folders: string[] = [];
beforeAll(async () => {
  [neon, redis, llm] = await Promise.all([
    serveNeon(),
    serveRedis({ token: REDIS_TOKEN }),
    serveLlm({ apiKey: LOCAL_LLM_KEY }),
  ]);
  await migrate(openLocalSql(neon.url), "up");
});
afterEach(() => {
  for (const standIn of [neon, redis, llm]) standIn.control({ mode: "up" });
});
afterAll(async () => {
  await Promise.all([neon.close(), redis.close(), llm.close()]);
  await Promise.all(folders.map((folder) => rm(folder, { recursive: true })));
});

const goodSettings = () => ({
  SECRET_KEY: newSecretKey(),
  DATABASE_URL: LOCAL_DATABASE_URL,
  DATABASE_HTTP_URL: `${neon.url}/sql`,
  UPSTASH_REDIS_REST_URL: redis.url,
  UPSTASH_REDIS_REST_TOKEN: REDIS_TOKEN,
  OPENAI_API_KEY: LOCAL_LLM_KEY,
  OPENAI_BASE_URL: `${llm.url}/v1`,
});

/** A folder that looks like the repository, with these settings over the good ones; undefined takes one away. */
async function makeFolder(settings: Record<string, string | undefined> = {}): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "basechat-doctor-"));
  folders.push(folder);
  for (const file of [...CONFIGS, "package-lock.json", ".gitignore"]) await cp(join(ROOT, file), join(folder, file));
  for (const name of ["node_modules", "public", "workers"]) await symlink(join(ROOT, name), join(folder, name));
  const lines = Object.entries({ ...goodSettings(), ...settings }).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}='${value}'\n`],
  );
  await writeFile(join(folder, ".dev.vars"), lines.join(""), { mode: 0o600 });
  execFileSync("git", ["init", "--quiet"], { cwd: folder });
  return folder;
}

interface Asked {
  file?: string;
  nodeVersion?: string;
  port?: number;
}

async function examineFolder(root: string, asked: Asked = {}): Promise<Finding[]> {
  const { nodeVersion = "24.1.0", port = 0, file } = asked;
  return examine({ root, nodeVersion, port, file, isOffline: false });
}

const bad = (findings: Finding[]) => findings.filter(({ state }) => state !== "ok");

async function edit(folder: string, file: string, from: string | RegExp, to: string): Promise<void> {
  const text = await readFile(join(folder, file), "utf8");
  expect(text).toMatch(from);
  await writeFile(join(folder, file), text.replace(from, to));
}

test("[DOCTOR-1] a sound folder passes every check, and no model is paid for", async () => {
  const findings = await examineFolder(await makeFolder());
  expect(bad(findings)).toEqual([]);
  expect(findings.map(({ check }) => check)).toEqual(
    expect.arrayContaining([
      "node",
      "install",
      "main",
      "llm-agent",
      "mcp",
      "postgres",
      "redis",
      "model",
      "wrangler files",
    ]),
  );
  expect(llm.stats()).toMatchObject({ calls: 1, last_request: null });
});

const WRONG: [
  name: string,
  check: string,
  state: Finding["state"],
  fix: RegExp,
  make: () => Promise<[string, Asked?]>,
][] = [
  [
    "a number that is none",
    "main",
    "fail",
    /mend CACHE_LLM_TTL/,
    async () => [await makeFolder({ CACHE_LLM_TTL: "an hour" })],
  ],
  [
    "a short key",
    "main",
    "fail",
    /mend SECRET_KEY: signs and verifies/,
    async () => [await makeFolder({ SECRET_KEY: "k9" })],
  ],
  [
    "a guessable key",
    "secrets",
    "fail",
    /randomBytes\(32\)/,
    async () => [await makeFolder({ SECRET_KEY: "please-change-me-please-change-me" })],
  ],
  [
    "a registry that is no JSON",
    "llm-agent",
    "fail",
    /mend MODELS/,
    async () => [await makeFolder({ MODELS: "{models}" })],
  ],
  [
    "a default model that is not in it",
    "main",
    "fail",
    /DEFAULT_MODEL/,
    async () => [await makeFolder({ MODELS: '{"models":{"demo":{}}}', DEFAULT_MODEL: "other" })],
  ],
  [
    "a malformed setting of mcp",
    "mcp",
    "fail",
    /mend MCP_SESSION_SECONDS/,
    async () => [await makeFolder({ MCP_SESSION_SECONDS: "0" })],
  ],
  [
    "a misspelt name",
    "names",
    "warn",
    /write CACHE_ENABLED instead of CACHE_ENABELD/,
    async () => [await makeFolder({ CACHE_ENABELD: "true" })],
  ],
  [
    "a page of /mcp that main refuses",
    "mcp",
    "warn",
    /list it in both/,
    async () => [await makeFolder({ MCP_ALLOWED_ORIGINS: "https://app.example.com" })],
  ],
  [
    "half a service token",
    "access",
    "fail",
    /or neither/,
    async () => [await makeFolder({ CF_ACCESS_CLIENT_ID: "half" })],
  ],
  [
    "a token that Redis refuses",
    "redis",
    "fail",
    /UPSTASH_REDIS_REST_TOKEN/,
    async () => [await makeFolder({ UPSTASH_REDIS_REST_TOKEN: "stale-token" })],
  ],
  [
    "a key that the provider refuses",
    "model",
    "fail",
    /check OPENAI_API_KEY/,
    async () => [await makeFolder({ OPENAI_API_KEY: "stale-key" })],
  ],
  [
    "a node that is away",
    "model",
    "fail",
    /ends in \/v1/,
    async () => [await makeFolder({ VLLM_BASE_URL: "http://127.0.0.1:1/v1" })],
  ],
  [
    "a missing setting of a deployment",
    "main",
    "fail",
    /set UPSTASH_REDIS_REST_URL/,
    async () => [await makeFolder({ UPSTASH_REDIS_REST_URL: undefined }), { file: ".dev.vars" }],
  ],
  [
    "a secret that mcp is left without in a deployment",
    "mcp",
    "fail",
    /set DATABASE_URL/,
    async () => [await makeFolder({ DATABASE_URL: undefined }), { file: ".dev.vars" }],
  ],
  [
    "a deployment without a model",
    "model",
    "fail",
    /set OPENAI_API_KEY/,
    async () => [await makeFolder({ OPENAI_API_KEY: undefined }), { file: ".dev.vars" }],
  ],
  [
    "the stand-ins' key in a deployment",
    "secrets",
    "fail",
    /the real service/,
    async () => [await makeFolder(), { file: ".dev.vars" }],
  ],
  [
    "a deployment's node in a private network",
    "addresses",
    "fail",
    /public address into MODELS/,
    async () => {
      const models = { providers: { own: { kind: "vllm", nodes: ["http://192.168.1.9/v1"] } }, models: { "*": {} } };
      return [await makeFolder({ MODELS: JSON.stringify(models) }), { file: ".dev.vars" }];
    },
  ],
  [
    "a token for the figures that can be guessed",
    "secrets",
    "fail",
    /randomBytes/,
    async () => [await makeFolder({ METRICS_TOKEN: "test".repeat(9) })],
  ],
  [
    "a model for embeddings that is not in MODELS",
    "mcp",
    "fail",
    /KNOWLEDGE_EMBEDDING_MODEL/,
    async () => [
      await makeFolder({ MODELS: '{"models":{"demo":{}}}', DEFAULT_MODEL: "demo", KNOWLEDGE_EMBEDDING_MODEL: "other" }),
    ],
  ],
  ["an old Node", "node", "fail", /npm run/, async () => [await makeFolder(), { nodeVersion: "20.19.0" }]],
];

test.each(WRONG)("[DOCTOR-1] %s is found, with what to do", async (_name, ...[check, state, fix, make]) => {
  const [folder, asked] = await make();
  const findings = await examineFolder(folder, asked);
  expect(bad(findings)).toContainEqual(expect.objectContaining({ check, state, fix: expect.stringMatching(fix) }));
  await expectNoValues(findings, folder);
});

test("[DOCTOR-1] a database that is away, and one without the newest migration, are found", async () => {
  const folder = await makeFolder();
  neon.control({ mode: "down" });
  expect(bad(await examineFolder(folder))).toMatchObject([
    { check: "postgres", fix: expect.stringMatching(/DATABASE_URL/) },
  ]);
  neon.control({ mode: "up" });
  const sql = openLocalSql(neon.url);
  await migrate(sql, "down");
  try {
    expect(bad(await examineFolder(folder))).toMatchObject([
      { check: "postgres", fix: expect.stringMatching(/^npm run db:up/) },
    ]);
  } finally {
    await migrate(sql, "up");
  }
});

test("[DOCTOR-1] settings that git would take, or others could read, are found", async () => {
  const folder = await makeFolder();
  await edit(folder, ".gitignore", ".dev.vars", "");
  expect(bad(await examineFolder(folder))).toMatchObject([
    { check: "git", fix: "add the line .dev.vars to .gitignore" },
  ]);
  execFileSync("git", ["add", ".dev.vars"], { cwd: folder });
  expect(bad(await examineFolder(folder))).toMatchObject([
    { check: "git", fix: expect.stringMatching(/^git rm --cached/) },
  ]);
  const open = await makeFolder();
  await chmod(join(open, ".dev.vars"), 0o644);
  expect(bad(await examineFolder(open))).toMatchObject([
    { check: "file mode", state: "warn", fix: "chmod 600 .dev.vars" },
  ]);
});

test("[DOCTOR-1] packages of another lockfile, and a port that is taken, are found", async () => {
  const folder = await makeFolder();
  await edit(folder, "package-lock.json", /^\{/, "{ ");
  expect(bad(await examineFolder(folder))).toMatchObject([{ check: "install", fix: "npm ci" }]);
  const server = createServer();
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  expect(bad(await examineFolder(await makeFolder(), { port }))).toMatchObject([{ check: "port", state: "warn" }]);
  server.close();
});

const LOOSE: [name: string, file: string, from: string | RegExp, to: string, detail: RegExp][] = [
  [
    "a binding to another environment's Worker",
    "wrangler.toml",
    '"basechat-mcp-staging"',
    '"basechat-mcp"',
    /\[env.staging\]: MCP is bound to basechat-mcp/,
  ],
  [
    "an environment without an object",
    "wrangler.toml",
    /(env.production.durable_objects][^]*?) {2}\{ name = "FLIGHTS".*\n/,
    "$1",
    /\[env.production\]: the binding FLIGHTS is missing/,
  ],
  [
    "an entrypoint that an environment leaves out",
    "wrangler.toml",
    'service = "basechat-llm-agent-staging", entrypoint = "LlmAgentEntrypoint"',
    'service = "basechat-llm-agent-staging"',
    /\[env.staging\]: the binding LLM_AGENT does not lead to LlmAgentEntrypoint/,
  ],
  [
    "figures that an environment does not write",
    "wrangler.toml",
    "[observability]",
    '[[analytics_engine_datasets]]\nbinding = "ANALYTICS"\n\n[observability]',
    /\[env.production\]: the binding ANALYTICS is missing/,
  ],
  [
    "a needed secret that is not required",
    "wrangler.toml",
    'required = ["SECRET_KEY", ',
    "required = [",
    /SECRET_KEY is missing in secrets.required/,
  ],
  [
    "a needed secret of mcp that is not required",
    "wrangler.mcp.toml",
    'required = ["DATABASE_URL", ',
    "required = [",
    /wrangler.mcp.toml, \[env.staging\]: DATABASE_URL is missing in secrets.required/,
  ],
  [
    "an environment that says nothing of its secrets",
    "wrangler.llm-agent.toml",
    /\[env.production.secrets\]\nrequired = \[\]/,
    "",
    /\[env.production\]: secrets.required is missing/,
  ],
  [
    "a required secret that nobody reads",
    "wrangler.llm-agent.toml",
    "required = []",
    'required = ["OPENAI_KEY"]',
    /OPENAI_KEY in secrets.required is no secret that llm-agent reads/,
  ],
  [
    "a malformed setting in a file",
    "wrangler.toml",
    "[env.staging.vars]",
    '[env.staging.vars]\nCACHE_LLM_TTL = "an hour"',
    /\[env.staging\]: vars: CACHE_LLM_TTL is malformed/,
  ],
  [
    "a class that no migration makes",
    "wrangler.mcp.toml",
    '"ToolboxObject", "MonitorObject"]',
    '"ToolboxObject"]',
    /no migration makes MonitorObject/,
  ],
  ["another compatibility date", "wrangler.mcp.toml", "2026-10-01", "2025-10-01", /compatibility_date differs/],
  [
    "a secret in a file",
    "wrangler.llm-agent.toml",
    "[env.staging.vars]",
    '[env.staging.vars]\nOPENAI_API_KEY = "sk-in-the-file"',
    /OPENAI_API_KEY is a secret and stands under vars/,
  ],
  [
    "an environment with the top level's name",
    "wrangler.toml",
    'name = "basechat-staging"',
    'name = "basechat"',
    /would replace it/,
  ],
  [
    "secrets at the top level",
    "wrangler.toml",
    "[observability]",
    '[secrets]\nrequired = ["SECRET_KEY"]\n\n[observability]',
    /keeps other settings of .dev.vars/,
  ],
  ["a file that is no TOML", "wrangler.toml", "[observability]", "[observability", /cannot be read/],
];

test.each(LOOSE)("[DOCTOR-2] %s is found", async (_name, ...[file, from, to, detail]) => {
  const folder = await makeFolder();
  await edit(folder, file, from, to);
  const findings = await examineFolder(folder);
  expect(bad(findings)).toContainEqual(
    expect.objectContaining({ check: "wrangler files", detail: expect.stringMatching(detail) }),
  );
  expect(JSON.stringify(findings)).not.toContain("sk-in-the-file");
});

test("[DOCTOR-1] a deployment's settings stand in its file, wherever that is, and under vars", async () => {
  const folder = await makeFolder();
  await edit(
    folder,
    "wrangler.toml",
    "[env.staging.vars]",
    '[env.staging.vars]\nUPSTASH_REDIS_REST_URL = "https://r.example"',
  );
  const elsewhere = await makeFolder({ UPSTASH_REDIS_REST_URL: undefined });
  const file = join(elsewhere, "staging.vars");
  await cp(join(elsewhere, ".dev.vars"), file);
  const found = await examine({ root: folder, nodeVersion: "24.1.0", port: 0, file, isOffline: true });
  expect(found.filter(({ check }) => check === "main")).toMatchObject([{ state: "ok" }]);
});

test("[DOCTOR-3] the command tells each check and its fix as text or JSON, and by its exit code whether one failed", async () => {
  const folder = await makeFolder({ CACHE_LLM_TTL: "an hour", CACHE_ENABELD: "true" });
  const file = join(folder, ".dev.vars");
  const run = (...args: string[]) =>
    new Promise<{ code: number; stdout: string }>((resolve) => {
      const command = [join(import.meta.dirname, "doctor.ts"), "--offline", "--file", file, ...args];
      const child = execFile(process.execPath, command, { cwd: ROOT }, (_error, stdout) =>
        resolve({ code: child.exitCode ?? -1, stdout }),
      );
    });
  const [json, text] = await Promise.all([run("--json"), run()]);
  const findings = JSON.parse(json.stdout) as Finding[]; // as it is asked to write
  expect([json.code, text.code]).toEqual([1, 1]);
  expect(new Set(findings.map(({ state }) => state))).toEqual(new Set(["ok", "warn", "fail"]));
  for (const { state, fix } of findings) expect(fix !== undefined).toBe(state !== "ok");
  expect(findings).toContainEqual(expect.objectContaining({ check: "main", state: "fail" }));
  expect(stripVTControlCharacters(text.stdout)).toMatch(
    /✗ main +CACHE_LLM_TTL is malformed\n +fix: mend CACHE_LLM_TTL/,
  );
  await writeFile(file, (await readFile(file, "utf8")).replace("an hour", "3600").replace(LOCAL_LLM_KEY, "sk-another"));
  const mended = await run("--json");
  const left = JSON.parse(mended.stdout) as Finding[]; // as above
  expect(mended.code).toBe(left.some(({ state }) => state === "fail") ? 1 : 0);
  expect(bad(left).filter(({ check }) => check === "main")).toEqual([]);
}, 120_000);

test("[DOCTOR-1] a finding is shown with its sign and its fix", () => {
  const shown = show({ check: "redis", state: "fail", detail: "away", fix: "start it" });
  expect(stripVTControlCharacters(shown)).toMatch(/^✗ redis +away\n +fix: start it$/);
});

async function expectNoValues(findings: Finding[], folder: string): Promise<void> {
  const values = Object.values(parseEnv(await readFile(join(folder, ".dev.vars"), "utf8")));
  const told = values.filter((value = "") => value.length > 4 && JSON.stringify(findings).includes(value));
  expect(told).toEqual([]);
}
