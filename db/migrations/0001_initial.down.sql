DROP TABLE messages;
--> statement-breakpoint
DROP TABLE chat_sessions;
--> statement-breakpoint
DROP TABLE user_preferences;
--> statement-breakpoint
DROP TABLE users;
