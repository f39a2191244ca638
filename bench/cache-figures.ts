/**
 * P5, P6 and P12: what a hit costs beside one read of the same Redis, beside the least that it could be (bench/comparators/least.mjs), beside
 * a miss, and what a dead Redis costs. Rounds are interleaved; a ratio is the median of the rounds' ratios. `node bench/cache-figures.ts`
 * prints the table. The objects write to the folder of temporary files: on a busy disk its speed is what is measured, so let TMPDIR name one
 * in memory. Pinned to two cores where `taskset` is there, as bench/streams.ts is.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { buildWorkers } from "../dev/build.ts";
import type { Tenant } from "../dev/house.ts";
import { LOCAL_REDIS_TOKEN } from "../dev/local.ts";
import { openComparator } from "./comparators.ts";
import { openTimedHouse, type TimedHouse } from "./house.ts";
import { pin } from "./processes.ts";

const REDIS_MS = 10;
const MODEL_MS = 300;
const ROUNDS = 200;
const LATE_ROUNDS = 15;
const WARM = 20;
const OUTAGES = 8;

let asked = 0;
const fresh = (): string => `Tell me more ${"again ".repeat((asked += 1))}`.trim();

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** Time from the request to the first delta, and to the end. */
async function chat(
  house: TimedHouse,
  as: Tenant,
  prompt: string,
): Promise<{ firstTokenMs: number; verdict: string | null }> {
  const startedAtMs = performance.now();
  const response = await house.call("/chat/stream", { as, body: { prompt } });
  let text = "";
  let firstTokenMs = Number.NaN;
  for await (const piece of (response.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream())) {
    text += piece;
    if (Number.isNaN(firstTokenMs) && text.includes("event: delta")) firstTokenMs = performance.now() - startedAtMs;
  }
  return { firstTokenMs, verdict: response.headers.get("x-cache") };
}

async function readRedis(house: TimedHouse): Promise<number> {
  const startedAtMs = performance.now();
  const headers = { authorization: `Bearer ${LOCAL_REDIS_TOKEN}` };
  await (await fetch(house.redis.url, { method: "POST", headers, body: '["GET","basechat:purges"]' })).text();
  return performance.now() - startedAtMs;
}

async function askBare(url: URL): Promise<number> {
  const startedAtMs = performance.now();
  await (await fetch(url, { method: "POST", body: "a question" })).text();
  return performance.now() - startedAtMs;
}

/** P5 and P6, with Redis and the model as far away as they may be. */
async function measureHits(house: TimedHouse, as: Tenant): Promise<string[][]> {
  const hot = fresh();
  await chat(house, as, hot);
  await house.redis.until(({ in_flight }) => in_flight === 0);
  const settings = { REDIS_URL: house.redis.url, REDIS_TOKEN: LOCAL_REDIS_TOKEN };
  const bare = await openComparator("least.mjs", settings, { OBJECTS: "BareObject" });
  const askHot = async (): Promise<number> => (await chat(house, as, hot)).firstTokenMs;
  for (let warm = 0; warm < WARM; warm += 1) {
    await askBare(bare.url);
    await askHot();
  }
  house.redis.control({ latencyMs: REDIS_MS });
  const times = { read: [] as number[], bare: [] as number[], hit: [] as number[] };
  for (let round = 0; round < ROUNDS; round += 1) {
    times.read.push(await readRedis(house));
    times.bare.push(await askBare(bare.url));
    times.hit.push(await askHot());
  }
  // Apart from those: while a model is waited for, the processes lie idle, and what comes then is slower.
  const late = { miss: [] as number[], hit: [] as number[] };
  for (let round = 0; round < LATE_ROUNDS; round += 1) {
    late.miss.push((await chat(house, as, fresh())).firstTokenMs);
    late.hit.push(await askHot());
  }
  house.redis.control({ latencyMs: 0 });
  await bare.close();
  return [
    compare("P5", "hit, first token / one GET of the same Redis", { of: times.hit, over: times.read, digits: 2 }),
    compare("P5", "a bare Worker, object and GET / one GET", { of: times.bare, over: times.read, digits: 2 }),
    compare("P6", "hit / miss, first token", { of: late.hit, over: late.miss, digits: 3 }),
  ];
}

/** The medians, and the median of the rounds' ratios. */
function compare(row: string, what: string, { of, over, digits }: Rounds): string[] {
  const ratios = of.map((ms, round) => ms / (over[round] ?? Number.NaN));
  return [row, what, `${median(of).toFixed(1)} ms / ${median(over).toFixed(1)} ms`, median(ratios).toFixed(digits)];
}

interface Rounds {
  of: number[];
  over: number[];
  digits: number;
}

/** P12: the first chat after Redis has died, the second, and those after the breaker has opened, each less a chat while it lived. */
async function measureOutages(house: TimedHouse, as: Tenant): Promise<string[][]> {
  const added: [number[], number[], number[]] = [[], [], []];
  for (let outage = 0; outage < OUTAGES; outage += 1) {
    house.redis.control({ mode: "up" });
    while ((await chat(house, as, fresh())).verdict === "BYPASS") await sleep(200);
    const healthy = median(await inOrder(8, async () => (await chat(house, as, fresh())).firstTokenMs));
    await house.redis.until(({ in_flight }) => in_flight === 0);
    house.redis.control({ mode: "blackhole" });
    const dead = await inOrder(12, async () => (await chat(house, as, fresh())).firstTokenMs - healthy);
    added[0].push(dead[0] ?? Number.NaN);
    added[1].push(dead[1] ?? Number.NaN);
    added[2].push(...dead.slice(2));
  }
  house.redis.control({ mode: "up" });
  const names = ["first chat", "second chat", "once the breaker is open"];
  return added.map((values, at) => ["P12", `Redis dead, added: ${names[at]}`, "", `${median(values).toFixed(1)} ms`]);
}

async function inOrder<T>(times: number, work: () => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  for (let at = 0; at < times; at += 1) results.push(await work());
  return results;
}

async function withHouse(
  firstTokenMs: number,
  work: (house: TimedHouse, as: Tenant) => Promise<string[][]>,
): Promise<string[][]> {
  const pace = { firstTokenMs, tokensPerSecond: Number.POSITIVE_INFINITY };
  const house = await openTimedHouse(bundles, { pace });
  const as = await house.newTenant();
  for (let warm = 0; warm < WARM; warm += 1) await chat(house, as, fresh());
  const rows = await work(house, as);
  await house.close();
  return rows;
}

pin(process.pid, 0);
const bundles = await buildWorkers();
const rows = [...(await withHouse(MODEL_MS, measureHits)), ...(await withHouse(0, measureOutages))];
console.log(
  `Redis ${REDIS_MS} ms away, the model's first token after ${MODEL_MS} ms; medians of ${ROUNDS} rounds and ${OUTAGES} outages\n`,
);
console.log("| row | what | medians | figure |\n|---|---|--:|--:|");
for (const row of rows) console.log(`| ${row.join(" | ")} |`);
