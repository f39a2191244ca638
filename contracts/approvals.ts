/**
 * Approvals: what a person is asked before a tool runs, and what they may answer. Pure.
 * An answer names a call by its id alone; what was asked is kept by the turn and never taken from a client.
 */
import * as z from "zod";
import type { ToolCall } from "./tools.ts";

/** "deny" wins over "ask", "ask" over "allow". A denied tool is not even offered to the model. */
export const PolicyAction = z.enum(["allow", "ask", "deny"]);
export type PolicyAction = z.infer<typeof PolicyAction>;

/** One rule of a deployment: `tool` is a glob over tool names; `user` narrows it to one user. */
export const PolicyRule = z.strictObject({
  tool: z.string().regex(/^[\w.*-]{1,64}$/),
  action: PolicyAction,
  user: z.uuid().toLowerCase().optional(),
});
export type PolicyRule = z.infer<typeof PolicyRule>;

/** A glob of tool names: `*` stands for any characters. */
export function matchesTool(glob: string, name: string): boolean {
  const pattern = glob.split("*").map((part) => part.replaceAll(/[.-]/g, "\\$&"));
  return new RegExp(`^${pattern.join(".*")}$`).test(name);
}

/** The globs of the tools that nobody may use, or this user may not. */
export function deniedTools(rules: readonly PolicyRule[], userId: string): string[] {
  return rules
    .filter(({ action, user }) => action === "deny" && (user === undefined || user === userId))
    .map(({ tool }) => tool);
}

const CallId = z.string().max(256);
const MAX_ARGUMENT_CHARS = 64 * 1024;

/** Fits a message's row, and Postgres takes it. */
function isStorable(value: unknown): boolean {
  const text = JSON.stringify(value);
  return text.length <= MAX_ARGUMENT_CHARS && !text.includes("\\u0000");
}

export const Decision = z.discriminatedUnion("decision", [
  z.strictObject({
    call_id: CallId,
    decision: z.literal("approve"),
    /** Given: the call runs with these in place of the model's. */
    arguments: z.record(z.string(), z.unknown()).refine(isStorable, "must be small and without NUL").optional(),
  }),
  z.strictObject({
    call_id: CallId,
    decision: z.literal("reject"),
    /** Told to the model. */
    reason: z.string().max(1_000).refine(isStorable, "must be without NUL").optional(),
  }),
]);
export type Decision = z.infer<typeof Decision>;

export const ApprovalsRequest = z
  .strictObject({ decisions: z.array(Decision).min(1).max(16) })
  .meta({ id: "ApprovalsRequest" });

/** What a waiting turn asks. */
export interface Approval {
  calls: ToolCall[];
  expiresAtMs: number;
  /** The answer, from when it is given to when the calls are told as events. */
  decisions?: Decision[];
}
