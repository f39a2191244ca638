import { expect, test } from "vitest";
import { createLog, type LogLine, type LogOptions } from "./log.ts";

function written(options: Partial<LogOptions>, lines: LogLine[]): Record<string, unknown>[] {
  const texts: string[] = [];
  const whole = {
    level: "info",
    sample: 1,
    sha256: (text: string) => text.slice("basechat ".length),
    ...options,
  } as const;
  const log = createLog({ ...whole, write: (text) => void texts.push(text) });
  for (const line of lines) log(line);
  return texts.map((text) => JSON.parse(text) as Record<string, unknown>);
}

const ids = Array.from(
  { length: 256 },
  (_, at) => `01a208da-e978-7048-8025-8d0d${at.toString(16).padStart(2, "0")}0d1079`,
);
const MISS = { status: 504, code: "cache_miss" } as const;
const request = (id: string, more: Partial<LogLine> = {}): LogLine => ({ service: "main", request_id: id, ...more });

test("[LOG-2] lines below the level are left out; a line with an error or a status from 500 on is an error", () => {
  const lines = [
    { level: "debug" },
    { level: "warn" },
    { error: "x" },
    { status: 503 },
    { status: 404 },
    MISS,
  ] as const;
  const levels = (level: LogOptions["level"]) =>
    written(
      { level },
      lines.map((line) => ({ service: "main", ...line })),
    ).map((line) => line["level"]);
  expect(levels("debug")).toEqual(["debug", "warn", "error", "error", "info", "info"]);
  expect(levels("info")).toEqual(["warn", "error", "error", "info", "info"]);
  expect(levels("error")).toEqual(["error", "error"]);
});

test("[LOG-3] a share of the requests is written, all lines of a request or none; errors and audits always", () => {
  // The last eight digits of the ids are spread evenly.
  const kept = (service: string) =>
    written(
      { sample: 0.25 },
      ids.map((id) => ({ service, request_id: id })),
    ).map((line) => line["request_id"]);
  expect(kept("main")).toHaveLength(64);
  expect(kept("mcp")).toEqual(kept("main"));
  const always = [
    { status: 500 },
    { error: "x" },
    { audit: "tool_call" },
    { route: "audit" },
    { route: "cache.purge" },
  ];
  for (const line of always)
    expect(
      written(
        { sample: 0 },
        ids.map((id) => request(id, line)),
      ),
    ).toHaveLength(256);
  expect(written({ sample: 0, level: "warn" }, [request("x", { level: "warn" })])).toHaveLength(1);
});

test("[LOG-4] users stand in lines as hashes, at any depth", () => {
  const [line] = written({}, [
    request("r", { user_id: "u", by: "b", user: "v", filter: { user: "w", tool: "t" }, tools: ["a"] }),
  ]);
  expect(line).toMatchObject({ user_id: "user u", by: "user b", user: "user v" });
  expect(line).toMatchObject({ filter: { user: "user w", tool: "t" }, tools: ["a"] });
});

test("[LOG-7] a model that no setting names is `other`", () => {
  const lines = ["demo", "whatever a client says"].map((model) => ({ service: "main", model }));
  const models = (options: Partial<LogOptions>) => written(options, lines).map((line) => line["model"]);
  expect(models({ models: new Set(["demo"]) })).toEqual(["demo", "other"]);
  expect(models({})).toEqual(["demo", "whatever a client says"]);
});
