CREATE TABLE dead_letters (
  session_id uuid NOT NULL,
  seq integer NOT NULL,
  code text NOT NULL,
  failed_at timestamptz(3) NOT NULL DEFAULT now(),
  CONSTRAINT dead_letters_pkey PRIMARY KEY (session_id, seq)
);
