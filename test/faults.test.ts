/** What a model provider can do wrong, seen from the API: the reply, what is kept of it, and that nothing of it is cached. */
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { ErrorBody } from "../contracts/errors.ts";
import { createEventDecoder, isTerminal, KEEP_ALIVE_FRAME, type NumberedEvent } from "../contracts/events.ts";
import { answerOf, type House, openHouse, readEvents, type Tenant, untilRows } from "./house.ts";

let house: House;
let as: Tenant;
beforeAll(async () => {
  house = await openHouse({
    settings: {
      ...{ LLM_STALL_TIMEOUT_MS: "1500", LLM_HEADERS_TIMEOUT_MS: "1500", LLM_FIRST_TOKEN_TIMEOUT_MS: "1500" },
      KEEP_ALIVE_MS: "100",
    },
  });
  as = await house.newTenant();
});
afterAll(() => house.close());
afterEach(() => house.llm.until((stats) => stats.in_flight === 0));

async function stream(model: string, prompt = "Tell me a story"): Promise<NumberedEvent[]> {
  const events = await readEvents(await house.call("/chat/stream", { as, body: { prompt, model } }), () => false);
  expect(events.filter(isTerminal)).toHaveLength(1);
  return events;
}

/** The same as JSON: its status and code. */
async function ask(model: string): Promise<{ status: number; code: string; retryAfter: string | null; text: string }> {
  const response = await house.call("/chat", { as, body: { prompt: "Tell me a story", model } });
  const text = await response.text();
  const { error } = ErrorBody.parse(JSON.parse(text));
  return { status: response.status, code: error.code, retryAfter: response.headers.get("retry-after"), text };
}

/** A broken answer: its error, what was kept of it, and the same question asked again goes to the model again. */
async function expectInterrupted(model: string, code: string): Promise<void> {
  const events = await stream(model);
  expect(events.at(-1)).toMatchObject({ event: "error", data: { code } });
  expect(answerOf(events)).not.toBe("");
  const [meta] = events;
  if (meta?.event !== "meta") throw new Error("no meta event");
  const rows = await untilRows(
    house,
    2,
    "select role, status, content from messages where session_id = $1 order by seq",
    meta.data.session_id,
  );
  expect(rows[1]).toEqual({ role: "assistant", status: "interrupted", content: answerOf(events) });
  const calls = house.llm.stats().calls;
  await stream(model);
  expect(house.llm.stats().calls).toBe(calls + 1);
}

test("[F1] a stream that ends without a finish", () => expectInterrupted("demo:cut.3", "upstream_truncated"));

test("[F3] a reset in mid-stream", () => expectInterrupted("demo:rst.3", "upstream_truncated"));

test("[F3] a reset is told by itself: with the stall limits as they are, no timer of ours has ended the call", async () => {
  const patient = await openHouse();
  try {
    const who = await patient.newTenant();
    const body = { prompt: "Tell me a story", model: "demo:rst.3" };
    const events = await readEvents(await patient.call("/chat/stream", { as: who, body }), () => false);
    // Whoever gives up a call that is silent says upstream_timeout, and hangs up.
    expect(events.filter(isTerminal)).toMatchObject([{ event: "error", data: { code: "upstream_truncated" } }]);
    expect(events.at(-1)?.event).toBe("error");
    expect(await patient.llm.until(({ in_flight }) => in_flight === 0)).toMatchObject({ calls: 1, aborted: 0 });
  } finally {
    await patient.close();
  }
});

test("[F4] a stall in mid-stream", () => expectInterrupted("demo:stall.3", "upstream_timeout"));

test("[F4] a stall before the headers or the first token is 504 as JSON", async () => {
  for (const at of ["headers", "first"]) {
    expect(await ask(`demo:stall.${at}`)).toMatchObject({ status: 504, code: "upstream_timeout" });
  }
});

test.each(["headers", "first"])(
  "[F4] a stall at %s: the turn's viewer is kept waiting with comments until its one error",
  async (at) => {
    const response = await house.call("/chat/stream", { as, body: { prompt: "Tell me", model: `demo:stall.${at}` } });
    const text = await response.text();
    const events = createEventDecoder().push(text);
    expect(events.filter(isTerminal)).toEqual([events.at(-1)]);
    expect(events.at(-1)).toMatchObject({ event: "error", data: { code: "upstream_timeout" } });
    expect(text.split(KEEP_ALIVE_FRAME).length - 1).toBeGreaterThan(0);
    expect(text.lastIndexOf(KEEP_ALIVE_FRAME)).toBeLessThan(text.indexOf("event: error"));
  },
);

test("[F5] an error inside a stream, with and without [DONE]", async () => {
  await expectInterrupted("demo:err.3", "upstream_error");
  await expectInterrupted("demo:err.3.done", "upstream_error");
});

test("[F6] 429 is passed on with its Retry-After after three calls at most", async () => {
  for (const form of ["429:", "429.ra.120", "429.ra.-1", "429.ra.none"].map((name) => name.replace(":", ""))) {
    const calls = house.llm.stats().calls;
    const answer = await ask(`demo:${form}`);
    expect(answer).toMatchObject({ status: 429, code: "rate_limited" });
    expect(Number(answer.retryAfter)).toBeGreaterThan(0);
    expect(house.llm.stats().calls - calls).toBeLessThanOrEqual(3);
  }
});

