import { expect, test } from "vitest";
import { ok } from "../../../contracts/errors.ts";
import { createOffers } from "./offers.ts";
import type { KnowledgeStore, OwnMessage } from "./store.ts";

const ID = "01a214f7-1cf9-76d0-8d53-cae221accf3f";
const caller = { requestId: "r", userId: "u", denied: [], isAdmin: false };

const messageOf = (content: string): OwnMessage => ({
  ...{ sessionId: ID, title: "t", role: "user", createdAtMs: 0, content },
});
const offersOf = (messages: OwnMessage[]) =>
  createOffers({ readSession: async () => ok(messages) } as unknown as KnowledgeStore); // the method that is used

async function read(messages: OwnMessage[]): Promise<string> {
  const [content] = (await offersOf(messages).resources.read(`basechat://sessions/${ID}`, caller)) ?? [];
  return content && "text" in content ? content.text : "";
}

test("[MCP-24] a session that fits is given whole", async () => {
  const text = await read([messageOf("first"), messageOf("last")]);
  expect(text).toMatch(/^\*\*user\*\*.*first.*last$/s);
});

test("[MCP-24] of a long one the newest messages that fit are given, by their bytes, and how many are not", async () => {
  const messages = Array.from({ length: 200 }, (_, at) => messageOf(`${"\u{1F600}".repeat(5_000)} number ${at}.`));
  const text = await read(messages);
  expect(new TextEncoder().encode(text).length).toBeLessThan(257 * 1024);
  expect(text).toMatch(/^\[187 older messages are left out\]\n\n\*\*user\*\*/);
  expect(text).toContain("number 187.");
  expect(text).toMatch(/number 199\.$/);
  const prompt = await offersOf(messages).prompts[0]?.get({ session_id: ID }, caller);
  expect(JSON.stringify(prompt)).toContain("187 older messages are left out");
});
