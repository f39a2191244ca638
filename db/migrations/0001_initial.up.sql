CREATE TABLE users (
  id uuid PRIMARY KEY,
  username text NOT NULL,
  email text NOT NULL,
  password_hash text NOT NULL,
  is_active boolean NOT NULL DEFAULT true,
  role text NOT NULL DEFAULT 'user' CONSTRAINT users_role_check CHECK (role IN ('user', 'admin')),
  token_version integer NOT NULL DEFAULT 0,
  created_at timestamptz(3) NOT NULL DEFAULT now(),
  updated_at timestamptz(3) NOT NULL DEFAULT now()
);
--> statement-breakpoint
CREATE UNIQUE INDEX users_username_key ON users (lower(username));
--> statement-breakpoint
CREATE UNIQUE INDEX users_email_key ON users (lower(email));
--> statement-breakpoint
CREATE TABLE user_preferences (
  user_id uuid PRIMARY KEY CONSTRAINT user_preferences_user_id_users_id_fk REFERENCES users (id) ON DELETE CASCADE,
  default_model text,
  default_temperature double precision,
  max_tokens integer,
  created_at timestamptz(3) NOT NULL DEFAULT now(),
  updated_at timestamptz(3) NOT NULL DEFAULT now()
);
--> statement-breakpoint
CREATE TABLE chat_sessions (
  id uuid PRIMARY KEY,
  user_id uuid NOT NULL CONSTRAINT chat_sessions_user_id_users_id_fk REFERENCES users (id) ON DELETE CASCADE,
  title text NOT NULL,
  model_type text,
  model_name text,
  is_active boolean NOT NULL DEFAULT true,
  created_at timestamptz(3) NOT NULL DEFAULT now(),
  updated_at timestamptz(3) NOT NULL DEFAULT now()
);
--> statement-breakpoint
CREATE INDEX chat_sessions_user_newest ON chat_sessions (user_id, created_at DESC, id DESC);
--> statement-breakpoint
CREATE TABLE messages (
  id uuid PRIMARY KEY,
  session_id uuid NOT NULL CONSTRAINT messages_session_id_chat_sessions_id_fk REFERENCES chat_sessions (id) ON DELETE CASCADE,
  seq integer NOT NULL CONSTRAINT messages_seq_check CHECK (seq >= 0),
  parent_id uuid,
  role text NOT NULL CONSTRAINT messages_role_check CHECK (role IN ('system', 'user', 'assistant', 'tool')),
  content text NOT NULL,
  status text NOT NULL DEFAULT 'complete' CONSTRAINT messages_status_check CHECK (status IN ('complete', 'interrupted', 'cancelled')),
  tokens_used integer NOT NULL DEFAULT 0 CONSTRAINT messages_tokens_used_check CHECK (tokens_used >= 0),
  model_used text,
  provider text,
  mcp_tools_used text[] NOT NULL DEFAULT '{}',
  meta_info jsonb NOT NULL DEFAULT '{}',
  turn_id uuid,
  created_at timestamptz(3) NOT NULL DEFAULT now(),
  CONSTRAINT messages_session_seq_key UNIQUE (session_id, seq)
);
