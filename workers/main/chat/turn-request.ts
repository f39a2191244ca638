/** What a turn is asked, and what an earlier life of it has done: plain data, and all that it runs on. Pure types. */
import type { Approval, Decision } from "../../../contracts/approvals.ts";
import type { CachedRoute, CacheUse } from "../../../contracts/cache.ts";
import type { CacheVerdict, ModelType, ResponseFormat, Usage } from "../../../contracts/chat.ts";
import type { ModelMessage } from "../../../contracts/llm.ts";
import type { ToolRound } from "../../../contracts/rounds.ts";
import type { ClientOptions } from "../../../contracts/session.ts";
import type { ToolCall, ToolList, ToolOutcome } from "../../../contracts/tools.ts";

/** All that a turn runs on, as plain data. */
export interface TurnRequest {
  turnId: string;
  sessionId: string;
  /** Of the answer to come. */
  messageId: string;
  userId: string;
  requestId: string;
  traceparent?: string | undefined;
  route: CachedRoute;
  model: string;
  modelType: ModelType;
  /** No provider of another type may serve it. */
  onlyType?: ModelType | undefined;
  temperature: number | undefined;
  maxTokens: number | undefined;
  responseFormat: ResponseFormat | undefined;
  /** The window of the session and the new message; the system prompt is added here. */
  context: ModelMessage[];
  /** The tools the model may call; undefined for none. */
  tools: ToolList | undefined;
  /** What its client brings: instructions, and tools of its own. */
  client?: ClientOptions;
  /** Names of those that ask a person first. */
  askFirst: string[];
  /** Nothing of an earlier turn is in the context. */
  firstTurn: boolean;
  cache: CacheUse;
  /** What an earlier life of the turn has done; undefined for a turn that starts. */
  resumed?: ResumedTurn;
}

/** A turn that was cut before the words of its answer, as its log tells it. */
export interface ResumedTurn {
  /** The cache verdict of its meta event; undefined when even that was not told. */
  verdict: CacheVerdict | undefined;
  /** What was shown before the tools were called. */
  content: string;
  /** The last of it, said before the tools that are to be called now. */
  words: string;
  /** A person is asked, or has answered: the workflow waits in its checkpoint. */
  approval?: Approval | undefined;
  /** What a person had decided on the calls of the open round. */
  decisions?: Decision[];
  /** Rounds whose every call is settled. */
  rounds: ToolRound[];
  /** What its earlier lives took of the models. */
  spent: Usage | undefined;
  /** The round that was cut: its calls, and the results that are there. */
  open: { content: string; calls: ToolCall[]; results: Map<string, ToolOutcome> } | undefined;
}
