import { expect, test } from "vitest";
import { type ChatEvent, encodeEvent } from "../../../contracts/events.ts";
import { resumable, spentUntil } from "./recover.ts";
import type { TurnRow } from "./turns.ts";

const ID = "01a208da-e978-7048-8025-8d0d150d1078";
const META: ChatEvent = {
  event: "meta",
  data: { turn_id: ID, session_id: ID, message_id: ID, model: "demo", provider: "openai", cache: "hit" },
};
const call = { id: "c", name: "echo", arguments: {} };

function cut(...events: ChatEvent[]) {
  const frames = [META, ...events].map((event, at) => encodeEvent(at + 1, event));
  const turn = { cancelRequested: false, resumed: 0, state: "running", approval: undefined } as TurnRow; // what is read of it
  return resumable(turn, frames);
}

test("[F16] [F30] what a rewind has taken back was not shown: such a turn is taken up again from its start", () => {
  const delta: ChatEvent = { event: "delta", data: { content: "words of another turn" } };
  const back: ChatEvent = { event: "rewind", data: { after: 1 } };
  expect(cut(delta)).toBeUndefined();
  expect(cut(delta, back)).toMatchObject({ content: "", words: "", rounds: [], open: undefined });
  expect(cut({ event: "tool_call", data: call }, back)).toMatchObject({ rounds: [], open: undefined });
  expect(cut(delta, back, delta)).toBeUndefined();
});

test("[LEDGER-11] a turn that was cut while it followed another one has asked for nothing: no prompt is guessed", () => {
  const sql = { exec: () => ({ toArray: () => [] }) } as unknown as SqlStorage; // nothing was written beside its events
  const follower = { verdict: "hit", content: "", words: "", rounds: [], open: undefined } as const;
  expect(spentUntil(sql, { id: ID } as TurnRow, { ...follower, rounds: [] })).toBeUndefined();
});
