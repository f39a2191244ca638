/**
 * llm-agent on real workerd, called over its service binding. Plain Miniflare, not wrangler's test harness: the harness sends
 * outbound requests through Node's fetch, which hides from the provider that its reader left.
 */
import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import type { ModelEvent } from "../contracts/dialects.ts";
import { buildWorkers } from "../dev/build.ts";
import { serveLlm } from "../dev/stand-ins/llm.ts";
import type { StandIn } from "../dev/stand-ins/serve.ts";

const CALLER = "test/fixtures/llm-caller/wrangler.toml";
const FLAGS = ["nodejs_compat", "enable_request_signal", "request_signal_passthrough"];

interface Read {
  seen: number;
  broken: boolean;
  events: ModelEvent[];
}

let llm: StandIn;
let runtime: Miniflare;
let url: URL;
const logs: string[] = [];

beforeAll(async () => {
  llm = await serveLlm({ apiKey: "key-canary", pace: { firstTokenMs: 0, tokensPerSecond: Number.POSITIVE_INFINITY } });
  const { [CALLER]: caller = "" } = await buildWorkers([CALLER]);
  const agent = inject("bundles")["wrangler.llm-agent.toml"] ?? "";
  const common = { compatibilityDate: "2026-10-01", compatibilityFlags: FLAGS, modules: true } as const;
  runtime = new Miniflare(
    convertV4MiniflareOptions({
      handleStructuredLogs: ({ message }) => void logs.push(message),
      workers: [
        {
          ...common,
          name: "llm-caller",
          script: caller,
          serviceBindings: { LLM_AGENT: { name: "basechat-llm-agent", entrypoint: "LlmAgentEntrypoint" } },
          durableObjects: { CALLERS: { className: "CallerObject", useSQLite: true } },
        },
        {
          ...common,
          name: "basechat-llm-agent",
          script: agent,
          bindings: { OPENAI_API_KEY: "key-canary", OPENAI_BASE_URL: `${llm.url}/v1` },
        },
      ],
    }),
  );
  url = await runtime.ready;
}, 60_000);

afterAll(async () => {
  await runtime.dispose();
  await llm.close();
});

const ask = (path: string, model: string) =>
  fetch(new URL(`${path}${path.includes("?") ? "&" : "?"}model=${model}`, url));
const read = async (path: string, model: string) => (await ask(path, model)).json<Read>();
const chunksSent = () => Number(llm.stats()["chunks_sent"]);

/** What the provider sent of one stream until it noticed that its reader had left. */
async function sentUntilLeft(leave: () => Promise<unknown>): Promise<number> {
  const before = { sent: chunksSent(), aborted: llm.stats().aborted };
  await leave();
  await llm.until((stats) => stats.aborted > before.aborted && stats.in_flight === 0);
  return chunksSent() - before.sent;
}

describe("a stream over the service binding", () => {
  test("arrives whole in a Durable Object", async () => {
    const { events, broken } = await read("/object/read", "demo");
    expect(broken).toBe(false);
    expect(events.at(-1)).toEqual({ type: "finish", reason: "stop" });
  });

  test("cancelled by its reader ends the provider's request within two chunks", async () => {
    let seen = 0;
    const sent = await sentUntilLeft(
      async () => ({ seen } = await read("/object/read?frames=4", "demo:tokens.400.gap.50")),
    );
    expect(seen).toBeGreaterThanOrEqual(4);
    expect(sent).toBeLessThanOrEqual(seen + 2);
  });

  test("cancelled before it was read ends the provider's request", async () => {
    expect(await sentUntilLeft(() => ask("/object/refuse", "demo:tokens.400.gap.50"))).toBeLessThanOrEqual(3);
  });

  test("[F13] [S33] ends the provider's request when the stateless Worker's client leaves", async () => {
    let seen = 0;
    const sent = await sentUntilLeft(async () => {
      const request = get(new URL("/through?model=demo:tokens.400.gap.50", url));
      const [response] = (await once(request, "response")) as [IncomingMessage]; // Node's documented event
      for await (const bytes of response) {
        seen += String(bytes).split("\n\n").length - 1;
        if (seen >= 4) break;
      }
      request.destroy();
    });
    expect(sent).toBeLessThanOrEqual(seen + 2);
  });

  test("[F13] a caller that leaves before the first frame ends the provider's request", async () => {
    const started = llm.stats().calls;
    const waiting = ask("/object/read", "demo:stall.first");
    await llm.until((stats) => stats.calls > started);
    const { aborted } = llm.stats();
    await ask("/object/leave", "demo");
    expect(await (await waiting).json()).toMatchObject({ ok: false, error: { code: "cancelled" } });
    await llm.until((stats) => stats.aborted > aborted);
  });

  test.each([
    ["[F1] cut", "demo:cut.3", false],
    ["[F1] dropped", "demo:drop.3", true],
    ["[F3] reset", "demo:rst.3", true],
  ])("%s by the provider, it ends: nobody hangs", async (_, model, broken) => {
    const reply = await read("/object/read", model);
    expect(reply.broken).toBe(broken);
    expect(reply.events.at(-1)).toMatchObject({ type: "failure", failure: { code: "upstream_truncated" } });
  });
});

test("a failure before the first frame is a typed result", async () => {
  expect(await (await ask("/object/read", "demo:login")).json()).toMatchObject({
    ok: false,
    error: { code: "upstream_auth" },
  });
});

test("[S19] its own fetch answers 404", async () => {
  const agent = await runtime.getWorker("basechat-llm-agent");
  expect((await agent.fetch("http://llm-agent/v1/models")).status).toBe(404);
});

test("[S16] every call writes one line, without a prompt or a key", async () => {
  const before = logs.length;
  await read("/object/read", "demo");
  const lines = logs.slice(before).map((line): unknown => JSON.parse(line));
  expect(lines).toEqual([
    {
      level: "info",
      service: "llm-agent",
      request_id: "request-1",
      route: "llm.stream",
      // What a user may write is not told; settings name no model here.
      model: "other",
      nodes: ["openai/1"],
      status: "ok",
      ms: expect.any(Number),
    },
  ]);
  expect(logs.join("")).not.toContain("canary");
});
