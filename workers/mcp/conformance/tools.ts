/**
 * The tools that the protocol's conformance suite calls, listed under MCP_CONFORMANCE=1 alone. Pure but for what they ask of the client.
 * Their names and answers are the suite's.
 */
import * as z from "zod";
import type { ToolLoaders } from "../registry.ts";
import type { Part } from "../tools/content.ts";
import type { Tool, ToolContext, ToolReply } from "../tools/tool.ts";
import { askEnums, askDefaults, askUser } from "./elicitation.ts";
import { PIXEL_PNG, SILENCE_WAV } from "./media.ts";

const NoInput = z.strictObject({});
const Prompt = z.strictObject({ prompt: z.string() });
const Question = z.strictObject({ message: z.string() });
const STEP_MS = 50;

const text = (content: string): ToolReply => ({ ok: true, content });
const parts = (...all: Part[]): ToolReply => ({ ok: true, content: "", parts: all });
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const failed = (content: string): ToolReply => ({ ok: false, content });

const image: Part = { type: "image", data: PIXEL_PNG, mimeType: "image/png" };

/** Without arguments. */
const PLAIN: Record<string, (context: ToolContext) => ToolReply | Promise<ToolReply>> = {
  test_simple_text: () => text("This is a simple text response for testing."),
  test_image_content: () => parts(image),
  test_audio_content: () => parts({ type: "audio", data: SILENCE_WAV, mimeType: "audio/wav" }),
  test_embedded_resource: () =>
    parts(embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")),
  test_multiple_content_types: () =>
    parts(
      { type: "text", text: "Multiple content types test:" },
      image,
      embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}'),
    ),
  async test_tool_with_logging({ client }) {
    for (const step of ["Tool execution started", "Tool processing data", "Tool execution completed"]) {
      await client?.log("info", step);
      await pause(STEP_MS);
    }
    return text("Three lines were logged.");
  },
  test_error_handling: () => failed("This tool intentionally returns an error for testing"),
  async test_tool_with_progress({ client }) {
    for (const done of [0, 50, 100]) {
      await client?.progress(done, 100);
      await pause(STEP_MS);
    }
    return text("All is done.");
  },
  async test_reconnection({ client }) {
    client?.hangUp();
    await pause(2 * STEP_MS);
    return text("The connection was closed, and this came after it.");
  },
  test_elicitation_sep1034_defaults: askDefaults,
  test_elicitation_sep1330_enums: askEnums,
};

const sampling: Tool<typeof Prompt> = {
  ...define("test_sampling", Prompt),
  async run({ prompt }, { client }) {
    const answer = await client?.sample({ text: prompt, maxTokens: 100 });
    return answer === undefined ? failed("The client offers no model.") : text(`LLM response: ${answer}`);
  },
};
const elicitation: Tool<typeof Question> = {
  ...define("test_elicitation", Question),
  run: ({ message }, context) => askUser(message, context),
};
function define<Input extends z.ZodType>(name: string, input: Input): Omit<Tool<Input>, "run"> {
  const annotations = { readOnly: true, idempotent: false, private: true, cost: "metered" } as const;
  return { name, description: "Of the conformance suite.", input, annotations };
}

function embedded(uri: string, mimeType: string, content: string): Part {
  return { type: "resource", resource: { uri, mimeType, text: content } };
}

const TOOLS: Tool[] = [
  ...Object.entries(PLAIN).map(([name, run]) => ({
    ...define(name, NoInput),
    run: (_args: unknown, context: ToolContext) => run(context),
  })),
  sampling,
  elicitation,
];

export const FIXTURE_TOOLS: ToolLoaders = Object.fromEntries(TOOLS.map((tool) => [tool.name, async () => tool]));
