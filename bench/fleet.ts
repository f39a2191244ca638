/**
 * A fleet of three vLLM nodes of unequal speed, played by stand-ins that read what is new of a prompt at a pace of their own, serve four at
 * once, and keep the prefixes that they have seen: affinity with spill-over against a round robin in front of the same nodes, in turns;
 * then one node is killed under load. `node bench/fleet.ts [seed]` prints the tables and exits 1 if a turn fails.
 */
import { createServer, request as send } from "node:http";
import type { AddressInfo } from "node:net";
import { buildWorkers } from "../dev/build.ts";
import { openHouse } from "../dev/house.ts";
import { type FleetPlan, loadFleet, stickiness, type TurnFigures } from "../dev/house/fleet-load.ts";
import { seededRandom } from "../dev/house/random.ts";
import { serveLlm } from "../dev/stand-ins/llm.ts";
import type { StandIn } from "../dev/stand-ins/serve.ts";

const ROUNDS = 3;
const SLOTS = 4;
const SPEEDS = [
  { prefillCharsPerMs: 60, tokensPerSecond: 120 },
  { prefillCharsPerMs: 40, tokensPerSecond: 80 },
  { prefillCharsPerMs: 15, tokensPerSecond: 30 },
];
const LOAD = { people: 18, turns: 6, textChars: 12_000 };

const seed = Number(process.argv[2] ?? 1);
const random = seededRandom(seed);
const nodes = await Promise.all(SPEEDS.map((pace) => serveLlm({ pace: { firstTokenMs: 20, ...pace }, slots: SLOTS })));
const robin = await serveRoundRobin(nodes);
const MODELS = {
  providers: {
    fleet: { kind: "vllm", nodes: nodes.map(({ url }) => `${url}/v1`) },
    robin: { kind: "vllm", nodes: [`${robin.url}/v1`] },
  },
  models: {
    demo: {},
    affinity: { routes: [{ provider: "fleet", model: "demo" }] },
    robin: { routes: [{ provider: "robin", model: "demo" }] },
  },
};
const house = await openHouse({
  bundles: await buildWorkers(),
  settings: {
    MODELS: JSON.stringify(MODELS),
    PROVIDER_KEYS: '{"fleet":"k","robin":"k"}',
    CACHE_ENABLED: "false",
  },
});
const as = await house.newTenant();

interface Arm {
  figures: TurnFigures[][];
  promptChars: number;
  reusedChars: number;
}

async function run(model: string, more: Partial<FleetPlan> = {}): Promise<Arm> {
  const before = counted();
  const figures = await loadFleet(house, as, { ...LOAD, model, random, ...more });
  const [promptChars = 0, reusedChars = 0] = counted().map((count, at) => count - (before[at] ?? 0));
  return { figures, promptChars, reusedChars };
}

function counted(): number[] {
  const sum = (name: string) => nodes.reduce((total, node) => total + Number(node.stats()[name]), 0);
  return [sum("prompt_chars"), sum("reused_chars")];
}

function percentile(values: number[], share: number): string {
  return (values.toSorted((a, b) => a - b)[Math.ceil(values.length * share) - 1] ?? Number.NaN).toFixed(0);
}

function print(name: string, arms: Arm[], isSticky: boolean): number {
  const turns = arms.flatMap(({ figures }) => figures.flat());
  const first = turns.map(({ firstTokenMs }) => firstTokenMs);
  const whole = turns.map(({ wholeMs }) => wholeMs);
  const reused =
    arms.reduce((sum, arm) => sum + arm.reusedChars, 0) / arms.reduce((sum, arm) => sum + arm.promptChars, 0);
  const failed = turns.filter(({ failure }) => failure !== undefined).length;
  const sticky = isSticky ? `${(100 * stickiness(arms.flatMap(({ figures }) => figures))).toFixed(0)} %` : "";
  const times = [percentile(first, 0.5), percentile(first, 0.95), percentile(whole, 0.5), percentile(whole, 0.95)];
  console.log(`| ${[name, turns.length, ...times, `${(100 * reused).toFixed(0)} %`, sticky, failed].join(" | ")} |`);
  return failed;
}

await run("affinity", { people: 2, turns: 1 });
const affinity: Arm[] = [];
const roundRobin: Arm[] = [];
for (let round = 0; round < ROUNDS; round += 1) {
  affinity.push(await run("affinity"));
  roundRobin.push(await run("robin"));
}
console.log(
  `seed ${seed}; ${LOAD.people} people at once, ${LOAD.turns} turns each, ${ROUNDS} rounds in turns; one isolate of llm-agent\n`,
);
console.log(
  "| nodes chosen by | turns | first token p50, ms | p95 | whole turn p50, ms | p95 | prompt seen before | same node as before | failed |",
);
console.log("|---|--:|--:|--:|--:|--:|--:|--:|--:|");
let failed = print("affinity, spill-over", affinity, true);
failed += print("round robin", roundRobin, false);

const killed = await run("affinity", {
  onEnded(count) {
    if (count === Math.floor((LOAD.people * LOAD.turns) / 3)) nodes[0]?.control({ mode: "down" });
  },
});
failed += print("affinity, fastest node killed", [killed], true);
const rewinds = killed.figures.flat().reduce((sum, turn) => sum + turn.rewinds, 0);
console.log(`\nanswers that the killed node broke off, and another one told whole: ${rewinds}`);

await house.close();
robin.close();
await Promise.all(nodes.map((node) => node.close()));
if (failed > 0) process.exitCode = 1;

/** What one would put in front of the nodes without this Worker: each request to the next one. */
async function serveRoundRobin(targets: StandIn[]): Promise<{ url: string; close(): void }> {
  let next = 0;
  const server = createServer((incoming, response) => {
    const target = targets[next % targets.length];
    next += 1;
    const { method, headers, url = "/" } = incoming;
    const outgoing = send(new URL(url, target?.url).href, { ...(method && { method }), headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    outgoing.on("error", () => response.destroy());
    response.on("close", () => outgoing.destroy());
    incoming.pipe(outgoing);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo; // it listens on TCP
  return {
    url: `http://127.0.0.1:${port}`,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
