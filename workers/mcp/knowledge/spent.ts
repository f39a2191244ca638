/**
 * What vectors took, into the ledger, for the user on whose behalf they were made: whoever calls the tools, by whichever way. No state. Written
 * behind the reply, and a few times if it must be: the documents that the vectors are for are in the same database.
 */
import type { Usage } from "../../../contracts/chat.ts";
import type { UsageRecord } from "../../../contracts/ledger.ts";
import { costUsd, type ModelPrices } from "../../../contracts/prices.ts";
import type { KnowledgeStore } from "./store.ts";

/** What goes on behind a reply has half a minute. */
const WAITS_MS = [0, 2_000, 8_000];

export interface SpentOptions {
  store: Pick<KnowledgeStore, "addUsage">;
  model: string;
  prices: ModelPrices;
  newId: () => string;
  now: () => number;
  wait: (ms: number) => Promise<void>;
}

/** `provider`: null where none answered. Never throws. */
export type WriteSpent = (userId: string, spent: { usage: Usage; provider: string | null }) => Promise<void>;

export function createSpentWriter({ store, model, prices, newId, now, wait }: SpentOptions): WriteSpent {
  return async (userId, { usage, provider }) => {
    const record: UsageRecord = {
      ...{ id: newId(), userId, kind: "embedding", sessionId: null, turnId: null, model, provider },
      ...{ promptTokens: usage.prompt_tokens, completionTokens: usage.completion_tokens },
      ...{ costUsd: costUsd(prices, model, usage), isEstimated: usage.estimated ?? false, createdAtMs: now() },
    };
    for (const ms of WAITS_MS) {
      if (ms > 0) await wait(ms);
      if ((await store.addUsage(record)).ok) return;
    }
  };
}
