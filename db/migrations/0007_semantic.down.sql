DROP TABLE IF EXISTS chunk_vectors;
--> statement-breakpoint
DROP TABLE IF EXISTS semantic_questions;
--> statement-breakpoint
-- It may be somebody else's as well, or not this role's.
DO $$
BEGIN
  DROP EXTENSION IF EXISTS vector;
EXCEPTION WHEN dependent_objects_still_exist OR insufficient_privilege THEN
  NULL;
END
$$;
