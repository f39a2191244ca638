/**
 * The index of questions by their meaning, in Postgres with pgvector. State lives there. Knows vectors and keys, no words. Only questions
 * of one scope are compared, one by one: a scope holds what one lifetime of the cache's answers holds.
 */
import { sql } from "drizzle-orm";
import { fail, ok, type Result } from "../../../contracts/errors.ts";
import { type NearQuestion, type QuestionIndex, toVectorText } from "../../../contracts/vectors.ts";
import { type Db, readDbFault } from "../../../db/open.ts";
import { type OnFault, toFailure } from "./faults.ts";

/** Ended ones that one write takes out: more than it adds. */
const SWEPT = 20;
/** Neither the table nor the type is there. */
const WITHOUT_PGVECTOR = ["42P01", "42704"];

export function createQuestionIndex(db: Db, onFault: OnFault): QuestionIndex {
  const attempt = async <T>(work: () => Promise<T>): Promise<Result<T>> => {
    try {
      return ok(await work());
    } catch (error) {
      return WITHOUT_PGVECTOR.includes(readDbFault(error).reason)
        ? fail("not_configured", "the database has no pgvector")
        : toFailure(error, onFault);
    }
  };
  return {
    nearest: ({ scope, vector, limit }) =>
      attempt(async () => {
        const distance = sql`embedding <=> ${toVectorText(vector)}::vector`;
        const { rows } = await db.execute<{ key: string; distance: string }>(sql`
          select key, ${distance} as distance from semantic_questions
          where scope = ${scope} and expires_at > now() order by ${distance} limit ${limit}`);
        return rows.map((row): NearQuestion => ({ key: row.key, similarity: 1 - Number(row.distance) }));
      }),
    add: ({ key, scope, userId, vector, expiresAtMs }) =>
      attempt(async () => {
        await db.execute(sql`
          with ended as (
            delete from semantic_questions where key in
              (select key from semantic_questions where expires_at < now() and key <> ${key} limit ${SWEPT})
          )
          insert into semantic_questions (key, scope, user_id, embedding, expires_at) values
            (${key}, ${scope}, ${userId}, ${toVectorText(vector)}::vector, ${new Date(expiresAtMs).toISOString()})
          on conflict (key) do update set embedding = excluded.embedding, expires_at = excluded.expires_at`);
      }),
    ping: () =>
      attempt(async () => {
        await db.execute(sql`select 1 from semantic_questions limit 1`);
      }),
  };
}
