/**
 * The ledger: what each call of a model took and cost, by user, session, turn and model, kept in Postgres. Pure types.
 * Times are milliseconds since 1970, ids UUIDs.
 */
import type { Usage } from "./chat.ts";
import type { Result } from "./errors.ts";

/** `turn`: all calls of a turn together. `direct`: a model asked without a session. `embedding`: texts as vectors. `title`: a session's name. */
export type UsageKind = "turn" | "direct" | "embedding" | "title";

export interface UsageRecord {
  /** Of a turn its answer's id, else the request's: the same record twice is one. */
  id: string;
  userId: string;
  kind: UsageKind;
  /** null: none, or one that is kept nowhere. */
  sessionId: string | null;
  turnId: string | null;
  model: string;
  provider: string | null;
  promptTokens: number;
  completionTokens: number;
  /** At the model's price then; null: no price is known. */
  costUsd: number | null;
  /** The provider has not told all of it: there may have been more, or it is a guess. */
  isEstimated: boolean;
  createdAtMs: number;
}

type Named = Pick<UsageRecord, "id" | "kind" | "sessionId" | "turnId" | "provider">;

/** The truth about what was reserved, or taken without that. The same one twice is one. */
export type Settlement = { model: string; usage: Usage } & (
  | {
      reservationId: string;
      /** Left out: nothing was used, or the session's own outbox brings it to the ledger. */
      record?: Named;
    }
  | { reservationId?: undefined; record: Named }
);

/** Fails with `db_unavailable` or `db_timeout`: try again later, the same records are safe to repeat. */
export interface Ledger {
  /** Of one user. Where that user is gone from Postgres, there is nobody to keep them for. */
  save(records: UsageRecord[]): Promise<Result<void>>;
}
