/**
 * What keeps the calls of a conversation together that has no session: they go to one node and one cache of prompts, as a session's do.
 * Pure. A digest: nothing can be read from it, and no two users share one.
 */
import { createHash } from "node:crypto";
import type { ModelMessage } from "../../../contracts/llm.ts";

/** `named`: its client's own key for it; else a conversation is known by how it begins, up to the first words of its user. */
export function conversationKey(userId: string, messages: readonly ModelMessage[], named?: string | null): string {
  const conversation = named ? { named } : { begins: beginningOf(messages) };
  return createHash("sha256")
    .update(JSON.stringify({ userId, ...conversation }))
    .digest("base64url");
}

function beginningOf(messages: readonly ModelMessage[]): [role: string, content: string][] {
  const first = messages.findIndex(({ role }) => role === "user");
  const beginning = first === -1 ? messages : messages.slice(0, first + 1);
  return beginning.map(({ role, content }) => [role, content]);
}
