/**
 * What the demo model says: an answer made from the prompt, or calls of the tools that the prompt needs and the request
 * offers. Pure and the same for the same request, so tests can tell what comes. Every text says that it is a demo.
 */
import { answerInJson } from "./json-answers.ts";
import type { CompletionRequest, OfferedTool } from "./request.ts";

const DEMO_LABEL = "[demo model]";

export interface PlannedCall {
  name: string;
  arguments: Record<string, string>;
}

export type DemoAnswer = { kind: "text"; text: string } | { kind: "calls"; calls: PlannedCall[] };

type Messages = CompletionRequest["messages"];

export function answerPrompt(request: CompletionRequest): DemoAnswer {
  const { messages } = request;
  const answered = messages.at(-1)?.role === "tool";
  const calls = answered ? [] : planCalls(lastUserText(messages), request.tools);
  if (calls.length > 0) return { kind: "calls", calls };
  const said = answered ? sayToolResults(messages) : sayAnswer(messages);
  return { kind: "text", text: request.json ? answerInJson(said, request.schema) : `${DEMO_LABEL} ${said}` };
}

/** The calls that a prompt needs, of the tools that are offered. */
export function planCalls(wholePrompt: string, tools: OfferedTool[]): PlannedCall[] {
  // What a person asks stands at the start; a book pasted behind it must not cost time.
  const prompt = wholePrompt.slice(0, 2_000);
  const calls: PlannedCall[] = [];
  const calculator = findTool(tools, "calculator");
  const expression = findArithmetic(prompt);
  if (calculator !== undefined && expression !== undefined) calls.push(callWith(calculator, expression));

  const clock = findTool(tools, "current_time");
  const asksTime = /\b(what time|what is the time|what's the time|current time|the time now|time is it)\b/i.test(
    prompt,
  );
  if (clock !== undefined && asksTime) calls.push({ name: clock.name, arguments: {} });

  const echo = findTool(tools, "echo");
  const echoed = /\becho\s+["']?([^"'\n]+)/i.exec(prompt)?.[1]?.trim();
  if (echo !== undefined && echoed !== undefined) calls.push(callWith(echo, echoed));

  const search = findTool(tools, "web_search");
  const sought = /\bsearch the web for\s+["']?([^"'\n]+)/i.exec(prompt)?.[1]?.trim();
  if (search !== undefined && sought !== undefined) calls.push(callWith(search, sought));
  return calls;
}

/** A call of `tool` with `value` as its first required, else first, string argument. */
export function callWith(tool: OfferedTool, value: string): PlannedCall {
  const { properties, required } = tool.parameters ?? {};
  const entries = typeof properties === "object" && properties !== null ? Object.entries(properties) : [];
  const strings = entries.filter(([, schema]) => isStringSchema(schema)).map(([name]) => name);
  const needed = Array.isArray(required) ? strings.find((name) => required.includes(name)) : undefined;
  return { name: tool.name, arguments: { [needed ?? strings[0] ?? "input"]: value } };
}

/** The first arithmetic expression with an operator between two numbers, as it is written. */
function findArithmetic(prompt: string): string | undefined {
  const plain = prompt.replaceAll(/(?<=\d\s?)[x×](?=\s?\d)/g, "*");
  for (const [run] of plain.matchAll(/[\d\s.()+\-*/^%]+/g)) {
    const expression = trimArithmetic(run);
    const isDate = /^\d{4}-\d{1,2}-\d{1,2}$/.test(expression);
    if (!isDate && /[\d)]\s*[-+*/^%]\s*[-(]*\s*\d/.test(expression)) return expression;
  }
  return undefined;
}

/** Takes away what belongs to the sentence around: `(17*23).` ends its sentence, and may be all of a parenthesis. */
function trimArithmetic(run: string): string {
  let from = 0;
  let to = run.length;
  while (from < to && !/[\d(-]/.test(run.charAt(from))) from += 1;
  while (to > from && !/[\d)]/.test(run.charAt(to - 1))) to -= 1;
  return run.slice(from, to);
}

function sayAnswer(messages: Messages): string {
  const users = messages.filter((message) => message.role === "user").map((message) => message.text);
  const asked = users.at(-1) ?? "";
  if (/\b(what(?:'s| is) my name|who am i)\b/i.test(asked)) return sayName(users);
  const earlier = users.length - 1;
  const before = quote(users.at(-2) ?? "");
  const memory =
    earlier === 0
      ? "This is your first message in this conversation."
      : `I see ${earlier} earlier ${earlier === 1 ? "message" : "messages"} of yours; the last was ${before}.`;
  const parts = messages.findLast((message) => message.role === "user")?.parts ?? [];
  const attached = parts.length === 0 ? "" : `You sent: ${parts.join(", ")}. `;
  return `You asked: ${quote(asked)}. ${attached}${memory} I run on this machine and know nothing else: set OPENAI_API_KEY for a real model.`;
}

function sayName(users: string[]): string {
  const names = users.flatMap((text) =>
    [...text.matchAll(/\bmy name is ([\p{L}\p{M}'-]+)/giu)].map(([, name]) => name),
  );
  const name = names.at(-1);
  return name === undefined ? "You have not told me your name." : `Your name is ${name}.`;
}

function sayToolResults(messages: Messages): string {
  const from = messages.findLastIndex((message) => message.role !== "tool") + 1;
  const results = messages.slice(from).map((message) => clip(message.text, 2_000));
  return `The ${results.length === 1 ? "tool" : "tools"} answered: ${results.join("; ")}`;
}

function lastUserText(messages: Messages): string {
  return messages.findLast((message) => message.role === "user")?.text ?? "";
}

/** A tool of this name, or one whose name ends in it behind a prefix (`mcp__echo`, `server.echo`). */
function findTool(tools: OfferedTool[], name: string): OfferedTool | undefined {
  return tools.find((tool) => tool.name === name || ["_", ".", "-"].some((joint) => tool.name.endsWith(joint + name)));
}

function isStringSchema(schema: unknown): boolean {
  return typeof schema === "object" && schema !== null && "type" in schema && schema.type === "string";
}

function quote(text: string): string {
  return `"${clip(text.replaceAll(/\s+/g, " ").trim(), 200)}"`;
}

function clip(text: string, chars: number): string {
  const points = Array.from(text.slice(0, chars * 2));
  return points.length > chars || text.length > chars * 2 ? `${points.slice(0, chars).join("")}…` : text;
}
