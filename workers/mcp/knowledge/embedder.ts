/**
 * Vectors for the knowledge base, from llm-agent. No state. Whoever gets none goes on with words: a model that fails, is slow or is not
 * there costs meaning and nothing else. What they took is written down.
 */
import type { Embeddings } from "../../../contracts/embeddings.ts";
import type { Result } from "../../../contracts/errors.ts";
import type { LlmAgent } from "../../../contracts/llm.ts";
import type { CallContext } from "../../../contracts/tools.ts";
import type { WriteSpent } from "./spent.ts";

export interface Embedder {
  model: string;
  /** Cosine similarity from which on a piece is found by its meaning. */
  minSimilarity: number;
  /** One vector a text, or undefined. Never throws. */
  embed(texts: string[], context: CallContext, timeoutMs: number): Promise<Float32Array[] | undefined>;
}

export interface EmbedderOptions {
  model: string;
  minSimilarity: number;
  llm: Pick<LlmAgent, "embed">;
  writeSpent: WriteSpent;
  waitUntil(work: Promise<unknown>): void;
  /** For the log. */
  onFault(reason: string): void;
}

export function createEmbedder(options: EmbedderOptions): Embedder {
  const { llm, model, minSimilarity, onFault, writeSpent, waitUntil } = options;
  /** Also when nobody waits for the vectors any more. */
  async function note(userId: string, asked: Promise<Result<Embeddings> | undefined>): Promise<void> {
    const embedded = await asked;
    const { usage, provider = null } = embedded?.ok ? embedded.value : { usage: embedded?.error.usage };
    if (usage !== undefined) await writeSpent(userId, { usage, provider });
  }
  return {
    ...{ model, minSimilarity },
    async embed(texts, { requestId, userId }, timeoutMs) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const late = new Promise<undefined>((resolve) => {
        timer = setTimeout(() => resolve(undefined), timeoutMs);
      });
      const asked = llm.embed({ model, texts }, { requestId, userId }).catch(() => undefined);
      waitUntil(note(userId, asked));
      const embedded = await Promise.race([asked, late]).finally(() => clearTimeout(timer));
      if (embedded?.ok) return embedded.value.vectors;
      onFault(embedded?.error.code ?? "upstream_timeout");
      return undefined;
    },
  };
}
