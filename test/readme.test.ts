/**
 * The documents against the code: every command of README.md runs, its routes and settings are the code's, links lead somewhere.
 * A shell or JavaScript block is marked `<!-- run: text that its output holds -->` or `<!-- not run: why -->`.
 * State: a house, and a temporary folder that stands for the repository's root with this house in .dev/session.json.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { glob, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { parseEnv, promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { EVENT_DATA } from "../contracts/events.ts";
import { writeConfigurationPage } from "../dev/configuration.ts";
import { listRoutes } from "../dev/routes.ts";
import { listSettings, readersOf, WORKER_NAMES } from "../dev/settings-table.ts";
import { readConfig as readAgentConfig } from "../workers/llm-agent/env.ts";
import { readConfig as readMainConfig } from "../workers/main/env.ts";
import { readConfig as readMcpConfig } from "../workers/mcp/env.ts";
import { type House, openHouse, type Tenant } from "./house.ts";

const ROOT = join(import.meta.dirname, "..");
/** Read by `npm run dev`, not by a Worker. */
const DEV_SETTINGS = ["REDIS_URL"];

const README = await read("README.md");
const EXAMPLE = await read(".dev.vars.example");
const BLOCKS = [...README.matchAll(/(?:^<!-- (run|not run): (.+) -->\n)?^```(sh|bash|js|ts)\n([^]*?)^```$/gm)].map(
  ([, mark, text = "", , code = ""]) => ({ mark, text, code }),
);
const hasCurl = (process.env["PATH"] ?? "").split(delimiter).some((folder) => existsSync(join(folder, "curl")));

let house: House;
let as: Tenant;
let folder: string;
beforeAll(async () => {
  house = await openHouse();
  as = await house.newTenant();
  folder = await mkdtemp(join(tmpdir(), "readme-"));
  await mkdir(join(folder, ".dev"));
  await writeFile(join(folder, ".dev/session.json"), JSON.stringify({ url: house.url, api_key: as.apiKey }));
  for (const name of ["contracts", "db", "dev", "node_modules", "workers"]) {
    await symlink(join(ROOT, name), join(folder, name));
  }
});
afterAll(async () => {
  await house.close();
  await rm(folder, { recursive: true });
});

function read(file: string): Promise<string> {
  return readFile(join(ROOT, file), "utf8");
}

test("every command block of README.md says whether it is run", () => {
  expect(BLOCKS.filter(({ mark }) => mark === undefined).map(({ code }) => code)).toEqual([]);
  expect(BLOCKS.filter(({ mark }) => mark === "run").length).toBeGreaterThan(0);
});

test.skipIf(!hasCurl).each(BLOCKS.filter(({ mark }) => mark === "run"))(
  "a block of README.md gives $text",
  async ({ text, code }) => {
    const script = code.replaceAll("http://localhost:8787", house.url.origin);
    const env = {
      ...process.env,
      KEY: as.apiKey,
      DATABASE_URL: "postgres://basechat:local@localhost/basechat",
      DATABASE_HTTP_URL: `${house.neon.url}/sql`,
      SECRET_KEY: "a key of this test alone, 32 characters or more",
    };
    const { stdout } = await promisify(execFile)("sh", ["-euc", script], { cwd: folder, env });
    expect(stdout).toContain(text);
  },
);

test("every route of README.md is there, with its method", async () => {
  const routes = [...README.matchAll(/^\| `(GET|POST|PUT|PATCH|DELETE) (\/\S*)` \|/gm)];
  expect(routes.length).toBeGreaterThan(0);
  for (const [, method = "", path = ""] of routes) {
    const response = await house.call(path.replaceAll(/\{\w+_id\}/g, "01a208de-6660-7c32-a3a9-606e4aa602fc"), {
      as,
      method,
    });
    expect(await response.text(), `${method} ${path}`).not.toMatch(
      /no such route|"code":"(method_not_allowed|internal)"/,
    );
  }
});

test("every route and every event of the code is in README.md", () => {
  const served = listRoutes().map(({ method, path }) => `${method} ${path}`);
  const listed = [...README.matchAll(/^\| `([A-Z]+ \/\S*)` \|/gm)].map(([, route]) => route);
  expect(new Set(listed)).toEqual(new Set(served));
  const [, table = ""] = /^\| event \| data \|\n([^]*?)\n\n/m.exec(README) ?? [];
  const told = [...table.matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name);
  expect(new Set(told)).toEqual(new Set(Object.keys(EVENT_DATA)));
});

test("[CONF-1] docs/configuration.md is what the schemas say; README.md names no setting that they do not know", async () => {
  expect(await read("docs/configuration.md")).toBe(writeConfigurationPage());
  const inReadme = [...README.matchAll(/^\| `([A-Z][A-Z0-9_]+)` \| ([\w, -]+) \|/gm)];
  expect(inReadme.length).toBeGreaterThan(0);
  for (const [, name = "", workers] of inReadme) expect(readersOf(name).join(", "), name).toBe(workers);
});

test("[CONF-2] .dev.vars.example names every setting, and no others", () => {
  const known = WORKER_NAMES.flatMap((worker) => listSettings(worker).map(({ name }) => name));
  const inExample = [...EXAMPLE.matchAll(/^# ([A-Z][A-Z0-9_]+)=/gm)].map(([, name]) => name);
  expect(new Set(inExample)).toEqual(new Set([...known, ...DEV_SETTINGS]));
});

test("[CONF-2] the values of .dev.vars.example are good ones", () => {
  const values = parseEnv(EXAMPLE.replaceAll(/^# (?=[A-Z][A-Z0-9_]+=)/gm, ""));
  const left = ["SECRET_KEY", "UPSTASH_REDIS_REST_TOKEN"].map((name) => `${name} is missing`);
  expect(readMainConfig(values).problems).toEqual(left);
  expect(readAgentConfig(values).malformed).toEqual([]);
  expect(readMcpConfig(values).ok).toBe(true);
});

test("links between the documents lead to files", async () => {
  const broken: string[] = [];
  for await (const file of glob("{*,docs/**/*}.md", { cwd: ROOT })) {
    for (const [, target = ""] of (await read(file)).matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)) {
      if (!existsSync(join(ROOT, dirname(file), target))) broken.push(`${file}: ${target}`);
    }
  }
  expect(broken).toEqual([]);
});
