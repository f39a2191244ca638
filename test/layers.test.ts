/**
 * The rules of .oxlintrc.json, tried on snippets: each one must refuse what it is there for and let the rest pass.
 * One oxlint run over a copy of the configuration in a temporary folder, which is removed.
 */
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "..");
const LAYERS = "eslint(no-restricted-imports)";

/** A file, what it must not import, what it may. `type x` is a type-only import. */
const IMPORTS: [file: string, refused: string[], allowed: string[]][] = [
  [
    "contracts/snippet.ts",
    [
      "hono",
      "openai",
      "node:fs",
      "cloudflare:workers",
      "type drizzle-orm",
      "../db/schema.ts",
      "../workers/main/env.ts",
    ],
    ["zod", "./errors.ts", "type ./chat.ts"],
  ],
  [
    "db/snippet.ts",
    ["hono", "pg", "../workers/main/env.ts", "../dev/dev.ts", "../test/house.ts", "drizzle-kit/api"],
    ["drizzle-orm", "drizzle-orm/pg-core", "@neondatabase/serverless", "node:fs/promises", "../contracts/ids.ts"],
  ],
  ["db/drift.ts", ["hono", "../workers/main/env.ts"], ["drizzle-kit/api", "@electric-sql/pglite", "drizzle-orm"]],
  ["db/snapshots.ts", ["hono", "../workers/main/env.ts"], ["drizzle-kit/api", "drizzle-orm"]],
  ["db/migrate.ts", ["drizzle-kit/api", "@electric-sql/pglite"], ["@neondatabase/serverless", "./open.ts"]],
  [
    "workers/main/chat/snippet.ts",
    [
      ...["hono", "openai", "@upstash/redis", "drizzle-orm", "drizzle-orm/pg-core", "@neondatabase/serverless", "jsep"],
      ...["@langchain/langgraph", "@langchain/core/messages", "@modelcontextprotocol/sdk/client", "cloudflare:workers"],
      ...["left-pad", "type @upstash/redis"],
      ...["../env.ts", "type ../env.ts", "../deps.ts", "type ../deps.ts", "../app.ts", "../../../db/schema.ts"],
      ...["../cache/cache.ts", "../session/object.ts", "../routes/chat.ts", "../http/sse.ts"],
      ...["../../llm-agent/models.ts", "type ../../llm-agent/models.ts", "../../mcp/run.ts"],
      ...["../../../dev/dev.ts", "../../../test/house.ts", "../../../bench/stream.ts"],
    ],
    ["zod", "node:async_hooks", "node:fs/promises", "./turn.ts", "../../../contracts/ids.ts", "type ../cache/cache.ts"],
  ],
  [
    "workers/main/routes/snippet.ts",
    [
      "../env.ts",
      "../deps.ts",
      "../outside.ts",
      "type ../deps.ts",
      "../../../db/open.ts",
      "@upstash/redis",
      "openai",
      "drizzle-orm",
    ],
    ["hono", "hono/cors", "zod", "../http/auth.ts", "../history/search.ts", "../../../contracts/chat.ts"],
  ],
  [
    "workers/main/accounts/snippet.ts",
    ["hono", "cloudflare:workers", "drizzle-orm", "../../../db/open.ts", "../session/client.ts", "../cache/admin.ts"],
    ["zod", "node:crypto", "./storage.ts", "../../../contracts/accounts.ts", "type ../cache/admin.ts"],
  ],
  ...["accounts", "flights", "limits", "metrics"].map((room): [string, string[], string[]] => [
    `workers/main/${room}/object.ts`,
    ["hono", "../deps.ts", "../../../db/open.ts", "../session/client.ts"],
    ["cloudflare:workers", "./storage.ts", "../../../contracts/errors.ts"],
  ]),
  [
    "workers/main/cache/snippet.ts",
    ["../accounts/client.ts", "../flights/client.ts", "../limits/object.ts", "../metrics/table.ts", "@upstash/redis"],
    ["type ../flights/client.ts", "./key.ts"],
  ],
  [
    "workers/main/history/snippet.ts",
    ["@upstash/redis", "hono", "../env.ts", "../accounts/client.ts"],
    ["drizzle-orm", "../../../db/open.ts", "../../../db/schema.ts"],
  ],
  ["workers/main/http/snippet.ts", ["../env.ts", "../deps.ts", "@upstash/redis"], ["hono", "hono/factory"]],
  ["workers/main/app.ts", ["openai", "../../db/open.ts", "cloudflare:workers"], ["hono", "./deps.ts", "./env.ts"]],
  ["workers/main/index.ts", ["hono", "../mcp/index.ts"], ["cloudflare:workers", "./deps.ts", "./session/object.ts"]],
  ["workers/main/outside.ts", ["hono", "drizzle-orm", "../mcp/index.ts"], ["./env.ts", "./cache/redis.ts"]],
  ["workers/main/deps.ts", ["hono", "drizzle-orm", "../llm-agent/index.ts"], ["./env.ts", "../../db/open.ts"]],
  ["workers/main/snippet.ts", ["./deps.ts", "./env.ts", "hono"], ["zod", "../../contracts/ids.ts"]],
  [
    "workers/main/session/object.ts",
    ["../deps.ts", "../env.ts", "hono", "@langchain/langgraph", "../chat/turn.ts"],
    ["cloudflare:workers", "type ../env.ts", "type ../chat/turn.ts", "./log.ts"],
  ],
  ["workers/main/cache/redis.ts", ["openai", "../env.ts", "../chat/turn.ts"], ["@upstash/redis", "./key.ts"]],
  [
    "workers/main/history/store.ts",
    ["@upstash/redis", "../env.ts", "../chat/turn.ts"],
    ["drizzle-orm", "drizzle-orm/neon-http", "@neondatabase/serverless", "../../../db/schema.ts"],
  ],
  ["workers/main/chat/graph.ts", ["hono", "../env.ts"], ["@langchain/langgraph", "@langchain/core/singletons"]],
  ["workers/main/session/saver.ts", ["cloudflare:workers", "../env.ts"], ["@langchain/langgraph-checkpoint"]],
  ["workers/main/chat/answer-format.ts", ["hono", "@langchain/langgraph", "../env.ts"], ["@cfworker/json-schema"]],
  ["workers/main/tools/mcp.ts", ["openai", "../../mcp/run.ts"], ["@modelcontextprotocol/sdk/client/index.js"]],
  [
    "workers/llm-agent/snippet.ts",
    [
      "openai",
      "cloudflare:workers",
      "./env.ts",
      "../main/app.ts",
      "../mcp/run.ts",
      "../../db/open.ts",
      "../../dev/dev.ts",
    ],
    ["zod", "type ./env.ts", "./models.ts", "../../contracts/llm.ts"],
  ],
  ["workers/llm-agent/openai-compatible.ts", ["hono", "./env.ts"], ["openai"]],
  ["workers/llm-agent/index.ts", ["openai", "../main/app.ts"], ["cloudflare:workers", "./env.ts"]],
  [
    "workers/mcp/snippet.ts",
    ["@modelcontextprotocol/sdk/server/mcp.js", "jsep", "cloudflare:workers", "./env.ts", "../main/app.ts"],
    ["zod", "type ./env.ts", "./registry.ts", "../../contracts/tools.ts"],
  ],
  ["workers/mcp/protocol/server.ts", ["jsep", "../env.ts"], ["@modelcontextprotocol/sdk/server/index.js"]],
  ["workers/mcp/session/object.ts", ["jsep", "@modelcontextprotocol/sdk/types.js"], ["cloudflare:workers"]],
  [
    "workers/mcp/knowledge/store.ts",
    ["jsep", "../env.ts", "../../main/app.ts"],
    ["drizzle-orm", "../../../db/open.ts"],
  ],
  ["workers/mcp/tools/arithmetic.ts", ["@modelcontextprotocol/sdk/types.js", "hono"], ["jsep"]],
  ["workers/mcp/index.ts", ["../llm-agent/models.ts", "jsep"], ["cloudflare:workers", "./env.ts"]],
  [
    "dev/snippet.ts",
    [
      "../test/house.ts",
      "../bench/stream.ts",
      "@upstash/redis",
      "hono/cors",
      "drizzle-orm/pg-core",
      "cloudflare:workers",
    ],
    ["redis", "wrangler", "openai", "./stand-ins/llm.ts", "../db/open.ts"],
  ],
  ["test/snippet.ts", ["../bench/stream.ts"], ["@upstash/redis", "openai", "../dev/dev.ts", "../workers/main/app.ts"]],
  [
    "workers/main/chat/snippet.test.ts",
    ["../../../bench/stream.ts"],
    ["../env.ts", "openai", "../../../test/house.ts"],
  ],
];

