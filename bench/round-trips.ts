/**
 * P1 as slopes: how much later the first token comes when one dependency is 40 ms slower. A slope of 1 is one round trip on the
 * path. `node bench/round-trips.ts` prints the table; medians of interleaved rounds on this machine.
 */
import { buildWorkers } from "../dev/build.ts";
import { type House, openHouse, type Tenant } from "../dev/house.ts";
import type { StandIn } from "../dev/stand-ins/serve.ts";

const ADDED_MS = 40;
const ROUNDS = 15;

type Kind = "miss" | "tool" | "hit";

let asked = 0;

/** Time from the request to the first delta, in milliseconds. */
async function firstToken(house: House, as: Tenant, kind: Kind): Promise<number> {
  asked += 1;
  const fresh = "again ".repeat(asked).trim();
  const prompt = { miss: `Tell me more ${fresh}`, tool: `what is ${asked}+23?`, hit: "Tell me the same" }[kind];
  const startedAt = performance.now();
  const response = await house.call("/chat/stream", { as, body: { prompt } });
  let text = "";
  let firstMs = Number.NaN;
  for await (const piece of (response.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream())) {
    text += piece;
    if (Number.isNaN(firstMs) && text.includes("event: delta")) firstMs = performance.now() - startedAt;
  }
  return firstMs;
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

async function slope(house: House, as: Tenant, kind: Kind, dependency: StandIn): Promise<number> {
  const plain: number[] = [];
  const slowed: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    plain.push(await firstToken(house, as, kind));
    dependency.control({ latencyMs: ADDED_MS });
    slowed.push(await firstToken(house, as, kind));
    dependency.control({ latencyMs: 0 });
  }
  return (median(slowed) - median(plain)) / ADDED_MS;
}

const house = await openHouse({ bundles: await buildWorkers() });
const as = await house.newTenant();
for (const kind of ["miss", "tool", "hit", "hit"] as const) await firstToken(house, as, kind);
await house.redis.until((stats) => stats.in_flight === 0);

console.log(`round trips before the first token (slope of +${ADDED_MS} ms, median of ${ROUNDS} rounds)\n`);
console.log("| turn | Upstash | Postgres | model |\n|---|--:|--:|--:|");
for (const kind of ["miss", "tool", "hit"] as const) {
  const slopes = [];
  for (const dependency of [house.redis, house.neon, house.llm]) slopes.push(await slope(house, as, kind, dependency));
  console.log(`| ${kind} | ${slopes.map((value) => value.toFixed(2)).join(" | ")} |`);
}
await house.close();
