import { expect, test } from "vitest";
import type { ModelMessage } from "../../../contracts/llm.ts";
import { conversationKey } from "./conversation-key.ts";

const system: ModelMessage = { role: "system", content: "Be brief" };
const hello: ModelMessage = { role: "user", content: "Tell me of a secret sea" };
const more: ModelMessage[] = [
  { role: "assistant", content: "It is deep" },
  { role: "user", content: "How deep?" },
];

test("[PREFIX-4] a conversation keeps its key while it grows, and another one has another", () => {
  const key = conversationKey("u", [system, hello]);
  expect(conversationKey("u", [system, hello, ...more])).toBe(key);
  const others: ModelMessage[][] = [
    [hello],
    [system, ...more],
    [{ ...system, content: "Be long" }, hello],
    [system],
    [],
  ];
  expect(new Set([key, ...others.map((messages) => conversationKey("u", messages))]).size).toBe(6);
});

test("[PREFIX-4] a client's own key goes before how the conversation begins; nothing can be read from either", () => {
  const named = conversationKey("u", [hello], "support");
  expect(conversationKey("u", [system, ...more], "support")).toBe(named);
  expect(conversationKey("u", [hello], "sales")).not.toBe(named);
  expect(conversationKey("u", [hello], "")).toBe(conversationKey("u", [hello]));
  // OpenAI takes 64 characters.
  for (const key of [named, conversationKey("u", [hello])]) expect(key).toMatch(/^[\w-]{43}$/);
});

test("[PREFIX-4] no user meets another one's key, whatever they send", () => {
  const keys = ["u", "v"].flatMap((user) => [
    conversationKey(user, [hello]),
    conversationKey(user, [hello], "support"),
    conversationKey(user, [], `${user}support`),
  ]);
  expect(new Set(keys).size).toBe(6);
});