/** Code that one other rule refuses, by the rule's name. */
const CODE: [rule: string, file: string, code: string][] = [
  ["typescript(no-floating-promises)", "contracts/thenable.ts", "declare const query: PromiseLike<void>;\nquery;\n"],
  ["typescript(no-floating-promises)", "contracts/promise.ts", "export function f() {\n  Promise.resolve();\n}\n"],
  ["typescript(no-misused-promises)", "contracts/misused.ts", "[1].forEach(async () => Promise.resolve());\n"],
  ["typescript(no-explicit-any)", "contracts/any.ts", "export type T = any;\n"],
  ["typescript(no-non-null-assertion)", "contracts/bang.ts", "export const f = (x: string | null) => x!.length;\n"],
  [
    "typescript(consistent-type-imports)",
    "contracts/types.ts",
    'import { T } from "./any.ts";\nexport const f = (a: T) => a;\n',
  ],
  ["import(no-default-export)", "contracts/default.ts", "export default 1;\n"],
  ["import(no-cycle)", "contracts/a.ts", 'import { b } from "./b.ts";\nexport const a = (): number => b();\n'],
  ["eslint(eqeqeq)", "contracts/equal.ts", "export const f = (a: number, b: number) => a == b;\n"],
  ["eslint(no-console)", "workers/main/chat/console.ts", "console.log(1);\n"],
  [
    "eslint(max-lines-per-function)",
    "contracts/long.ts",
    `export function f() {\n${"  Math.random();\n".repeat(61)}}\n`,
  ],
  [
    "typescript(switch-exhaustiveness-check)",
    "contracts/switch.ts",
    'export function f(x: "a" | "b"): void {\n  switch (x) {\n    case "a":\n      throw new Error(x);\n  }\n}\n',
  ],
];

