/** What is handed on, when and to whom; and that the files of ops/ ask for metrics and labels that there are. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type Figures, METRICS, type MetricName } from "../../../contracts/metrics.ts";
import { createReporter } from "./reporter.ts";
import { newTable } from "./table.ts";

function open() {
  const clock = { ms: 1_000_000 };
  const told: { at: number; figures: Figures }[] = [];
  const behind: (() => Promise<unknown>)[] = [];
  const points: AnalyticsEngineDataPoint[] = [];
  let isDown = false;
  let waiting: (() => void)[] = [];
  const reporter = createReporter({
    shard: (at) => ({
      async add(figures) {
        if (isDown) throw new Error("away");
        told.push({ at, figures });
      },
      read: () => Promise.reject(new Error("not asked for")),
    }),
    dataset: { writeDataPoint: (point = {}) => void points.push(point) },
    now: () => clock.ms,
    newId: () => "01a208da-e978-7048-8025-8d0d150d1079",
    wait: () => new Promise<void>((resolve) => void waiting.push(resolve)),
    waitUntil: (work) => void behind.push(() => work),
    models: new Set(["demo"]),
    table: newTable(),
  });
  return {
    ...{ reporter, clock, told, behind, points },
    setDown: (down: boolean) => void (isDown = down),
    async later() {
      for (const resolve of waiting) resolve();
      waiting = [];
      await Promise.all(behind.map((work) => work()));
    },
  };
}

test("[METRICS-9] however much is counted, one batch goes to one shard in five seconds, and to Analytics Engine", async () => {
  const { reporter, clock, told, behind, points, later } = open();
  for (let turn = 0; turn < 500; turn += 1) {
    clock.ms += 9;
    reporter.count("basechat_purges_total", { outcome: "ok" });
    reporter.observe("basechat_tool_duration_seconds", { tool: "calculator" }, 0.02);
    reporter.flushSoon();
  }
  expect([behind.length, told.length]).toEqual([1, 0]);
  await later();
  expect(told).toHaveLength(1);
  expect(told[0]?.figures.counters).toEqual([['basechat_purges_total{outcome="ok"}', 500]]);
  expect(told[0]?.figures.histograms[0]?.[1].sum).toBeCloseTo(10);
  expect(points.map(({ indexes, doubles }) => [indexes, doubles?.[0]])).toEqual([
    [["basechat_purges_total"], 500],
    [["basechat_tool_duration_seconds"], 500],
  ]);
  // Nothing new, nothing added up again.
  await reporter.flush();
  expect(told[1]?.figures.counters).toEqual([]);
});

test("[METRICS-9] of more series than Analytics Engine takes at once none is lost: the rest goes with the next batches, added up", async () => {
  const { reporter, points } = open();
  const batch = async (): Promise<number> => {
    const before = points.length;
    await reporter.flush();
    return points.length - before;
  };
  const countAll = (): void => {
    for (let at = 0; at < 300; at += 1) {
      reporter.count("basechat_tool_calls_total", { tool: `t${at}`, outcome: "ok" });
      reporter.observe("basechat_tool_duration_seconds", { tool: `t${at}` }, 0.5);
    }
  };
  countAll();
  expect(await batch()).toBe(250);
  countAll();
  expect([await batch(), await batch(), await batch(), await batch()]).toEqual([250, 250, 100, 0]);
  const told = new Map<string, [number, number]>();
  for (const { blobs, doubles } of points) {
    const series = String(blobs?.[1]);
    const [counted, sum] = told.get(series) ?? [0, 0];
    told.set(series, [counted + (doubles?.[0] ?? 0), sum + (doubles?.[1] ?? 0)]);
  }
  expect(told.size).toBe(600);
  for (const [series, doubles] of told) expect(doubles).toEqual([2, series.includes("duration") ? 1 : 0]);
});

test("[METRICS-9] whoever was to hand on and did not come back is not waited for, and a batch that is lost is counted", async () => {
  const { reporter, clock, told, behind, setDown } = open();
  reporter.flushSoon();
  clock.ms += 5_000;
  reporter.flushSoon();
  expect(behind).toHaveLength(2);
  setDown(true);
  reporter.count("basechat_purges_total", { outcome: "ok" });
  await reporter.flush();
  setDown(false);
  await reporter.flush();
  expect(told[0]?.figures.counters).toEqual([["basechat_metrics_lost_total", 1]]);
});

test("[METRICS-2] series are bounded, and what is strange in a label is taken out", async () => {
  const { reporter, told } = open();
  for (let at = 0; at < 5_000; at += 1) reporter.count("basechat_tool_calls_total", { tool: `t${at}`, outcome: "ok" });
  await reporter.flush();
  expect(told[0]?.figures.counters.length).toBe(2_000);
  reporter.count("basechat_tool_calls_total", { tool: `a"}\n\\${"x".repeat(99)}`, outcome: "ok" });
  reporter.count("basechat_cost_usd_total", { model: "whatever a client says" }, 1);
  await reporter.flush();
  expect(told[1]?.figures.counters.map(([series]) => series)).toEqual([
    `basechat_tool_calls_total{tool="a_}__${"x".repeat(59)}",outcome="ok"}`,
    'basechat_cost_usd_total{model="other"}',
  ]);
});

const OPS = join(import.meta.dirname, "../../../ops");

test.each(["grafana-dashboard.json", "alerts.yaml"])(
  "[METRICS-8] %s asks for metrics and labels that there are",
  async (file) => {
    const text = await readFile(join(OPS, file), "utf8");
    const expressions = file.endsWith(".json")
      ? (JSON.parse(text) as { panels: { targets: { expr: string }[] }[] }).panels.flatMap(({ targets }) =>
          targets.map(({ expr }) => expr),
        )
      : [...text.matchAll(/^ +expr: (.*)$/gm)].map(([, expression = ""]) => expression);
    expect(expressions.length).toBeGreaterThan(10);
    const asked = new Set<MetricName>();
    for (const expression of expressions) {
      const found = [...expression.matchAll(/\b(?:basechat|gen_ai)_\w+?(?=_(?:bucket|sum|count)\b|\b)/g)].map(
        ([name]) => name,
      );
      const names = found.filter((name) => name in METRICS) as MetricName[]; // as was just seen
      expect(names.length, expression).toBeGreaterThan(0);
      const labels = new Set<string>(["le", ...names.flatMap((name) => METRICS[name].labels)]);
      const used = [
        ...[...expression.matchAll(/by \(([^)]*)\)/g)].flatMap(([, list = ""]) => list.split(/, */)),
        ...[...expression.matchAll(/(\w+)(?:=|!~|=~|!=)"/g)].map(([, label = ""]) => label),
      ];
      expect(
        used.filter((label) => !labels.has(label)),
        expression,
      ).toEqual([]);
      expect(
        found.filter((name) => !(name in METRICS) && !labels.has(name)),
        expression,
      ).toEqual([]);
      for (const name of names) asked.add(name);
      for (const name of names) {
        const isHistogram = METRICS[name].type === "histogram";
        expect(new RegExp(`${name}_(bucket|sum|count)\\b`).test(expression), expression).toBe(isHistogram);
      }
    }
    const wanted = file.endsWith(".json") ? Object.keys(METRICS) : [...asked];
    expect([...asked].sort()).toEqual(wanted.sort());
  },
);
