/**
 * P13: how much of its prompts a model has seen before, over sessions of 40 turns that outgrow their window. Counted by the LLM stand-in:
 * the longest common prefix with any earlier prompt, against the whole prompt before it in the session. Counts, no times.
 * `node bench/prefix.ts [seed]` prints the table and exits 1 below 0.90.
 */
import { buildWorkers } from "../dev/build.ts";
import { openHouse } from "../dev/house.ts";
import { holdTalk, type Reuse, type TalkPlan } from "../dev/house/long-talk.ts";
import { seededRandom } from "../dev/house/random.ts";

const SESSIONS = 5;
const GOAL = 0.9;
const TALKS: [string, Omit<TalkPlan, "random">][] = [
  ["short answers", { turns: 40, answerTokens: [40, 160], toolShare: 0 }],
  ["long answers", { turns: 40, answerTokens: [150, 400], toolShare: 0 }],
  ["long answers, every third turn a tool", { turns: 40, answerTokens: [150, 400], toolShare: 0.33 }],
  ["the same with three images", { turns: 40, answerTokens: [150, 400], toolShare: 0.33, images: [0, 12, 25] }],
];

const seed = Number(process.argv[2] ?? 1);
const random = seededRandom(seed);
const house = await openHouse({ bundles: await buildWorkers(), settings: { CACHE_ENABLED: "false" } });
const as = await house.newTenant();

console.log(`seed ${seed}, ${SESSIONS} sessions of 40 turns each, CONTEXT_TOKENS at its default\n`);
console.log(
  "| sessions | prompts, characters | seen before | could have been | reuse | windows trimmed |\n|---|--:|--:|--:|--:|--:|",
);
for (const [name, plan] of TALKS) {
  const sum: Reuse = { promptChars: 0, reusedChars: 0, reusableChars: 0, trims: 0 };
  for (let session = 0; session < SESSIONS; session += 1) {
    const { promptChars, reusedChars, reusableChars, trims } = await holdTalk(house, as, { ...plan, random });
    sum.promptChars += promptChars;
    sum.reusedChars += reusedChars;
    sum.reusableChars += reusableChars;
    sum.trims += trims;
  }
  const reuse = sum.reusedChars / sum.reusableChars;
  const figures = [sum.promptChars, sum.reusedChars, sum.reusableChars, reuse.toFixed(3), sum.trims];
  console.log(`| ${name} | ${figures.join(" | ")} |`);
  if (reuse < GOAL) process.exitCode = 1;
}
await house.close();
