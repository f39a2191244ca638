/**
 * The workflow of a turn as a LangGraph: intent -> tools -> answer, with at most five tool rounds. Its state is the pending calls
 * and a count; history, tokens and results stay with the turn's steps, which write straight into the turn's log.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { AsyncLocalStorageProviderSingleton } from "@langchain/core/singletons";
import { Annotation, END, type LangGraphRunnableConfig, START, StateGraph } from "@langchain/langgraph";
import { AppError } from "../../../contracts/errors.ts";
import type { TurnSteps } from "./steps.ts";
import type { RequestedCall } from "./tool-round.ts";

const MAX_TOOL_ROUNDS = 5;

// A Worker's bundle takes LangGraph's browser build, which has no context storage of its own.
AsyncLocalStorageProviderSingleton.initializeGlobalInstance(new AsyncLocalStorage());

const TurnState = Annotation.Root({
  /** Calls the model asked for that have not run; none means that it has answered. */
  pending: Annotation<RequestedCall[]>,
  rounds: Annotation<number>,
});
type Update = Partial<typeof TurnState.State>;

const graph = new StateGraph(TurnState)
  .addNode("intent", async (_state, config): Promise<Update> => ({ pending: await stepsOf(config).decide() }))
  .addNode("tools", async ({ pending, rounds }, config): Promise<Update> => {
    if (rounds >= MAX_TOOL_ROUNDS) throw new AppError("tool_loop_limit", "the model kept asking for tools");
    await stepsOf(config).runTools(pending);
    return { pending: [], rounds: rounds + 1 };
  })
  .addNode("answer", async (_state, config): Promise<Update> => ({ pending: await stepsOf(config).think() }))
  .addEdge(START, "intent")
  .addConditionalEdges("intent", toolsOrEnd, ["tools", END])
  .addEdge("tools", "answer")
  .addConditionalEdges("answer", toolsOrEnd, ["tools", END])
  .compile();

function toolsOrEnd({ pending }: typeof TurnState.State): "tools" | typeof END {
  return pending.length > 0 ? "tools" : END;
}

function stepsOf(config: LangGraphRunnableConfig): TurnSteps {
  return config.configurable?.["steps"] as TurnSteps; // put there by runGraph
}

/** Runs the workflow to its end. Throws what a step throws. */
export async function runGraph(steps: TurnSteps): Promise<void> {
  const recursionLimit = 3 * (MAX_TOOL_ROUNDS + 1);
  await graph.invoke({ pending: [], rounds: 0 }, { configurable: { steps }, recursionLimit });
}
