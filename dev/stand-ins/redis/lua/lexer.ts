/** Lua source as tokens. Pure. Refuses characters that are not Lua, and long strings, which no script here uses. */
import { scriptError } from "./values.ts";

export interface Token {
  kind: "name" | "keyword" | "number" | "string" | "symbol" | "end";
  /** A string without its quotes and escapes. */
  text: string;
}

const KEYWORDS = new Set(
  "and break do else elseif end false for function if in local nil not or return then true while".split(" "),
);
const TOKEN =
  /\s+|--[^\n]*|(?<name>[A-Za-z_]\w*)|(?<number>\d+(?:\.\d+)?)|(?<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(?<symbol>==|~=|<=|>=|\.\.|[-+*/%#<>=(){}[\],;.])/y;

export function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  const pattern = new RegExp(TOKEN);
  while (pattern.lastIndex < source.length) {
    const at = pattern.lastIndex;
    const groups = pattern.exec(source)?.groups;
    if (groups === undefined) throw scriptError(`unexpected '${source.charAt(at)}'`);
    const { name, number, string, symbol } = groups;
    if (name !== undefined) tokens.push({ kind: KEYWORDS.has(name) ? "keyword" : "name", text: name });
    else if (number !== undefined) tokens.push({ kind: "number", text: number });
    else if (string !== undefined) tokens.push({ kind: "string", text: unquote(string) });
    else if (symbol !== undefined) tokens.push({ kind: "symbol", text: symbol });
  }
  return [...tokens, { kind: "end", text: "the end" }];
}

function unquote(quoted: string): string {
  return quoted.slice(1, -1).replaceAll(/\\(.)/g, (_, escaped: string) => (escaped === "n" ? "\n" : escaped));
}
