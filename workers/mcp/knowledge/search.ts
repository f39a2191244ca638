/**
 * The search of the knowledge base, as SQL: by words, or by words and meaning together. Pure. A piece's place in either list counts, not what
 * the two lists call similar: their figures cannot be compared (reciprocal rank fusion).
 */
import { type SQL, sql } from "drizzle-orm";
import { toVectorText } from "../../../contracts/vectors.ts";

/** What is taken of each list. */
const LISTED = 50;
/** How much the first places count before the next. */
const FLATTENING = 60;

export interface DocumentSearch {
  userId: string;
  text: string;
  limit: number;
  collection: string | undefined;
  /** Left out: by words alone. */
  near?: { model: string; vector: Float32Array; minSimilarity: number } | undefined;
}

export function searchStatement({ userId, text, limit, collection, near }: DocumentSearch): SQL {
  const visible = sql`(d.user_id = ${userId} or d.is_shared) ${collection === undefined ? sql`` : sql`and d.collection = ${collection}`}`;
  // Any of the words: a question's own words need not all be in the answer. Those that hold more of them come first.
  const query = sql`replace(plainto_tsquery('simple', ${text})::text, ' & ', ' | ')::tsquery`;
  // The expression of the index document_chunks_search.
  const words = sql`to_tsvector('simple', c.content)`;
  const byWords = sql`
    select c.document_id, c.seq, row_number() over (order by ts_rank(${words}, ${query}) desc, c.document_id, c.seq) as place
    from document_chunks c join documents d on d.id = c.document_id
    where ${words} @@ ${query} and ${visible} order by place limit ${LISTED}`;
  const lists = near === undefined ? byWords : sql`(${byWords}) union all (${byMeaning(near, visible)})`;
  return sql`
    select d.id as "documentId", d.title, d.collection, d.is_shared as "isShared", c.content
    from (
      select document_id, seq, sum(1.0 / (${FLATTENING}::int + place)) as score
      from (${lists}) as listed group by document_id, seq order by score desc, document_id, seq limit ${limit}
    ) as found
    join document_chunks c using (document_id, seq) join documents d on d.id = c.document_id
    order by found.score desc, c.document_id, c.seq`;
}

/** Vectors of other models are left out before anything is compared: two of different lengths cannot be. */
function byMeaning({ model, vector, minSimilarity }: NonNullable<DocumentSearch["near"]>, visible: SQL): SQL {
  return sql`
    with own as materialized (
      select v.document_id, v.seq, v.embedding from chunk_vectors v join documents d on d.id = v.document_id
      where v.model = ${model} and ${visible}
    ), compared as materialized (
      select document_id, seq, embedding <=> ${toVectorText(vector)}::vector as distance from own
    )
    select document_id, seq, row_number() over (order by distance, document_id, seq) as place from compared
    where distance <= 1 - ${minSimilarity}::float8 order by place limit ${LISTED}`;
}
