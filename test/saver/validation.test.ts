/** LangGraph's own suite for checkpoint savers, in full, on a Durable Object in workerd. */
import { deltaChannelHistoryTests, validate } from "@langchain/langgraph-checkpoint-validation";
import { describe } from "vitest";
import { OutsideSaver } from "./objects.ts";

describe("[SAVER-1] LangGraph's validation suite", () => {
  const suite = { checkpointerName: "SqliteSaver", createCheckpointer: () => new OutsideSaver() };
  validate(suite);
  // Not part of `validate`: the suite leaves it to each saver to ask for it.
  deltaChannelHistoryTests(suite);
});
