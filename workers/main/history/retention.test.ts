/** Which sessions a run of the retention asks, against a list of ids. */
import { expect, test } from "vitest";
import { newId } from "../../../contracts/ids.ts";
import { retain } from "./retention.ts";

const DAY_MS = 24 * 3_600_000;
const DAYS = 30;
const NOW_MS = Date.UTC(2026, 10, 25);

test("[RETAIN-2] old sessions that stay do not hold up those behind them for ever", async () => {
  const count = 3_000;
  const firstMs = NOW_MS - 2 * DAYS * DAY_MS;
  const apartMs = Math.floor((DAYS * DAY_MS) / count);
  const ids = Array.from({ length: count }, (_, at) => newId(firstMs + at * apartMs, () => new Uint8Array(10).fill(1)));
  const stays = new Set(ids.slice(0, 1_500));
  const left = new Set(ids);
  const run = async (share: number) => {
    let asked = 0;
    const days = { sessions: DAYS, messages: undefined };
    await retain(days, {
      ...{ requestId: "r", now: () => NOW_MS, log: () => undefined, random: () => share },
      history: {
        agedMessages: () => Promise.reject(new Error("not asked for")),
        idleSessions: ({ after = "", limit }) => {
          const value = [...left].filter((id) => id > after).slice(0, limit);
          return Promise.resolve({ ok: true, value: value.map((id) => ({ id, userId: "u" })) });
        },
      },
      send: (id) => {
        asked += 1;
        if (!stays.has(id)) left.delete(id);
        return Promise.resolve(new Response(null, { status: stays.has(id) ? 409 : 200 }));
      },
    });
    return asked;
  };
  // Nothing but what stays, at first.
  expect([await run(0), left.size]).toEqual([1_000, 3_000]);
  expect([await run(0.5), left.size]).toEqual([1_000, 2_500]);
  for (const share of [0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.5]) await run(share);
  expect(left).toEqual(stays);
});
