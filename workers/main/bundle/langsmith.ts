/**
 * Stands for `langsmith` in main's bundle (`alias` in wrangler.toml). LangGraph brings that client to send what a graph runs to a service
 * for tracing; here nothing is sent, so its client, and a run's record at every step, are left out. Pure.
 */

/** What LangChain keeps in its context storage while a node runs: the caller's configuration is hung onto it. */
export class RunTree {
  readonly tracingEnabled = false;
  extra: Record<PropertyKey, unknown> = {};
}

export const isRunTree = (value: unknown): value is RunTree => value instanceof RunTree;

/** No run is traced, so none is the current one. */
export const getCurrentRunTree = (): undefined => undefined;

export const isTraceableFunction = (): boolean => false;

const refuse = (): never => {
  throw new Error("nothing is traced to LangSmith");
};
export { refuse as Client, refuse as convertToDottedOrderFormat };
