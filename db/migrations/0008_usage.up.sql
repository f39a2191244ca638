CREATE TABLE "usage" (
	"id" uuid PRIMARY KEY NOT NULL,
	"user_id" uuid NOT NULL,
	"kind" text NOT NULL,
	"session_id" uuid,
	"turn_id" uuid,
	"model" text NOT NULL,
	"provider" text,
	"prompt_tokens" integer NOT NULL,
	"completion_tokens" integer NOT NULL,
	"cost_usd" double precision,
	"is_estimated" boolean NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
ALTER TABLE "usage" ADD CONSTRAINT "usage_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE cascade ON UPDATE no action;
--> statement-breakpoint
CREATE INDEX "usage_user_newest" ON "usage" USING btree ("user_id","created_at" DESC NULLS FIRST);
--> statement-breakpoint
INSERT INTO "usage" ("id", "user_id", "kind", "session_id", "turn_id", "model", "provider", "prompt_tokens", "completion_tokens", "cost_usd", "is_estimated", "created_at")
SELECT said.id, said.user_id, 'turn', said.session_id, said.turn_id, said.model_used, said.provider, said.prompt_tokens, said.completion_tokens, said.cost_usd,
  coalesce(said.meta_info -> 'usage' ->> 'estimated', 'false') = 'true', said.created_at
FROM "messages" AS said JOIN "users" ON "users".id = said.user_id
WHERE said.tokens_used > 0 AND said.model_used IS NOT NULL AND said.cache IS DISTINCT FROM 'hit';
