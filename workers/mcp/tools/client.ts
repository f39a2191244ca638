/**
 * The client of a session, as a tool may speak to it while it runs: progress, log lines, questions to its model and to its user.
 * Pure types. There is none where calls are stateless.
 */
export const LOG_LEVELS = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface Elicited {
  action: "accept" | "decline" | "cancel";
  content?: Record<string, unknown> | undefined;
}

export interface Client {
  /** Told only if the client asked for this level or a lower one. */
  log(level: LogLevel, text: string): Promise<void>;
  /** Told only if the client asked for progress. */
  progress(done: number, total: number): Promise<void>;
  /** What the client's model says to a prompt; undefined: the client has none to offer. */
  sample(prompt: { text: string; maxTokens: number }): Promise<string | undefined>;
  /** What the client's user fills in; `schema` is a JSON Schema of flat fields. Undefined: nobody can be asked. */
  elicit(question: { message: string; schema: Record<string, unknown> }): Promise<Elicited | undefined>;
  /** Ends the connection that waits for this call: the client comes back for the result. */
  hangUp(): void;
  /** Tells whoever subscribed to it that a resource has changed. */
  resourceChanged(uri: string): Promise<void>;
}
