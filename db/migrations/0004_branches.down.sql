DROP INDEX messages_branches;
--> statement-breakpoint
ALTER TABLE messages DROP COLUMN branch_from;
