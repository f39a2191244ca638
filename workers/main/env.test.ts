import { expect, test } from "vitest";
import { readConfig } from "./env.ts";

const COMPLETE = {
  SECRET_KEY: "x".repeat(32),
  DATABASE_URL: "postgres://u:p@host/db",
  UPSTASH_REDIS_REST_URL: "https://redis.example.test",
  UPSTASH_REDIS_REST_TOKEN: "token",
};

test("[F36] a complete environment has no problems; an empty line counts as missing", () => {
  const config = readConfig({ ...COMPLETE, CACHE_LLM_TTL: "", CACHE_ENABLED: "", LLM_TYPE: "" });
  expect(config.problems).toEqual([]);
  expect(config).toMatchObject({ CACHE_LLM_TTL: 3_600, CACHE_ENABLED: "true", LLM_TYPE: undefined });
});

test("[F36] each missing or malformed setting is named, and its value is not", () => {
  const wrong = { SECRET_KEY: "short", CACHE_LLM_TTL: "soon", TOOL_POLICY: '[{"tool":"x"}]', LLM_TYPE: "other" };
  const { problems } = readConfig({ ...COMPLETE, ...wrong, DATABASE_URL: "" });
  expect(problems.toSorted()).toEqual([
    "CACHE_LLM_TTL is malformed",
    "DATABASE_URL is missing",
    "LLM_TYPE is malformed",
    "SECRET_KEY is malformed",
    "TOOL_POLICY is malformed",
  ]);
});

test("[F36] a malformed policy denies every tool, and a malformed switch of the cache switches it off", () => {
  const config = readConfig({ ...COMPLETE, TOOL_POLICY: "[{},]", CACHE_ENABLED: "False" });
  expect(config).toMatchObject({ TOOL_POLICY: [{ tool: "*", action: "deny" }], CACHE_ENABLED: "false" });
});

test("[B55] a list of pages holds exact origins; anything else in it empties it", () => {
  const read = (list: string) => readConfig({ ...COMPLETE, CORS_ORIGINS: list });
  expect(read("https://a.example, http://localhost:5173,").CORS_ORIGINS).toEqual([
    ...["https://a.example", "http://localhost:5173"],
  ]);
  for (const list of ["*", "null", "https://a.example/", "https://a.example,a.example", "https://*.a.example"]) {
    expect(read(list)).toMatchObject({ CORS_ORIGINS: [], problems: ["CORS_ORIGINS is malformed"] });
  }
  expect(read("")).toMatchObject({ CORS_ORIGINS: [], problems: [] });
});

test("[F36] a malformed registry has no models; a default model that is not in it is named; without one any name is a model", () => {
  expect(readConfig({ ...COMPLETE, MODELS: '{"models":{}}' })).toMatchObject({
    ...{ MODELS: { models: {} }, problems: ["MODELS is malformed"] },
  });
  const MODELS = '{"models":{"b*":{},"mine":{}}}';
  expect(readConfig({ ...COMPLETE, MODELS, DEFAULT_MODEL: "other" }).problems).toEqual([
    "DEFAULT_MODEL is not in MODELS",
  ]);
  expect(readConfig({ ...COMPLETE, MODELS })).toMatchObject({ DEFAULT_MODEL: "mine", problems: [] });
  expect(readConfig({ ...COMPLETE, DEFAULT_MODEL: "any" })).toMatchObject({
    MODELS: { models: { "*": {} } },
    problems: [],
  });
});
