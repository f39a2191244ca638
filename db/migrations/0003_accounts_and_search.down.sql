DROP INDEX messages_search;
--> statement-breakpoint
DROP INDEX messages_user_newest;
--> statement-breakpoint
ALTER TABLE messages
  DROP COLUMN cache,
  DROP COLUMN cost_usd,
  DROP COLUMN completion_tokens,
  DROP COLUMN prompt_tokens,
  DROP COLUMN user_id;
--> statement-breakpoint
DROP TABLE api_keys;
