/**
 * The input of a response as what a session is told: messages, each with what stands before it; outputs of the response before; and rounds of
 * tools that come last. Pure. It has been checked where it came in.
 */
import type { ResponseItem } from "../../../contracts/openai-responses.ts";
import { type InputPart, type Prelude, textOfParts } from "../../../contracts/parts.ts";
import type { ToolRound } from "../../../contracts/rounds.ts";
import type { CallOutput } from "../../../contracts/session.ts";
import type { ToolCall } from "../../../contracts/tools.ts";

export interface ResponseInput {
  messages: { role: "user" | "assistant"; content: string | InputPart[] }[];
  /** What stands before each of them. */
  before: Prelude[][];
  /** Of calls that the response before has made. */
  outputs: CallOutput[];
  /** Behind the last message. */
  given: ToolRound[];
  /** A system's words that no message follows or precedes. */
  instructions: string[];
}

export function readInput(input: string | ResponseItem[]): ResponseInput {
  const read: ResponseInput = { messages: [], before: [], outputs: [], given: [], instructions: [] };
  if (typeof input === "string") {
    return { ...read, messages: [{ role: "user", content: input }], before: [[]] };
  }
  let pending: Prelude[] = [];
  const open = new OpenRound();
  for (const item of input) {
    if (item.type === "function_call") {
      open.add({ id: item.call_id, name: item.name, arguments: item.arguments });
    } else if (item.type === "function_call_output") {
      const { call_id: callId, output: content } = item;
      if (open.isEmpty) read.outputs.push({ callId, content });
      else pending.push(...open.settle(callId, content));
    } else if (item.role === "system" || item.role === "developer") {
      pending.push({ system: textOfParts(item.content) });
    } else {
      read.messages.push({ role: item.role, content: item.content });
      read.before.push(pending);
      pending = [];
    }
  }
  // Words behind the last message are told before it: they are about how to answer it.
  const words = pending.flatMap((one) => ("system" in one ? [one] : []));
  const last = read.before.at(-1);
  if (last === undefined) read.instructions.push(...words.map(({ system }) => system));
  else last.push(...words);
  read.given.push(...pending.flatMap((one) => ("round" in one ? [one.round] : [])));
  return read;
}

/** Calls that were made together, until each has its output. */
class OpenRound {
  #calls: ToolCall[] = [];
  #outputs = new Map<string, string>();

  get isEmpty(): boolean {
    return this.#calls.length === 0;
  }

  add(call: ToolCall): void {
    this.#calls.push(call);
  }

  /** The round, with its last output. */
  settle(callId: string, output: string): Prelude[] {
    this.#outputs.set(callId, output);
    if (this.#outputs.size < this.#calls.length) return [];
    const calls = this.#calls;
    const results = calls.map(({ id }) => ({ ok: true, content: this.#outputs.get(id) ?? "" }));
    this.#calls = [];
    this.#outputs = new Map();
    return [{ round: { content: "", calls, results } }];
  }
}
