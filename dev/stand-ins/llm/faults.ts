/**
 * Faults of the LLM stand-in, named in the model (`demo:cut.3`) or on the control port (`cut.3`). Pure.
 *
 *   <model>[:<fault>[.<argument>]...]...   only characters that a model id may hold: \w . / : -
 *
 *   cut.N drop.N rst.N       after N chunks: a clean end without finish or [DONE]; a closed connection; a reset
 *   err.N err.N.done         after N chunks `data: {"error":...}`; then [DONE] too
 *   stall.headers|first|N    silence before the headers; after them; after N chunks
 *   429[.ra.S|none|date|-1]  rate limited, with that Retry-After (default none; date is in two seconds)
 *   status.NNN               that status with an HTML body
 *   login html200            302 to a login page; 200 with that page
 *   unknown                  404 model_not_found
 *   context[.flat|nested]    400 context_length_exceeded; as vLLM tells it: older, newer
 *   invalid[.400|413|422]    that status and vLLM's error about the request (default 400)
 *   nousage usage-empty-choices   no usage at all; usage unasked, first and last, in chunks with empty choices
 *   cached.N                 usage tells that N tokens of the prompt were cached
 *   finish.abort|null|weird  that finish_reason, then [DONE];  dup-finish: the finish chunk twice
 *   length                   half the answer, finish_reason "length"
 *   bytes.N                  the body in writes of N bytes: frames and characters are split
 *   toolcalls.<script>       tool-scripts.ts;  mirror: the answer is the request itself, as JSON
 *   badjson.once|always      what is no JSON; once: not after its own answer of this kind
 *   tokens.N[.gap.MS]        N chunks, MS apart, and no wait for the first
 *
 * N counts chunks of text or tool calls; the opening chunk with the role is not one. Refuses anything else.
 */
import { isToolScript, type ToolScript } from "./tool-scripts.ts";

export type Refusal =
  | { kind: "status"; status: number }
  | { kind: "rate"; retryAfter: "none" | "date" | number }
  | { kind: "context"; form: "openai" | "flat" | "nested" }
  | { kind: "invalid"; status: number }
  | { kind: "login" | "html200" | "unknown" | "stall" };

export type Break = { kind: "cut" | "drop" | "rst" | "err" | "err-done" | "stall"; after: number };

export interface Faults {
  /** Answered instead of a completion. */
  refusal?: Refusal;
  /** Ends, or stops, the completion in its middle. */
  breaks?: Break;
  /** Headers, then silence. */
  stallFirst?: true;
  usage?: "none" | "empty-choices";
  cached?: number;
  /** Sent in place of the true finish reason. */
  finish?: string | null;
  duplicateFinish?: true;
  halved?: true;
  writeBytes?: number;
  toolScript?: ToolScript;
  mirror?: true;
  badJson?: "once" | "always";
  tokens?: { count: number; gapMs: number };
}

/** What a model name asks for; undefined when it is the demo model with a fault that does not exist. */
export function parseModel(model: string): { base: string; faults: Faults } | undefined {
  const [base = "", ...parts] = model.split(":");
  const faults = parseFaults(parts.join(":"));
  if (faults !== undefined) return { base, faults };
  // Real names hold colons too (llama3:8b): theirs is no fault.
  return base === "demo" ? undefined : { base: model, faults: {} };
}

/** One fault, or several joined by colons; undefined when one of them does not exist. */
export function parseFaults(text: string): Faults | undefined {
  const faults: Faults = {};
  if (text === "") return faults;
  for (const part of text.split(":")) {
    const [name = "", ...args] = part.split(".");
    const parsed = parseFault(name, args);
    if (parsed === undefined) return undefined;
    Object.assign(faults, parsed);
  }
  return faults;
}

function parseFault(name: string, args: string[]): Faults | undefined {
  const parse = Object.hasOwn(GRAMMAR, name) ? GRAMMAR[name] : undefined;
  return parse?.(args);
}

const GRAMMAR: Record<string, (args: string[]) => Faults | undefined> = {
  cut: (args) => breakAfter("cut", args),
  drop: (args) => breakAfter("drop", args),
  rst: (args) => breakAfter("rst", args),
  err: ([after = "", done, ...more]) => {
    if (done !== undefined && done !== "done") return undefined;
    return breakAfter(done === "done" ? "err-done" : "err", [after, ...more]);
  },
  stall: (args) => {
    const [phase] = args;
    if (args.length === 1 && phase === "headers") return { refusal: { kind: "stall" } };
    return args.length === 1 && phase === "first" ? { stallFirst: true } : breakAfter("stall", args);
  },
  429: (args) => {
    const [word = "ra", value = "none", ...more] = args;
    if (word !== "ra" || more.length > 0) return undefined;
    if (value === "none" || value === "date") return { refusal: { kind: "rate", retryAfter: value } };
    return /^-?\d{1,6}$/.test(value) ? { refusal: { kind: "rate", retryAfter: Number(value) } } : undefined;
  },
  status: (args) => {
    const status = count(args);
    return status !== undefined && status >= 400 && status <= 599 ? { refusal: { kind: "status", status } } : undefined;
  },
  login: (args) => alone(args, { refusal: { kind: "login" } }),
  html200: (args) => alone(args, { refusal: { kind: "html200" } }),
  unknown: (args) => alone(args, { refusal: { kind: "unknown" } }),
  context: ([form = "openai", ...more]) => {
    const isForm = form === "openai" || form === "flat" || form === "nested";
    return isForm && more.length === 0 ? { refusal: { kind: "context", form } } : undefined;
  },
  invalid: ([status = "400", ...more]) => {
    if (!["400", "413", "422"].includes(status) || more.length > 0) return undefined;
    return { refusal: { kind: "invalid", status: Number(status) } };
  },
  nousage: (args) => alone(args, { usage: "none" }),
  "usage-empty-choices": (args) => alone(args, { usage: "empty-choices" }),
  cached: (args) => {
    const cached = count(args);
    return cached === undefined ? undefined : { cached };
  },
  finish: (args) => {
    const [reason = ""] = args;
    if (args.length !== 1 || !["abort", "null", "weird"].includes(reason)) return undefined;
    return { finish: reason === "null" ? null : reason };
  },
  "dup-finish": (args) => alone(args, { duplicateFinish: true }),
  length: (args) => alone(args, { halved: true }),
  bytes: (args) => {
    const writeBytes = count(args);
    return writeBytes !== undefined && writeBytes > 0 ? { writeBytes } : undefined;
  },
  toolcalls: (args) => {
    const [toolScript = ""] = args;
    return args.length === 1 && isToolScript(toolScript) ? { toolScript } : undefined;
  },
  badjson: ([often, ...more]) =>
    (often === "once" || often === "always") && more.length === 0 ? { badJson: often } : undefined,
  mirror: (args) => alone(args, { mirror: true }),
  tokens: ([number = "", word = "gap", gap = "0", ...more]) => {
    const [tokens, gapMs] = [count([number]), count([gap])];
    if (tokens === undefined || gapMs === undefined || word !== "gap" || more.length > 0) return undefined;
    return { tokens: { count: tokens, gapMs } };
  },
};

function breakAfter(kind: Break["kind"], args: string[]): Faults | undefined {
  const after = count(args);
  return after === undefined ? undefined : { breaks: { kind, after } };
}

function count(args: string[]): number | undefined {
  const [text = ""] = args;
  return args.length === 1 && /^\d{1,6}$/.test(text) ? Number(text) : undefined;
}

function alone(args: string[], faults: Faults): Faults | undefined {
  return args.length === 0 ? faults : undefined;
}
