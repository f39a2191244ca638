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
export type WorkflowState = typeof TurnState.State;
type Update = Partial<WorkflowState>;

const workflow = new StateGraph(TurnState)
  .addNode("intent", async (_state, config): Promise<Update> => ({ pending: await partsOf(config).steps.decide() }))
  .addNode("tools", async (state, config): Promise<Update> => {
    const { pending, rounds } = state;
    if (rounds >= MAX_TOOL_ROUNDS) throw new AppError("tool_loop_limit", "the model kept asking for tools");
    const { steps, mayWait } = partsOf(config);
    steps.keepFromFollowers(pending);
    const asked = steps.asksFirst(pending);
    if (asked.length > 0 && !mayWait) throw new NeedsPerson(state);
    // Leaves the graph until it is run again with the answer; this node then starts anew.
    const decisions = asked.length > 0 ? interrupt<ToolCall[], Decision[]>(asked) : [];
    await steps.runTools(pending, decisions);
    return { pending: [], rounds: rounds + 1 };
  })
  .addNode("answer", async (_state, config): Promise<Update> => ({ pending: await partsOf(config).steps.think() }))
  .addConditionalEdges(START, ({ pending }) => (pending.length > 0 ? "tools" : "intent"), ["tools", "intent"])
  .addConditionalEdges("intent", toolsOrEnd, ["tools", END])
  .addEdge("tools", "answer")
  .addConditionalEdges("answer", toolsOrEnd, ["tools", END]);

/** Nothing of it is checkpointed. */
const plainGraph = workflow.compile();

/** A call asks first: the workflow goes on from here in a graph that may wait. */
class NeedsPerson extends Error {
  readonly state: WorkflowState;

  constructor(state: WorkflowState) {
    super("a person is to decide");
    this.name = "NeedsPerson";
    this.state = state;
  }
}

interface Parts {
  steps: TurnSteps;
  mayWait: boolean;
}

function toolsOrEnd({ pending }: WorkflowState): "tools" | typeof END {
  return pending.length > 0 ? "tools" : END;
}

function partsOf(config: LangGraphRunnableConfig): Parts {
  return config.configurable?.["parts"] as Parts; // put there by the functions below
}

const RECURSION_LIMIT = 3 * (MAX_TOOL_ROUNDS + 1);

/** Runs the workflow to its end, or to the state in which a person is to decide. Throws what a step throws. */
export async function runGraph(steps: TurnSteps): Promise<WorkflowState | undefined> {
  try {
    const parts: Parts = { steps, mayWait: false };
    await plainGraph.invoke({ pending: [], rounds: 0 }, { configurable: { parts }, recursionLimit: RECURSION_LIMIT });
    return undefined;
  } catch (error) {
    if (error instanceof NeedsPerson) return error.state;
    throw error;
  }
}

/** Where a turn that waits for a person is checkpointed. */
export interface GraphThread {
  saver: BaseCheckpointSaver;
  id: string;
}

/**
 * Runs the workflow from a state, or on from where it waits with what was decided. Gives the calls that a person is to decide on
 * next; none at its end. Throws what a step throws.
 */
export async function runWaitingGraph(
  steps: TurnSteps,
  thread: GraphThread,
  input: { state: WorkflowState } | { decisions: Decision[] },
): Promise<ToolCall[]> {
  const graph = workflow.compile({ checkpointer: thread.saver });
  const parts: Parts = { steps, mayWait: true };
  const state: unknown = await graph.invoke("state" in input ? input.state : new Command({ resume: input.decisions }), {
    configurable: { parts, thread_id: thread.id },
    recursionLimit: RECURSION_LIMIT,
    // One checkpoint, when the workflow stops, instead of one a step.
    durability: "exit",
  });
  return isInterrupted<ToolCall[]>(state) ? (state[INTERRUPT][0]?.value ?? []) : [];
}