test("[F7] [S10] 5xx with HTML is a typed error that echoes nothing of it", async () => {
  for (const status of [500, 503, 524]) {
    const answer = await ask(`demo:status.${status}`);
    expect(answer).toMatchObject({ status: 502, code: "upstream_error" });
    expect(answer.text).not.toMatch(/<|html/i);
  }
});

test("[F8] 401, a redirect to a login and a login page are upstream_auth without a retry", async () => {
  for (const fault of ["status.401", "status.403", "login", "html200"]) {
    const calls = house.llm.stats().calls;
    expect(await ask(`demo:${fault}`)).toMatchObject({ status: 502, code: "upstream_auth" });
    expect(house.llm.stats().calls - calls).toBe(1);
  }
});

test("[F9] missing usage is estimated; an odd usage chunk and a duplicate finish are tolerated", async () => {
  const estimated = await stream("demo:nousage");
  expect(estimated.find((event) => event.event === "usage")?.data).toMatchObject({ estimated: true });
  expect(estimated.at(-1)?.event).toBe("done");
  for (const fault of ["usage-empty-choices", "dup-finish"]) {
    expect((await stream(`demo:${fault}`)).at(-1)?.event).toBe("done");
  }
});

test("[F10] malformed tool calls are told to the model and never run", async () => {
  for (const script of ["invalid-json", "unknown-tool"]) {
    const events = await stream(`demo:toolcalls.${script}`, "what is 2+2?");
    const results = events.flatMap((event) => (event.event === "tool_result" ? [event.data] : []));
    expect(results.length).toBeGreaterThan(0);
    expect(results.every((result) => !result.ok)).toBe(true);
  }
});

test("[F10] of fifty calls at once sixteen are run, and the model and the viewer are told that the others were not", async () => {
  const events = await stream("demo:toolcalls.fifty", "what is 2+2?");
  const results = events.flatMap((event) => (event.event === "tool_result" ? [event.data] : []));
  expect(new Set(results.map(({ id }) => id)).size).toBe(50);
  expect(results.filter(({ ok }) => ok)).toHaveLength(16);
  const left = results.filter(({ ok }) => !ok).map(({ content }) => content);
  expect(left).toEqual(Array(34).fill("not run: too many tool calls at once"));
  const { messages } = house.llm.stats().last_request as { messages: { role: string; content: string }[] };
  const told = messages.filter(({ role }) => role === "tool");
  expect(told).toHaveLength(50);
  expect(told.filter(({ content }) => content.startsWith("not run: too many"))).toHaveLength(34);
  expect(events.at(-1)?.event).toBe("done");
});

test("[F10] calls without ids, on one index, in split arguments or with finish stop are run", async () => {
  for (const script of ["no-id", "same-index", "split-args", "finish-stop"]) {
    const events = await stream(`demo:toolcalls.${script}`, "echo hello");
    expect(events.filter((event) => event.event === "tool_result" && event.data.ok).length).toBeGreaterThan(0);
    expect(events.at(-1)?.event).toBe("done");
  }
});

test("[F10] a model that only ever asks for tools ends after five rounds", async () => {
  const events = await stream("demo:toolcalls.loop", "what is 2+2?");
  expect(events.at(-1)).toMatchObject({ event: "error", data: { code: "tool_loop_limit" } });
  expect(events.filter((event) => event.event === "tool_result")).toHaveLength(5);
});

test("[F11] an unknown finish reason is no finish", async () => {
  for (const reason of ["abort", "null", "weird"])
    await expectInterrupted(`demo:finish.${reason}`, "upstream_truncated");
});

test("[F13] [S33] a client that leaves at the start or in mid-stream does not end the turn", async () => {
  for (const wanted of ["meta", "delta"]) {
    const response = await house.call("/chat/stream", { as, body: { prompt: "Go on", model: "demo:tokens.20.gap.5" } });
    const sessionId = response.headers.get("x-session-id");
    await readEvents(response, (event) => event.event === wanted);
    const rows = await untilRows(house, 2, "select status from messages where session_id = $1 order by seq", sessionId);
    expect(rows[1]).toEqual({ status: "complete" });
  }
});

test("[B27] a model that no provider serves is refused", async () => {
  expect(await ask("demo:unknown")).toMatchObject({ status: 400, code: "model_not_found" });
});

test("[B31] a context longer than the model's window is refused", async () => {
  for (const model of ["demo:context", "demo:context.flat", "demo:context.nested"])
    expect(await ask(model)).toMatchObject({ status: 400, code: "context_length_exceeded" });
});

test("[LLM-8] a request that its provider refuses is refused, and told as not to be repeated", async () => {
  expect(await ask("demo:invalid")).toMatchObject({ status: 400, code: "invalid_request" });
  expect(await ask("demo:invalid.413")).toMatchObject({ status: 413, code: "payload_too_large" });
  const events = await stream("demo:invalid.422");
  expect(events.at(-1)).toMatchObject({ event: "error", data: { code: "invalid_request", retryable: false } });
});
