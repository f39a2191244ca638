/**
 * Searches the caller's own messages of all sessions. State lives in Postgres, where a message comes behind its reply: the newest may be
 * missing. Refuses queries above 400 characters.
 */
import * as z from "zod";
import { storable } from "../../../contracts/text.ts";
import type { KnowledgeStore, OwnMessage } from "../knowledge/store.ts";
import type { Tool } from "./tool.ts";

const Input = z.strictObject({
  query: z.string().trim().min(1).max(400).describe('Words that must all occur; "a phrase", or, -without.'),
  limit: z.int().min(1).max(20).default(5),
});

export function createSearchHistory({ store }: { store: KnowledgeStore }): Tool<typeof Input> {
  return {
    name: "search_history",
    description: "Searches the user's own earlier messages and the answers to them, newest first.",
    input: Input,
    annotations: { readOnly: true, idempotent: false, private: true, cost: "metered" },
    isOutside: true,
    async run({ query, limit }, { userId }) {
      const found = await store.searchMessages({ userId, text: storable(query), limit });
      if (!found.ok) return { ok: false, content: "The history cannot be reached now.", failure: "upstream_error" };
      return {
        ok: true,
        content: found.value.length === 0 ? "Nothing was found." : found.value.map(show).join("\n\n"),
      };
    },
  };
}

function show({ sessionId, title, role, createdAtMs, content }: OwnMessage): string {
  return `## ${title} (${new Date(createdAtMs).toISOString()}, ${role}, session ${sessionId})\n${content}`;
}
