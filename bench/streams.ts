/**
 * P2 and P3: what BaseChat adds to a model's first token, and what a stream costs in CPU, beside a bare pass-through and a hand-written
 * skeleton of the same work (bench/comparators), each on its own workerd. Rounds are interleaved; CPU is that of the workerd process.
 * `node bench/streams.ts` prints the table. Pinned to two cores where `taskset` is there: workerd on one, the rest on the other.
 */
import { buildWorkers } from "../dev/build.ts";
import { LOCAL_LLM_KEY, LOCAL_REDIS_TOKEN } from "../dev/local.ts";
import { openComparator } from "./comparators.ts";
import { openTimedHouse } from "./house.ts";
import { cpuMs, pin } from "./processes.ts";

const FIRST_TOKENS = 150;
const STREAMS_AT_ONCE = 8;
const ROUNDS = 12;
const CHUNKS = { many: "demo:tokens.500.gap.2", paced: "demo:tokens.100.gap.12" } as const;

interface Subject {
  name: string;
  /** Undefined: there is no process between. */
  pid: number | undefined;
  ask(prompt: string, model: string): Promise<Response>;
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

async function firstTokenMs({ ask }: Subject, prompt: string): Promise<number> {
  const startedAtMs = performance.now();
  const response = await ask(prompt, "demo:tokens.3");
  let firstMs = Number.NaN;
  for await (const piece of (response.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream())) {
    if (Number.isNaN(firstMs) && /"content":"[^"]/.test(piece)) firstMs = performance.now() - startedAtMs;
  }
  return firstMs;
}

/** CPU of several streams at once, a stream, in milliseconds. */
async function streamCpuMs({ ask, pid }: Subject, model: string): Promise<number> {
  if (pid === undefined) return Number.NaN;
  const before = cpuMs(pid);
  const streams = Array.from({ length: STREAMS_AT_ONCE }, async () => (await ask(fresh(), model)).text());
  const texts = await Promise.all(streams);
  if (texts.some((text) => !/event: done|\[DONE\]/.test(text))) throw new Error("a stream did not end well");
  return (cpuMs(pid) - before) / STREAMS_AT_ONCE;
}

let asked = 0;
const fresh = (): string => `Tell me more, ${(asked += 1)}`;

pin(process.pid, 0);
const house = await openTimedHouse(await buildWorkers());
const as = await house.newTenant();
const modelUrl = `${house.llm.url}/v1/chat/completions`;
const modelHeaders = { authorization: `Bearer ${LOCAL_LLM_KEY}`, "content-type": "application/json" };
const completion = (prompt: string, model: string) =>
  JSON.stringify({ model, stream: true, messages: [{ role: "user", content: prompt }] });

const settings = {
  ...{ MODEL_URL: modelUrl, MODEL_KEY: LOCAL_LLM_KEY },
  ...{ REDIS_URL: house.redis.url, REDIS_TOKEN: LOCAL_REDIS_TOKEN },
};
const bare = await openComparator("bare.mjs", settings);
const skeleton = await openComparator("skeleton.mjs", settings, { SESSIONS: "Session" });

const post = (url: URL | string, body: string, headers = {}): Promise<Response> =>
  fetch(url, { method: "POST", headers, body });
const direct: Subject = {
  ...{
    name: "direct",
    pid: undefined,
    ask: (prompt, model) => post(modelUrl, completion(prompt, model), modelHeaders),
  },
};
const passed: Subject = {
  ...{ name: "bare", pid: bare.pid, ask: (prompt, model) => post(bare.url, completion(prompt, model), modelHeaders) },
};
const written: Subject = {
  ...{
    name: "skeleton",
    pid: skeleton.pid,
    ask: (prompt, model) => post(skeleton.url, JSON.stringify({ prompt, model })),
  },
};
const ours: Subject = {
  ...{ name: "BaseChat", pid: house.pid },
  ask: (prompt, model) => house.call("/chat/stream", { as, body: { prompt, model } }),
};
const subjects = [direct, passed, written, ours];

for (const subject of subjects) for (let at = 0; at < 20; at += 1) await firstTokenMs(subject, fresh());
const first = new Map<Subject, number[]>(subjects.map((subject) => [subject, []]));
for (let at = 0; at < FIRST_TOKENS; at += 1) {
  for (const subject of subjects) first.get(subject)?.push(await firstTokenMs(subject, fresh()));
}
const firstMs = (subject: Subject): number => median(first.get(subject) ?? []);
console.log(`first token, median of ${FIRST_TOKENS}, one at a time (P2)\n`);
console.log("| | first token | over direct |\n|---|--:|--:|");
for (const subject of subjects) {
  const added = firstMs(subject) - firstMs(direct);
  console.log(`| ${subject.name} | ${firstMs(subject).toFixed(1)} ms | ${added.toFixed(1)} ms |`);
}

for (const [kind, model] of Object.entries(CHUNKS)) {
  const cpu = new Map<Subject, number[]>(subjects.map((subject) => [subject, []]));
  const ratios = new Map<Subject, number[]>(subjects.map((subject) => [subject, []]));
  for (let round = 0; round < ROUNDS; round += 1) {
    const bareMs = await streamCpuMs(passed, model);
    cpu.get(passed)?.push(bareMs);
    for (const subject of [written, ours]) {
      const ms = await streamCpuMs(subject, model);
      cpu.get(subject)?.push(ms);
      ratios.get(subject)?.push(ms / bareMs);
    }
  }
  console.log(`\n${kind}: ${model}, ${STREAMS_AT_ONCE} at once, CPU a stream, median of ${ROUNDS} rounds (P3)\n`);
  console.log("| | CPU | over bare |\n|---|--:|--:|");
  for (const subject of [passed, written, ours]) {
    const over = subject === passed ? 1 : median(ratios.get(subject) ?? []);
    console.log(`| ${subject.name} | ${median(cpu.get(subject) ?? []).toFixed(1)} ms | ${over.toFixed(2)} |`);
  }
}
await Promise.all([house.close(), bare.close(), skeleton.close()]);
