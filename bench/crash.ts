/**
 * F17 in full: 1,000 messages are acknowledged while the runtime is killed five times and Postgres is away for 30 s; then each
 * of them must be in Postgres exactly once and in order. `node bench/crash.ts [seed]` prints the table and exits 1 otherwise.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { buildWorkers } from "../dev/build.ts";
import { openHouse } from "../dev/house.ts";
import { CrashLoad } from "../dev/house/crash-load.ts";
import { seededRandom } from "../dev/house/random.ts";

const SESSIONS = 25;
const MESSAGES = 40;
const KILL_AT = [150, 330, 500, 670, 850];
const POSTGRES_AWAY_FROM = 300;
const POSTGRES_AWAY_MS = 30_000;

const seed = Number(process.argv[2] ?? Date.now() % 1_000_000);
console.log(`seed ${seed}\n`);

const persistTo = await mkdtemp(join(tmpdir(), "basechat-crash-"));
const house = await openHouse({ bundles: await buildWorkers(), persistTo });
let postgresBack = Promise.resolve();

async function takePostgresAway(): Promise<void> {
  house.neon.control({ mode: "down" });
  await sleep(POSTGRES_AWAY_MS);
  house.neon.control({ mode: "up" });
}

const load = new CrashLoad(house, await house.newTenant(), {
  ...{ sessions: SESSIONS, messages: MESSAGES, killAt: KILL_AT, random: seededRandom(seed) },
  onAcknowledged(count) {
    if (count === POSTGRES_AWAY_FROM) postgresBack = takePostgresAway();
  },
});
await load.run();
await postgresBack;
const report = await load.report();
await house.close();
await rm(persistTo, { recursive: true });

const { acknowledged, found, lost, doubled, outOfOrder, refusals, turns, resumed } = report;
const figures = {
  ...{ acknowledged, "in Postgres": found, doubled: doubled.length, lost: lost.length },
  ...{ "sessions out of order": outOfOrder.length, "requests refused": refusals.length },
  "turns resumed": resumed,
  ...Object.fromEntries(Object.entries(turns).map(([state, count]) => [`turns ${state}`, count])),
};
console.log("| figure | count |\n|---|--:|");
for (const [name, count] of Object.entries(figures)) console.log(`| ${name} | ${count} |`);
for (const problem of [...lost, ...doubled, ...outOfOrder, ...refusals]) console.log(problem);
if (lost.length + doubled.length + outOfOrder.length + refusals.length > 0 || turns["running"] !== undefined)
  process.exitCode = 1;
