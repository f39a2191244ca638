/** `npm run smoke` against a house: green, red where something is broken, and nothing left behind. State: a house for each setting. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { smoke } from "../dev/smoke.ts";
import { serveRedis } from "../dev/stand-ins/redis.ts";
import { type House, openHouse } from "./house.ts";

const COMMAND = join(import.meta.dirname, "../dev/smoke.ts");
let house: House;
beforeAll(async () => {
  house = await openHouse();
});
beforeEach(() => {
  for (const standIn of [house.llm, house.redis, house.neon]) standIn.control({ mode: "up" });
});
afterAll(() => house.close());

async function run(url: URL, more: { key?: string; model?: string } = {}) {
  const lines: string[] = [];
  const passed = await smoke({ url, ...more, print: (line) => lines.push(stripVTControlCharacters(line)) });
  return { passed, lines, failed: lines.filter((line) => line.startsWith("✗")) };
}

const countUsers = async () => Number((await house.sql`select count(*) as n from users`)[0]?.["n"]);

test("[SMOKE-1] the command is green against a whole deployment and leaves nothing there", async () => {
  const before = await countUsers();
  const { code, text } = await new Promise<{ code: number; text: string }>((resolve) => {
    const child = execFile(process.execPath, [COMMAND, house.url.href], (_error, stdout, stderr) =>
      resolve({ code: child.exitCode ?? -1, text: stripVTControlCharacters(stdout + stderr) }),
    );
  });
  expect(code, text).toBe(0);
  const steps = [...text.matchAll(/^✓ ([a-z ]+?) +\d+ ms {2}\S/gm)].map(([, name]) => name);
  expect(steps).toEqual([
    ...["health", "sign up", "chat", "stream", "resume", "retry", "history", "purge", "erase session", "clean up"],
  ]);
  expect(text).toMatch(/^✓ purge .* [1-9]\d* entries, and a miss after it$/m);
  expect(await countUsers()).toBe(before);
});

test("[SMOKE-1] a deployment whose cache is switched off is whole", async () => {
  const uncached = await openHouse({ settings: { CACHE_ENABLED: "false" } });
  try {
    const { passed, lines } = await run(uncached.url);
    expect(passed).toBe(true);
    expect(lines).toContainEqual(expect.stringMatching(/^✓ purge .*switched off$/));
  } finally {
    await uncached.close();
  }
});

test("[SMOKE-1] with a key the user stays, and its sessions of the run go", async () => {
  const { id, apiKey } = await house.newTenant();
  expect(await run(house.url, { key: apiKey })).toMatchObject({ passed: true, failed: [] });
  const rows =
    await house.sql`select u.id, count(s.id) as sessions from users u left join chat_sessions s on s.user_id = u.id
    where u.id = ${id} group by u.id`;
  expect(rows).toEqual([{ id, sessions: "0" }]);
});

test("[SMOKE-2] a model that fails is the step's failure, named by code and request; the user is erased all the same", async () => {
  const before = await countUsers();
  const { passed, lines, failed } = await run(house.url, { model: "demo:status.500" });
  expect(passed).toBe(false);
  expect(failed).toEqual([expect.stringMatching(/^✗ chat .*\/chat: answered 50\d \w+ \(request [\w-]+\)$/)]);
  expect(lines.at(-1)).toMatch(/^✓ clean up/);
  expect(await countUsers()).toBe(before);
});

test("[SMOKE-2] a cache that is away is found by the purge", async () => {
  house.redis.control({ mode: "down" });
  const { passed, failed } = await run(house.url);
  expect(passed).toBe(false);
  expect(failed[0]).toMatch(/^✗ purge .*\/cache\/health: answered 503/);
});

test("[SMOKE-2] an address where nothing answers ends at the first step, and a wrong command line explains itself", async () => {
  const gone = await serveRedis({ token: "none" });
  await gone.close();
  const { passed, lines } = await run(new URL(gone.url));
  expect({ passed, lines }).toEqual({ passed: false, lines: [expect.stringMatching(/^✗ health .*ECONNREFUSED/)] });
  const text = await new Promise<string>((resolve) => {
    execFile(process.execPath, [COMMAND], (_error, stdout, stderr) => resolve(stdout + stderr));
  });
  expect(text).toMatch(/^Usage: npm run smoke/);
});
