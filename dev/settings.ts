/**
 * .dev.vars of a local run: the developer's own lines stay as they are, and a block below them, rewritten at each start,
 * adds what is missing. State: that file. A setting that the developer gives is never overwritten.
 */
import { readFile, writeFile } from "node:fs/promises";
import { parseEnv } from "node:util";

const FILE = ".dev.vars";
export const DEV_VARS_MARK =
  "# --- npm run dev writes below this line at each start; your own settings go above it ---";

export interface DevVars {
  /** What the developer set. */
  own: Record<string, string>;
  /** What the last run added. */
  added: Record<string, string>;
  ownText: string;
}

export async function readDevVars(): Promise<DevVars> {
  const text = await readFile(FILE, "utf8").catch(() => "");
  const [ownText = "", addedText = ""] = text.split(DEV_VARS_MARK);
  return { own: withoutEmpty(parseEnv(ownText)), added: withoutEmpty(parseEnv(addedText)), ownText: ownText.trimEnd() };
}

/** Writes the settings that the developer did not give; the file may hold secrets, so it is the owner's alone. */
export async function writeDevVars(vars: DevVars, settings: Record<string, string>): Promise<void> {
  const lines = Object.entries(settings)
    .filter(([key]) => vars.own[key] === undefined)
    .map(([key, value]) => `${key}=${value.includes('"') ? `'${value}'` : `"${value}"`}`);
  const text = [vars.ownText, vars.ownText && "", DEV_VARS_MARK, ...lines, ""]
    .filter((line, at) => at > 1 || line)
    .join("\n");
  await writeFile(FILE, text, { mode: 0o600 });
}

function withoutEmpty(values: NodeJS.Dict<string>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).flatMap(([key, value]) => (value ? [[key, value]] : [])));
}
