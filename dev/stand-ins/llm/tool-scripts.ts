/**
 * Tool calls as bad servers stream them, each a list of deltas and a finish reason. Pure.
 * A script calls what the prompt needs or else the first tool offered; once results came back the model answers
 * (only `loop` calls again, for ever).
 */
import { callWith, planCalls, type PlannedCall } from "./demo.ts";
import type { CompletionRequest } from "./request.ts";

export interface ToolDelta {
  index: number;
  id?: string;
  type?: "function";
  function: { name?: string; arguments?: string };
}

export interface JoinedCall {
  id?: string;
  type: "function";
  function: { name: string; arguments: string };
}

export interface ScriptedCalls {
  deltas: ToolDelta[];
  finish: "tool_calls" | "stop";
}

export type ToolScript =
  | "plain"
  | "no-id"
  | "same-index"
  | "split-args"
  | "finish-stop"
  | "invalid-json"
  | "unknown-tool"
  | "fifty"
  | "loop";

type Script = (calls: [PlannedCall, ...PlannedCall[]]) => ScriptedCalls;

const SCRIPTS: Record<ToolScript, Script> = {
  /** As a good server sends them. */
  plain: (calls) => inToolCalls(calls.flatMap((call, index) => opened({ ...call, index, id: `call_${index + 1}` }))),
  "no-id": (calls) => inToolCalls(calls.flatMap((call, index) => opened({ ...call, index }))),
  /** Two calls, each with its own id, both at index 0. */
  "same-index": (calls) =>
    inToolCalls(
      [...calls, ...calls].slice(0, 2).flatMap((call, at) => opened({ ...call, index: 0, id: `call_${at + 1}` })),
    ),
  /** Arguments with quotes, line ends and escaped non-ASCII, cut behind each backslash and inside each \u escape. */
  "split-args": ([call]) => inToolCalls(splitInEscapes(withEscapes(call))),
  "finish-stop": (calls) => ({ ...SCRIPTS.plain(calls), finish: "stop" }),
  "invalid-json": ([call]) => inToolCalls([opening({ name: call.name, index: 0, id: "call_1" }, '{"expression": 17*')]),
  "unknown-tool": () => SCRIPTS.plain([{ name: "no_such_tool", arguments: { input: "x" } }]),
  fifty: ([call]) =>
    inToolCalls(Array.from({ length: 50 }, (_, index) => opened({ ...call, index, id: `call_${index + 1}` })).flat()),
  loop: (calls) => SCRIPTS.plain(calls),
};

export function isToolScript(name: string): name is ToolScript {
  return Object.hasOwn(SCRIPTS, name);
}

/** The calls of a script; undefined when the request carries tool results, which a model answers in words. */
export function playToolScript(script: ToolScript, request: CompletionRequest): ScriptedCalls | undefined {
  if (script !== "loop" && request.messages.at(-1)?.role === "tool") return undefined;
  const prompt = request.messages.findLast((message) => message.role === "user")?.text ?? "";
  const [first, ...more] = planCalls(prompt, request.tools);
  return SCRIPTS[script]([first ?? anyCall(request), ...more]);
}

/** As a good server sends the calls of the demo model. */
export function streamCalls(calls: PlannedCall[]): ScriptedCalls {
  const [first, ...more] = calls;
  return first === undefined ? { deltas: [], finish: "stop" } : SCRIPTS.plain([first, ...more]);
}

/** The calls as a reply without a stream holds them. */
export function joinDeltas(deltas: ToolDelta[]): JoinedCall[] {
  const calls: JoinedCall[] = [];
  for (const { id, function: part } of deltas) {
    const last = calls.at(-1);
    if (part.name === undefined && last !== undefined) last.function.arguments += part.arguments ?? "";
    else
      calls.push({
        ...(id === undefined ? {} : { id }),
        type: "function",
        function: { name: part.name ?? "", arguments: part.arguments ?? "" },
      });
  }
  return calls;
}

function anyCall(request: CompletionRequest): PlannedCall {
  const [tool = { name: "echo" }] = request.tools;
  return callWith(tool, "hello");
}

function inToolCalls(deltas: ToolDelta[]): ScriptedCalls {
  return { deltas, finish: "tool_calls" };
}

/** The opening delta with the name, then the arguments in two halves. */
function opened(call: PlannedCall & { index: number; id?: string }): ToolDelta[] {
  const text = JSON.stringify(call.arguments);
  const half = Math.ceil(text.length / 2);
  const more = [text.slice(0, half), text.slice(half)].map((part) => ({
    index: call.index,
    function: { arguments: part },
  }));
  return [opening(call, ""), ...more];
}

function opening(call: { name: string; index: number; id?: string }, text: string): ToolDelta {
  const { index, id, name } = call;
  return { index, ...(id === undefined ? {} : { id }), type: "function", function: { name, arguments: text } };
}

function withEscapes(call: PlannedCall): PlannedCall {
  const added = Object.entries(call.arguments).map(([name, value]) => [name, `${value} "café"\n😀`]);
  return { name: call.name, arguments: Object.fromEntries(added) };
}

function splitInEscapes(call: PlannedCall): ToolDelta[] {
  const text = JSON.stringify(call.arguments).replaceAll(
    /[\u0080-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  const pieces = text.split(/(?<=\\)|(?<=\\u..)/);
  return [
    opening({ name: call.name, index: 0, id: "call_1" }, ""),
    ...pieces.map((piece) => ({ index: 0, function: { arguments: piece } })),
  ];
}
