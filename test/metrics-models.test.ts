/** Calls of models in the figures and in the log, whoever makes them: what they cost there is what the ledger says. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { scrapeUntil } from "./exposition.ts";
import { hashedUser, type House, openHouse, type Tenant, untilRows } from "./house.ts";

const price = { input: 1, output: 3 };
const MODELS = JSON.stringify({
  models: { "demo:status.500": {}, ...Object.fromEntries(["demo", "embed", "title"].map((name) => [name, { price }])) },
});
const MADE_BEHIND = { TITLE_MODEL: "title", CACHE_SEMANTIC_MODEL: "embed" };

let house: House;
let as: Tenant;
let admin: Tenant;
beforeAll(async () => {
  house = await openHouse({ settings: { MODELS, ...MADE_BEHIND } });
  [as, admin] = [await house.newTenant(), await house.newTenant("admin")];
});
afterAll(() => house.close());

const prompt = "Tell me of the otters of the coast";
const messages = [{ role: "user", content: "How do I audit my other otter?" }];
const ASKED: [path: string, body: object][] = [
  ["/chat", { prompt }],
  ["/llm/generate", { prompt }],
  ["/llm/generate/stream", { prompt }],
  ["/v1/chat/completions", { model: "demo", messages }],
  ["/v1/chat/completions", { model: "demo", messages: [...messages, ...messages], stream: true }],
  ["/v1/embeddings", { model: "embed", input: prompt }],
];
/** With the title and the vector of the chat. */
const CALLS = ASKED.length + 2;

test("[METRICS-1] [LOG-6] [LOG-10] each call of a model is counted once with its cost and leaves one line, whoever makes it", async () => {
  for (const [path, body] of ASKED) {
    const response = await house.call(path, { as, body });
    expect(response.status).toBe(200);
    await response.text();
  }
  const rows = await untilRows(house, CALLS, "select * from usage where user_id = $1", as.id);
  const { sum, total } = await scrapeUntil(
    house,
    admin,
    (figures) => figures.sum("gen_ai_client_operation_duration_seconds") === CALLS,
  );
  const owed = (column: string) => rows.reduce((all, row) => all + Number(row[column]), 0);
  expect(sum("basechat_cost_usd_total")).toBeCloseTo(owed("cost_usd"), 12);
  expect(total("gen_ai_client_token_usage")).toBe(owed("prompt_tokens") + owed("completion_tokens"));
  // A turn, and two direct streams.
  expect(sum("basechat_first_token_seconds")).toBe(3);
  expect(sum("basechat_first_token_seconds", { cache: "bypass" })).toBe(1);

  const lines = house.lines.filter(({ call }) => call === "model");
  const amount: unknown = expect.any(Number);
  const told = { user_id: hashedUser(as), provider: "openai", ms: amount, tokens: amount, cost_usd: amount };
  expect(lines).toEqual(
    Array.from({ length: CALLS }, () => expect.objectContaining({ ...told, request_id: expect.any(String) })),
  );
  const kinds = lines.map(({ service, operation, model }) => [service, operation, model].join(" "));
  expect(kinds.toSorted()).toEqual([
    ...Array.from({ length: 4 }, () => "main chat demo"),
    ...["main embeddings embed", "session chat demo", "session chat title", "session embeddings embed"],
  ]);
});

test("[LOG-6] a direct call that fails leaves its line with the code", async () => {
  for (const path of ["/llm/generate", "/llm/generate/stream"]) {
    const response = await house.call(path, { as, body: { prompt, model: "demo:status.500" } });
    expect(response.status).toBe(502);
    const id = response.headers.get("x-request-id");
    const lines = house.lines.filter(({ call, request_id }) => call === "model" && request_id === id);
    expect(lines).toMatchObject([{ level: "error", error: "upstream_error", tokens: 0, user_id: hashedUser(as) }]);
  }
});
