/**
 * Tool calls of a model's reply: deltas gathered by index, arguments parsed once at the end. State lives in the list.
 * Refuses more than MAX_CALLS calls or MAX_ARGUMENT_CHARS of arguments; arguments that are no JSON object are marked, never run.
 */
import type { ToolCall } from "./tools.ts";

/** A tool call whose arguments were no JSON object: told to the model, never executed. */
export interface MalformedToolCall {
  id: string;
  name: string;
  malformed: true;
}

export const MAX_CALLS = 128;
export const MAX_ARGUMENT_CHARS = 256 * 1024;
const MAX_NAME_CHARS = 256;

/** A call as it came: parts may be missing. */
interface RawToolCall {
  id: string;
  name: string;
  arguments: string;
}

export interface ToolCallDeltas {
  readonly size: number;
  /** Takes one element of `delta.tool_calls`. False: not the wire's shape, or too much. */
  add(delta: unknown): boolean;
  parse(newCallId: () => string): (ToolCall | MalformedToolCall)[];
}

export function createToolCallDeltas(): ToolCallDeltas {
  const calls: RawToolCall[] = [];
  const byIndex = new Map<number, RawToolCall>();
  let argumentChars = 0;
  return {
    get size() {
      return calls.length;
    },
    add(delta) {
      const part = readDelta(delta);
      if (part === undefined) return false;
      let call = byIndex.get(part.index);
      if (call === undefined || startsAnother(call, part)) {
        call = { id: "", name: "", arguments: "" };
        calls.push(call);
        byIndex.set(part.index, call);
      }
      if (part.id !== "") call.id = part.id;
      if (part.name !== "") call.name = part.name;
      call.arguments += part.arguments;
      argumentChars += part.arguments.length;
      return calls.length <= MAX_CALLS && argumentChars <= MAX_ARGUMENT_CHARS;
    },
    parse: (newCallId) => parseToolCalls(calls, newCallId),
  };
}

/** Empty arguments mean none. An id that is missing or used twice is replaced. */
function parseToolCalls(calls: readonly RawToolCall[], newCallId: () => string): (ToolCall | MalformedToolCall)[] {
  const used = new Set<string>();
  return calls.map((call) => {
    const id = call.id === "" || used.has(call.id) ? newCallId() : call.id;
    used.add(id);
    const args = parseArguments(call.arguments);
    return args === undefined || call.name === ""
      ? { id, name: call.name, malformed: true }
      : { id, name: call.name, arguments: args };
  });
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parseArguments(text: string): Record<string, unknown> | undefined {
  if (text.trim() === "") return {};
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/**
 * A new id on a used index starts a call. Without ids a second name does, once the first call's arguments are whole:
 * some servers send every call as index 0, others repeat the name in every delta.
 */
function startsAnother(call: RawToolCall, part: RawToolCall): boolean {
  if (part.id !== "" && call.id !== "") return part.id !== call.id;
  if (part.name === "" || call.name === "") return false;
  if (part.id !== "" || part.name !== call.name) return true;
  return call.arguments !== "" && parseArguments(call.arguments) !== undefined;
}

function readDelta(delta: unknown): (RawToolCall & { index: number }) | undefined {
  if (!isRecord(delta)) return undefined;
  const { index, id } = { index: delta["index"] ?? 0, id: delta["id"] ?? "" };
  const called = delta["function"] ?? {};
  if (!Number.isInteger(index) || typeof index !== "number" || typeof id !== "string" || !isRecord(called))
    return undefined;
  const name = called["name"] ?? "";
  const args = called["arguments"] ?? "";
  if (typeof name !== "string" || typeof args !== "string") return undefined;
  if (id.length > MAX_NAME_CHARS || name.length > MAX_NAME_CHARS) return undefined;
  return { index, id, name, arguments: args };
}