/** Console and default exports where they belong, and the other half of the circle above. */
const CLEAN: Record<string, string> = {
  "contracts/b.ts": 'import { a } from "./a.ts";\nexport const b = (): number => a();\n',
  "vitest.config.ts": "export default { test: {} };\n",
  "dev/print.ts": "console.log(1);\n",
};

interface Finding {
  code: string;
  filename: string;
  labels: { span: { line: number } }[];
}

let folder = "";
let findings: Finding[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "layers-"));
  await cp(join(ROOT, ".oxlintrc.json"), join(folder, ".oxlintrc.json"));
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify(await ownTsconfig()));
  for (const [file, refused, allowed] of IMPORTS) {
    await writeSnippet(file, [...refused, ...allowed].map((name, index) => importLine(name, index)).join(""));
  }
  for (const [, file, code] of CODE) await writeSnippet(file, code);
  for (const [file, code] of Object.entries(CLEAN)) await writeSnippet(file, code);
  findings = await lint();
});

afterAll(() => rm(folder, { recursive: true, force: true }));

/** The compiler options of the repository, without the types of packages: none is installed beside the snippets. */
async function ownTsconfig(): Promise<unknown> {
  const config = JSON.parse(await readFile(join(ROOT, "tsconfig.json"), "utf8")) as { compilerOptions: object };
  return { ...config, compilerOptions: { ...config.compilerOptions, types: [] } };
}

async function writeSnippet(file: string, code: string): Promise<void> {
  await mkdir(dirname(join(folder, file)), { recursive: true });
  await writeFile(join(folder, file), code);
}

/** Imports come as import, as re-export and as import(): all are imports. */
function importLine(name: string, index: number): string {
  if (name.startsWith("type ")) return `export type { T${index} } from "${name.slice(5)}";\n`;
  return (
    [`export { v${index} } from "${name}";\n`, `import "${name}";\n`, `void import("${name}");\n`][index % 3] ?? ""
  );
}

async function lint(): Promise<Finding[]> {
  const bin = join(ROOT, "node_modules", "oxlint", "bin", "oxlint");
  const env = { ...process.env, OXLINT_TSGOLINT_PATH: join(ROOT, "node_modules", ".bin", "tsgolint") };
  const options = { cwd: folder, env, maxBuffer: 2 ** 25 };
  const run = promisify(execFile)(process.execPath, [bin, "--format=json"], options);
  // Findings are expected, so it exits with 1.
  const { stdout } = await run.catch((error: unknown) => error as { stdout: string });
  return (JSON.parse(stdout) as { diagnostics: Finding[] }).diagnostics;
}

function found(file: string, code: string): Finding[] {
  const name = (finding: Finding) => relative(folder, join(folder, finding.filename));
  return findings.filter((finding) => name(finding) === file && finding.code === code);
}

describe.each(IMPORTS)("%s", (file, refused, allowed) => {
  const refusedNames = () => {
    const lines = found(file, LAYERS).map((finding) => finding.labels[0]?.span.line ?? 0);
    return lines.map((line) => [...refused, ...allowed][line - 1] ?? "").toSorted();
  };

  test("[LAYERS-1] imports what its layer may import, and nothing else", () => {
    expect(refusedNames()).toEqual(refused.toSorted());
  });
});

test.each(CODE)("[LINT-1] %s refuses %s", (rule, file) => {
  expect(found(file, rule)).not.toEqual([]);
});

test("[LINT-1] default exports and console stay possible where they belong", () => {
  const codes = Object.keys(CLEAN).flatMap((file) => [
    ...found(file, "eslint(no-console)"),
    ...found(file, "import(no-default-export)"),
  ]);
  expect(codes).toEqual([]);
});
