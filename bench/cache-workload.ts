/**
 * What the cache is worth, and whether it is ever wrong: P14 and the traces of dev/house/cache-traces.ts through the whole system, every
 * answer checked. `node bench/cache-workload.ts [seed]` prints the tables and exits 1 on a false hit. The model's first token takes 300 ms.
 * Twice: as by default, and with other wordings of a question finding its answer (CACHE_SEMANTIC_MODEL).
 */
import { type CacheStats, LAYERS } from "../contracts/cache.ts";
import { type Bundles, buildWorkers } from "../dev/build.ts";
import { type House, openHouse, type Tenant } from "../dev/house.ts";
import { holdAll, tryPairs } from "../dev/house/cache-load.ts";
import { agentTrace, faqTrace, nearPairs, openChatTrace, type Trace } from "../dev/house/cache-traces.ts";
import { seededRandom } from "../dev/house/random.ts";

const FIRST_TOKEN_MS = 300;
/** A token that is written costs four times one that is read. */
const PRICES = { demo: { input: 1, output: 4 } };
const SIZES = { faq: 1_000, chat: 150, agent: 300, pairs: 20 };

type Layers = CacheStats["layers"];

async function readStats(house: House, admin: Tenant): Promise<Layers> {
  const { layers } = await (await house.call("/cache/stats", { as: admin })).json<CacheStats>();
  return layers;
}

/** What was counted between two readings. */
function counted(before: Layers, after: Layers) {
  return LAYERS.map((layer) => {
    const [was, is] = [before[layer], after[layer]];
    return {
      ...{ layer, hits: is.hits - was.hits, joined: is.joined - was.joined, misses: is.misses - was.misses },
      similar: is.similar - was.similar,
      calls: is.saved.calls - was.saved.calls,
      prompt: is.saved.prompt_tokens - was.saved.prompt_tokens,
      completion: is.saved.completion_tokens - was.saved.completion_tokens,
    };
  });
}

/** Answers that the model was asked for; vectors are asked for one by one. */
const completions = ({ llm }: House): number => llm.stats().calls - Number(llm.stats()["texts_embedded"]);

const percent = (part: number, whole: number): string => (whole === 0 ? "-" : `${((100 * part) / whole).toFixed(0)} %`);
const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);
const costOf = (tokens: { prompt: number; completion: number }[]): number =>
  sum(tokens.map(({ prompt, completion }) => prompt * PRICES.demo.input + completion * PRICES.demo.output));

function median(values: number[]): string {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted.length === 0 ? "-" : `${(sorted[Math.floor(sorted.length / 2)] ?? 0).toFixed(0)} ms`;
}

/** One trace on an empty cache; gives its row, the rows of its layers, and how many answers were wrong. */
async function runTrace(house: House, admin: Tenant, { name, users, conversations }: Trace) {
  await (await house.call("/cache/invalidate/all", { as: admin, method: "DELETE" })).text();
  const [callsBefore, before] = [completions(house), await readStats(house, admin)];
  const answers = await holdAll(house, users, conversations);
  const layers = counted(before, await readStats(house, admin));
  const made = completions(house) - callsBefore;
  const taken = sum(answers.map(({ calls }) => calls));
  // A turn that used a cached intent does not tell the tokens of the call that it saved.
  const intents = layers.filter(({ layer }) => layer === "intent");
  const told = answers.map(({ usage }) => ({ prompt: usage.prompt_tokens, completion: usage.completion_tokens }));
  const wrong = answers.filter(({ right }) => !right).length;
  const times = (wanted: string): string =>
    median(answers.flatMap(({ verdict, firstTokenMs }) => (verdict === wanted ? [firstTokenMs] : [])));
  return {
    row: [
      ...[name, `${answers.length}`, `${taken}`, `${made}`, percent(taken - made, taken)],
      percent(2 * answers.length - made, 2 * answers.length),
      percent(costOf(layers), costOf([...told, ...intents])),
      ...[times("MISS"), times("HIT"), `${wrong}`],
    ],
    layers: layers.map(({ layer, hits, joined, similar, misses, calls, prompt, completion }) => [
      ...[name, layer, `${hits}`, `${joined}`, `${similar}`, `${misses}`, percent(hits, hits + misses)],
      ...[`${calls}`, `${prompt + completion}`],
    ]),
    wrong,
  };
}

function print(head: string[], rows: string[][]): void {
  const line = (cells: string[]): string => `| ${cells.join(" | ")} |`;
  console.log([line(head), line(head.map((_, at) => (at === 0 ? "---" : "--:"))), ...rows.map(line), ""].join("\n"));
}

/** Everything in one house; gives how many answers were wrong. */
async function runAll(bundles: Bundles, seed: number, settings: Record<string, string>): Promise<number> {
  const house = await openHouse({
    bundles,
    settings: {
      ...{ MODELS: JSON.stringify({ models: { demo: { price: PRICES.demo } } }), CACHE_READ_TIMEOUT_MS: "5000" },
      ...settings,
    },
    llm: { pace: { firstTokenMs: FIRST_TOKEN_MS, tokensPerSecond: Number.POSITIVE_INFINITY } },
  });
  const admin = await house.newTenant("admin");
  await (await house.call("/chat", { as: admin, body: { prompt: "Hello" } })).text();
  const random = seededRandom(seed);
  const traces = [faqTrace(random, SIZES.faq), openChatTrace(random, SIZES.chat), agentTrace(random, SIZES.agent)];
  const results = [];
  for (const trace of traces) results.push(await runTrace(house, admin, trace));
  print(
    [
      ...["trace", "turns", "model calls they take", "made", "saved", "saved of two a turn", "token cost saved"],
      ...["first token: miss", "hit", "false hits"],
    ],
    results.map(({ row }) => row),
  );
  print(
    ["trace", "layer", "hits", "of these joined", "similar", "misses", "hit rate", "calls saved", "tokens saved"],
    results.flatMap(({ layers }) => layers),
  );
  const kinds = [...(await tryPairs(house, nearPairs(seededRandom(seed), SIZES.pairs)))];
  const rows = kinds.map(([kind, { pairs, hits, wrong }]) => [kind, `${pairs}`, `${hits}`, `${wrong}`]);
  print(["near pair", "pairs", "first asked again: hits", "false hits"], rows);
  await house.close();
  return sum([...results.map((result) => result.wrong), ...kinds.map(([, figures]) => figures.wrong)]);
}

const seed = Number(process.argv[2] ?? 20_261);
const bundles = await buildWorkers();
let wrong = 0;
for (const [title, settings] of [
  ["as by default", {}],
  ["with CACHE_SEMANTIC_MODEL", { CACHE_SEMANTIC_MODEL: "demo" }],
] as const) {
  console.log(`seed ${seed}, ${title}\n`);
  wrong += await runAll(bundles, seed, settings);
}
if (wrong > 0) process.exitCode = 1;
