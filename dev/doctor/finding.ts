/** What a check of the doctor finds, and how it is shown. Pure. A value of a setting is never part of it. */
import { styleText } from "node:util";

export interface Finding {
  /** What was looked at. */
  check: string;
  state: "ok" | "warn" | "fail";
  detail: string;
  /** What to do about it. */
  fix?: string;
}

export const good = (check: string, detail: string): Finding => ({ check, state: "ok", detail });
export const warning = (check: string, detail: string, fix: string): Finding => ({ check, state: "warn", detail, fix });
export const failure = (check: string, detail: string, fix: string): Finding => ({ check, state: "fail", detail, fix });

const SIGNS = { ok: ["✓", "green"], warn: ["!", "yellow"], fail: ["✗", "red"] } as const;

export function show({ check, state, detail, fix }: Finding): string {
  const [sign, colour] = SIGNS[state];
  const line = `${styleText(colour, sign)} ${check.padEnd(14)} ${detail}`;
  return fix === undefined ? line : `${line}\n  ${" ".repeat(14)} fix: ${fix}`;
}

export function summarize(findings: readonly Finding[]): string {
  const count = (state: Finding["state"]) => findings.filter((finding) => finding.state === state).length;
  return `${count("ok")} ok, ${count("warn")} to look at, ${count("fail")} failed`;
}
