import { expect, test } from "vitest";
import type { ToolContext } from "../tools/tool.ts";
import { createBreaker } from "./breaker.ts";
import { createGateway } from "./gateway.ts";
import type { RemoteServer } from "./server.ts";

const server: RemoteServer = {
  ...{ name: "slow", url: "https://slow.example.com/mcp", secret: "", headerNames: [], allowed: [] },
  ...{ timeLimitMs: 1_000, trusted: false, createdAtMs: 1 },
  accepted: {
    ...{ hash: "h", refused: [] },
    tools: [
      {
        ...{ name: "slow__tool", description: "d", inputSchema: { type: "object" } },
        ...{ readOnly: false, idempotent: false, private: true, cost: "metered" },
      },
    ],
  },
};

/** A server that never answers; `call` ends when its caller's signal does. */
function setUp() {
  let started = Promise.withResolvers<void>();
  let asked = 0;
  const gateway = createGateway({
    fetch: (_url, init) =>
      new Promise((_resolve, reject) => {
        asked += 1;
        init?.signal?.addEventListener("abort", () => reject(new Error("ended")));
        started.resolve();
      }),
    vault: undefined,
    breaker: createBreaker(() => 1_000_000),
    now: () => 1_000_000,
    setPending: async () => undefined,
  });
  const call = async (reason?: DOMException, of = server) => {
    started = Promise.withResolvers();
    const controller = new AbortController();
    const context: ToolContext = {
      ...{ requestId: "r", userId: "u", denied: [], isAdmin: false, now: () => 1_000_000, signal: controller.signal },
    };
    const before = asked;
    const replied = gateway.toolOf(of, "slow__tool")?.run({}, context);
    await Promise.race([started.promise, replied]);
    controller.abort(reason);
    await replied;
    return asked > before;
  };
  return { call };
}

const late = () => new DOMException("late", "TimeoutError");

test("[MCP-23] callers who leave close a server for nobody", async () => {
  const { call } = setUp();
  for (let times = 0; times < 4; times += 1) expect(await call()).toBe(true);
});

test("[MCP-23] [F32] calls that take too long are its failures, until it joins again", async () => {
  const { call } = setUp();
  for (let times = 0; times < 3; times += 1) expect(await call(late())).toBe(true);
  expect(await call(late())).toBe(false);
  expect(await call(late(), { ...server, createdAtMs: 2 })).toBe(true);
});
