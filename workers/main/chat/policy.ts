/**
 * Tool policies: which tools a user's turns are offered, and which of them ask a person first. Pure.
 * Without a rule a tool that only reads runs at once, and any other one asks.
 */
import { matchesTool, type PolicyAction, type PolicyRule } from "../../../contracts/approvals.ts";
import type { ToolDefinition, ToolList } from "../../../contracts/tools.ts";

export interface OfferedTools {
  /** Undefined when there are none. */
  tools: ToolList | undefined;
  /** Names of those that ask first. */
  askFirst: string[];
}

const STRICTNESS: Record<PolicyAction, number> = { allow: 0, ask: 1, deny: 2 };

export function applyPolicy(list: ToolList | undefined, rules: PolicyRule[], userId: string): OfferedTools {
  if (list === undefined) return { tools: undefined, askFirst: [] };
  const judged = list.tools.map((tool) => ({ tool, action: actionFor(tool, rules, userId) }));
  return {
    tools: { ...list, tools: judged.flatMap(({ tool, action }) => (action === "deny" ? [] : [tool])) },
    askFirst: judged.flatMap(({ tool, action }) => (action === "ask" ? [tool.name] : [])),
  };
}

/** The strictest of the rules that match. */
function actionFor(tool: ToolDefinition, rules: PolicyRule[], userId: string): PolicyAction {
  const matching = rules
    .filter((rule) => (rule.user === undefined || rule.user === userId) && matchesTool(rule.tool, tool.name))
    .map((rule) => rule.action);
  const fallback: PolicyAction = tool.readOnly ? "allow" : "ask";
  return matching.toSorted((a, b) => STRICTNESS[b] - STRICTNESS[a])[0] ?? fallback;
}
