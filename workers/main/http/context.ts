/** What the routes share of a request: its id, who asks, and what the log line will say. Types only. */
import type { User } from "./credentials.ts";

export interface AppContext {
  Variables: {
    requestId: string;
    user: User;
  };
}
