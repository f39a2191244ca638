/** What a turn's plan asks the workflow for. Pure: the same plan asks for the same, wherever it is looked at. */
import { cacheUse } from "../../../contracts/cache.ts";
import type { ModelMessage } from "../../../contracts/llm.ts";
import type { ToolList } from "../../../contracts/tools.ts";
import type { ToolRound } from "../../../contracts/rounds.ts";
import type { ResumedTurn, TurnRequest } from "../chat/turn-request.ts";
import type { Session } from "./session.ts";
import type { TurnPlan } from "./turns.ts";

/** For whom, and what there is to choose from. */
export interface AskedFor {
  session: Pick<Session, "id" | "userId">;
  tools: ToolList | undefined;
}

export function toTurnRequest(
  { session, tools }: AskedFor,
  turnId: string,
  { messageId, requestId, traceparent, route = "chat", chat, firstTurn, given }: Omit<TurnPlan, "parentSeq">,
  context: ModelMessage[],
): Omit<TurnRequest, "askFirst"> {
  const { request, model, modelType, onlyType, temperature, maxTokens, client } = chat;
  return {
    ...{
      turnId,
      messageId,
      requestId,
      traceparent,
      route,
      model,
      modelType,
      temperature,
      maxTokens,
      context,
      firstTurn,
    },
    ...(onlyType && { onlyType }),
    ...(client && { client }),
    ...(given && { resumed: toResumed([given].flat()) }),
    sessionId: session.id,
    userId: session.userId,
    responseFormat: request.response_format,
    tools: offeredTools(tools, request.tools ?? "auto", chat.disabledTools ?? []),
    cache: cacheUse(request.cache),
  };
}

/** The turn goes on from what another one had asked for, and paid. */
function toResumed(rounds: ToolRound[]): ResumedTurn {
  return { verdict: undefined, content: "", words: "", rounds, spent: undefined, open: undefined };
}

function offeredTools(
  tools: ToolList | undefined,
  choice: "auto" | "none" | string[],
  disabled: string[],
): ToolList | undefined {
  if (tools === undefined || choice === "none") return undefined;
  const isOffered = (name: string): boolean => (choice === "auto" || choice.includes(name)) && !disabled.includes(name);
  return { version: tools.version, tools: tools.tools.filter(({ name }) => isOffered(name)) };
}
