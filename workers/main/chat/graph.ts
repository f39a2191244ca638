/**
 * The workflow of a turn as a LangGraph: intent -> tools -> answer, with at most five tool rounds. Its state is the pending calls
 * and a count; history, tokens and results stay with the turn's steps, which write straight into the turn's log.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { AsyncLocalStorageProviderSingleton } from "@langchain/core/singletons";
import {
  Annotation,
  type BaseCheckpointSaver,
  Command,
  END,
  INTERRUPT,
  interrupt,
  isInterrupted,
  type LangGraphRunnableConfig,
  START,
  StateGraph,
} from "@langchain/langgraph";
import type { Decision } from "../../../contracts/approvals.ts";
import { AppError } from "../../../contracts/errors.ts";
import type { ToolCall } from "../../../contracts/tools.ts";
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

const workflow = new StateGraph(TurnState)
  .addNode("intent", async (_state, config): Promise<Update> => ({ pending: await stepsOf(config).decide() }))
  .addNode("tools", async ({ pending, rounds }, config): Promise<Update> => {
    if (rounds >= MAX_TOOL_ROUNDS) throw new AppError("tool_loop_limit", "the model kept asking for tools");
    const steps = stepsOf(config);
    const asked = steps.asksFirst(pending);
    // Leaves the graph until it is run again with the answer; this node then starts anew.
    const decisions = asked.length > 0 ? interrupt<ToolCall[], Decision[]>(asked) : [];
    await steps.runTools(pending, decisions);
    return { pending: [], rounds: rounds + 1 };
  })
  .addNode("answer", async (_state, config): Promise<Update> => ({ pending: await stepsOf(config).think() }))
  .addEdge(START, "intent")
  .addConditionalEdges("intent", toolsOrEnd, ["tools", END])
  .addEdge("tools", "answer")
  .addConditionalEdges("answer", toolsOrEnd, ["tools", END]);

/** For turns that ask nobody: nothing of them is checkpointed. */
const plainGraph = workflow.compile();

function toolsOrEnd({ pending }: typeof TurnState.State): "tools" | typeof END {
  return pending.length > 0 ? "tools" : END;
}

function stepsOf(config: LangGraphRunnableConfig): TurnSteps {
  return config.configurable?.["steps"] as TurnSteps; // put there by runGraph
}

/** Where a turn that may wait for a person is checkpointed. */
export interface GraphThread {
  saver: BaseCheckpointSaver;
  id: string;
}

/**
 * Runs the workflow to its end, or until it waits: then the calls that a person is to decide on.
 * `decisions` goes on where it waits. Throws what a step throws.
 */
export async function runGraph(steps: TurnSteps, thread?: GraphThread, decisions?: Decision[]): Promise<ToolCall[]> {
  const graph = thread ? workflow.compile({ checkpointer: thread.saver }) : plainGraph;
  const state: unknown = await graph.invoke(
    decisions ? new Command({ resume: decisions }) : { pending: [], rounds: 0 },
    {
      configurable: { steps, thread_id: thread?.id },
      recursionLimit: 3 * (MAX_TOOL_ROUNDS + 1),
      // One checkpoint, when the workflow stops, instead of one a step.
      durability: "exit",
    },
  );
  return isInterrupted<ToolCall[]>(state) ? (state[INTERRUPT][0]?.value ?? []) : [];
}
