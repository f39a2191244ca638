DROP TABLE "attachments" CASCADE;
