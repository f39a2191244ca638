import { expect, test } from "vitest";
import type { PolicyRule } from "../../../contracts/approvals.ts";
import { applyPolicy } from "./policy.ts";

const USER = "01a208da-e947-7048-8025-8d0d150d1078";
const tool = (name: string, readOnly = true) => ({
  ...{ name, readOnly, description: "", inputSchema: {}, idempotent: true, private: false, cost: "free" as const },
});
const LIST = { version: "1", tools: [tool("web_search"), tool("web_fetch"), tool("send_mail", false)] };

function judge(rules: PolicyRule[]): { offered: string[] | undefined; askFirst: string[] } {
  const { tools, askFirst } = applyPolicy(LIST, rules, USER);
  return { offered: tools?.tools.map(({ name }) => name), askFirst };
}

test("[TOOL-1] without rules, tools that read are allowed and others ask", () => {
  expect(judge([])).toEqual({ offered: ["web_search", "web_fetch", "send_mail"], askFirst: ["send_mail"] });
});

test("[TOOL-1] the strictest matching rule counts, deny over ask over allow", () => {
  const allow = { tool: "*", action: "allow" } as const;
  const ask = { tool: "web_*", action: "ask" } as const;
  const deny = { tool: "*_fetch", action: "deny" } as const;
  for (const rules of [
    [allow, ask, deny],
    [deny, ask, allow],
  ]) {
    expect(judge(rules)).toEqual({ offered: ["web_search", "send_mail"], askFirst: ["web_search"] });
  }
});

test("[TOOL-1] a rule for another user does not count", () => {
  const rule = { tool: "*", action: "deny", user: "01a208da-e947-7048-8025-8d0d150d1079" } as const;
  expect(judge([rule])).toEqual(judge([]));
  expect(judge([{ ...rule, user: USER }]).offered).toEqual([]);
});

test("[TOOL-1] a glob is no regular expression", () => {
  expect(judge([{ tool: "web.search", action: "deny" }]).offered).toHaveLength(3);
});
