/** The guide to a node behind a tunnel, held against what a node is asked for. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { PROVIDER_PATHS } from "./openai-compatible.ts";

const GUIDE = join(import.meta.dirname, "../../docs/vllm-tunnel.md");

test("[LLM-7] the guide's ingress lets through each path of a node, and no other", async () => {
  const guide = await readFile(GUIDE, "utf8");
  const pattern = /^ +path: (\S+)$/m.exec(guide)?.[1];
  if (pattern === undefined) throw new Error("the guide names no path");
  const ingress = new RegExp(pattern);
  const isLetThrough = (path: string): boolean => ingress.test(path);
  expect(PROVIDER_PATHS.map((path) => `/v1${path}`).filter((path) => !isLetThrough(path))).toEqual([]);
  const others = [
    "/metrics",
    "/tokenize",
    "/version",
    "/v1/completions",
    "/v1/models/x",
    "/x/v1/models",
    "/v1/embeddingsx",
  ];
  expect(others.filter(isLetThrough)).toEqual([]);
});
