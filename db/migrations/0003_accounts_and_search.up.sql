CREATE TABLE api_keys (
  id uuid PRIMARY KEY,
  user_id uuid NOT NULL CONSTRAINT api_keys_user_id_users_id_fk REFERENCES users (id) ON DELETE CASCADE,
  name text NOT NULL,
  hash text NOT NULL,
  scopes text[] NOT NULL,
  created_at timestamptz(3) NOT NULL DEFAULT now(),
  expires_at timestamptz(3) NOT NULL,
  last_used_at timestamptz(3)
);
--> statement-breakpoint
CREATE INDEX api_keys_user ON api_keys (user_id, created_at, id);
--> statement-breakpoint
ALTER TABLE messages
  ADD COLUMN user_id uuid,
  ADD COLUMN prompt_tokens integer NOT NULL DEFAULT 0,
  ADD COLUMN completion_tokens integer NOT NULL DEFAULT 0,
  ADD COLUMN cost_usd double precision,
  ADD COLUMN cache text CONSTRAINT messages_cache_check CHECK (cache IN ('hit', 'miss', 'bypass'));
--> statement-breakpoint
UPDATE messages SET
  user_id = chat_sessions.user_id,
  prompt_tokens = coalesce((meta_info #>> '{usage,prompt_tokens}')::integer, 0),
  completion_tokens = coalesce((meta_info #>> '{usage,completion_tokens}')::integer, 0),
  cache = meta_info ->> 'cache'
FROM chat_sessions WHERE chat_sessions.id = messages.session_id;
--> statement-breakpoint
ALTER TABLE messages ALTER COLUMN user_id SET NOT NULL;
--> statement-breakpoint
CREATE INDEX messages_user_newest ON messages (user_id, created_at DESC, id DESC);
--> statement-breakpoint
CREATE INDEX messages_search ON messages USING gin (to_tsvector('simple', left(content, 100000)));
