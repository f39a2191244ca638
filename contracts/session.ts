/**
 * What main asks of a session's object, as JSON over its fetch, so that a stream's bytes and its reader's leaving cross natively.
 * Pure types: both ends are ours and of one version.
 */
import type { ChatRequest, ModelType } from "./chat.ts";

/** A chat request with everything decided: preferences and defaults are filled in. */
export interface ResolvedChat {
  request: ChatRequest;
  model: string;
  modelType: ModelType;
  temperature: number | undefined;
  maxTokens: number | undefined;
}

interface Asker {
  userId: string;
  requestId: string;
}

export interface StartTurn extends Asker {
  kind: "start";
  sessionId: string;
  /** Make the session; otherwise it must be there. */
  create: boolean;
  /** How to answer: the events as they come, or one reply at the end. */
  view: "stream" | "json";
  chat: ResolvedChat;
}

/** Watch or resume a turn: its events after number `after`. */
export interface WatchTurn extends Asker {
  kind: "watch";
  turnId: string;
  after: number;
}

export type SessionCommand = StartTurn | WatchTurn;
