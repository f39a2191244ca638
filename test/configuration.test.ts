/** The wrangler files' environments, and what a Worker says of its settings when it starts. State: a house whose settings are malformed. */
import { join } from "node:path";
import { unstable_readConfig } from "wrangler";
import { expect, test } from "vitest";
import { checkWranglerFiles } from "../dev/doctor/wrangler-files.ts";
import { WORKERS } from "../dev/deployment.ts";
import { listSettings } from "../dev/settings-table.ts";
import { findProblems } from "../workers/mcp/env.ts";
import { openHouse } from "./house.ts";

const ROOT = join(import.meta.dirname, "..");

test("[CONF-3] the environments of the three wrangler files are whole and bound among themselves", () => {
  expect(checkWranglerFiles(ROOT)).toEqual([expect.objectContaining({ state: "ok" })]);
});

test.each(WORKERS)("[CONF-3] an environment requires the secrets that $name cannot do without", ({ name, config }) => {
  const required = listSettings(name).filter(({ isRequired, isSecret }) => isRequired && isSecret);
  for (const env of ["staging", "production"]) {
    const { secrets } = unstable_readConfig({ config: join(ROOT, config), env }, { hideWarnings: true });
    expect(secrets?.required, env).toEqual(required.map((secret) => secret.name));
  }
});

test("[CONF-4] mcp names the secrets that it is left without", () => {
  expect(findProblems({ SECRET_KEY: "", MCP_SESSION_SECONDS: "never" })).toEqual([
    "MCP_SESSION_SECONDS is malformed",
    "DATABASE_URL is missing",
    "SECRET_KEY is missing",
  ]);
});

test("[CONF-4] each Worker names its malformed settings once it starts, and no value", async () => {
  const settings = {
    CACHE_LLM_TTL: "sooner",
    LLM_TOTAL_TIMEOUT_MS: "later",
    MCP_SESSION_SECONDS: "never",
    MAX_TOKENS: "",
  };
  const house = await openHouse({ settings });
  try {
    await (await house.call("/health/ready")).text();
    await (await house.call("/health/ready")).text();
    const told = house.lines.filter((line) => line["error"] === "settings");
    expect(told.map(({ service, problems }) => ({ service, problems }))).toEqual(
      expect.arrayContaining([
        { service: "main", problems: ["CACHE_LLM_TTL is malformed"] },
        { service: "llm-agent", problems: ["LLM_TOTAL_TIMEOUT_MS is malformed"] },
        { service: "mcp", problems: ["MCP_SESSION_SECONDS is malformed"] },
      ]),
    );
    expect(told).toHaveLength(3);
    expect(JSON.stringify(house.lines)).not.toMatch(/sooner|later|never/);
  } finally {
    await house.close();
  }
});
