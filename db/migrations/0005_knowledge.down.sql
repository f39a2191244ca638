DROP TABLE "document_chunks" CASCADE;
--> statement-breakpoint
DROP TABLE "documents" CASCADE;
--> statement-breakpoint
ALTER TABLE "user_preferences" DROP COLUMN "disabled_tools";
