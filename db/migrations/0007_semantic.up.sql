-- Vectors need the extension pgvector. Where the server has none, or this role may not create it, nothing is made: what stands on
-- these tables then says that it is not configured. No table of db/schema.ts names them, since they may be missing.
DO $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM pg_available_extensions WHERE name = 'vector') THEN
    RETURN;
  END IF;
  BEGIN
    CREATE EXTENSION IF NOT EXISTS vector;
  EXCEPTION WHEN insufficient_privilege THEN
    RETURN;
  END;
  CREATE TABLE semantic_questions (
    key text PRIMARY KEY,
    scope text NOT NULL,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    embedding vector NOT NULL,
    expires_at timestamptz(3) NOT NULL
  );
  CREATE INDEX semantic_questions_scope ON semantic_questions (scope, expires_at);
  CREATE INDEX semantic_questions_user ON semantic_questions (user_id);
  CREATE INDEX semantic_questions_end ON semantic_questions (expires_at);
  CREATE TABLE chunk_vectors (
    document_id uuid NOT NULL,
    seq integer NOT NULL,
    model text NOT NULL,
    embedding vector NOT NULL,
    PRIMARY KEY (document_id, seq),
    FOREIGN KEY (document_id, seq) REFERENCES document_chunks (document_id, seq) ON DELETE CASCADE
  );
END
$$;
