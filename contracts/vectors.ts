/** Vectors as Postgres keeps them, and what the index of questions does. Pure. */
import type { Result } from "./errors.ts";

/** As pgvector reads it; nine digits bring a 32-bit float back. */
export function toVectorText(vector: Float32Array): string {
  return `[${Array.from(vector, (number) => number.toPrecision(9)).join(",")}]`;
}

/** A question that was answered, by its meaning. It names the entry that has the answer, and holds neither question nor answer. */
export interface IndexedQuestion {
  /** Of the cache's entry. */
  key: string;
  /** Everything but the question that its answer depends on. */
  scope: string;
  userId: string;
  vector: Float32Array;
  expiresAtMs: number;
}

export interface NearQuestion {
  key: string;
  /** Cosine: 1 is the same direction. */
  similarity: number;
}

/** Fails with `not_configured` where Postgres has no pgvector. One round trip each. */
export interface QuestionIndex {
  /** The nearest first. */
  nearest(ask: { scope: string; vector: Float32Array; limit: number }): Promise<Result<NearQuestion[]>>;
  /** Takes out some that have ended, too. */
  add(question: IndexedQuestion): Promise<Result<void>>;
  ping(): Promise<Result<void>>;
}
