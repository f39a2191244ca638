/**
 * What the conformance suite's tools ask a client's user: a form, one with defaults, one with every kind of choice. Pure.
 */
import type { ToolContext, ToolReply } from "../tools/tool.ts";

const DEFAULTS = {
  name: { type: "string", default: "John Doe" },
  age: { type: "integer", default: 30 },
  score: { type: "number", default: 95.5 },
  status: { type: "string", enum: ["active", "inactive", "pending"], default: "active" },
  verified: { type: "boolean", default: true },
};

const titled = (name: string) => [1, 2, 3].map((n) => ({ const: `value${n}`, title: `${name} ${n}` }));
const options = ["option1", "option2", "option3"];
const ENUMS = {
  untitledSingle: { type: "string", enum: options },
  titledSingle: { type: "string", oneOf: titled("Choice") },
  legacyEnum: { type: "string", enum: ["opt1", "opt2", "opt3"], enumNames: ["Option 1", "Option 2", "Option 3"] },
  untitledMulti: { type: "array", items: { type: "string", enum: options } },
  titledMulti: { type: "array", items: { anyOf: titled("Choice") } },
};

const USER = {
  username: { type: "string", description: "User's response" },
  email: { type: "string", description: "User's email address" },
};

export function askUser(message: string, context: ToolContext): Promise<ToolReply> {
  return ask(context, { message, properties: USER, required: Object.keys(USER), lead: "User response: " });
}

export function askDefaults(context: ToolContext): Promise<ToolReply> {
  return ask(context, { message: "Please look at the defaults.", properties: DEFAULTS, lead: COMPLETED });
}

export function askEnums(context: ToolContext): Promise<ToolReply> {
  return ask(context, { message: "Please choose.", properties: ENUMS, lead: COMPLETED });
}

const COMPLETED = "Elicitation completed: ";

interface Form {
  message: string;
  properties: Record<string, unknown>;
  required?: string[];
  lead: string;
}

async function ask({ client }: ToolContext, { message, properties, required, lead }: Form): Promise<ToolReply> {
  const schema = { type: "object", properties, ...(required && { required }) };
  const answer = await client?.elicit({ message, schema });
  if (answer === undefined) return { ok: false, content: "The client has nobody to ask." };
  return { ok: true, content: `${lead}action=${answer.action}, content=${JSON.stringify(answer.content ?? {})}` };
}
