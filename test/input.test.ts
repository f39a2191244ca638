/** Bad requests to the native routes: each gets the error envelope with its code, and none reaches a model. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { ErrorBody } from "../contracts/errors.ts";
import type { CallOptions } from "../dev/house.ts";
import { type House, openHouse, type Tenant } from "./house.ts";

let house: House;
let as: Tenant;
beforeAll(async () => {
  house = await openHouse();
  as = await house.newTenant();
});
afterAll(() => house.close());

async function expectRefused(options: CallOptions, status: number, code: string, path = "/chat"): Promise<void> {
  const response = await house.call(path, { as, ...options });
  const { error } = ErrorBody.parse(await response.json());
  expect({ body: options.body, status: response.status, code: error.code }).toEqual({
    body: options.body,
    status,
    code,
  });
  expect(error.request_id).toBe(response.headers.get("x-request-id"));
  expect(house.llm.stats().calls).toBe(0);
}

test("[B2] bodies that are no JSON", async () => {
  for (const body of ["", "{", '{"a":1}{"b":2}', '{"prompt":"a",}', "{'prompt':'a'}", '{"temperature":NaN}']) {
    await expectRefused({ body, method: "POST" }, 400, "invalid_json");
  }
});

test("[B3] bodies that are no object", async () => {
  for (const body of ["null", "[]", '"x"', "1", "true"]) await expectRefused({ body }, 400, "invalid_json");
});

test("[B8] a body over the limit, compressed bodies", async () => {
  await expectRefused({ body: { prompt: "a".repeat(1_100_000) } }, 413, "payload_too_large");
  await expectRefused({ body: "{}", headers: { "content-encoding": "gzip" } }, 415, "unsupported_media_type");
});

test("[B9] other media types and charsets", async () => {
  for (const type of ["text/plain", "multipart/form-data", "application/json; charset=utf-16"]) {
    await expectRefused({ body: "{}", headers: { "content-type": type } }, 415, "unsupported_media_type");
  }
});

test("[B11] a method that a route does not have", async () => {
  const response = await house.call("/chat", { as, method: "GET" });
  expect(response.status).toBe(405);
  expect(response.headers.get("allow")).toBe("POST");
  await expectRefused({ method: "PUT" }, 405, "method_not_allowed", "/chat/stream");
});

test("[B12] paths that are near a route and none", async () => {
  for (const path of ["/nothing", "/chat/", "//chat", "/Chat", "/chat%2fstream", "/chat/..%2fhealth"]) {
    await expectRefused({ body: { prompt: "Hi" } }, 404, "not_found", path);
  }
});

test("[B16] fields that the schema does not name", async () => {
  for (const field of ["api_base", "base_url", "extra_headers", "user_id", "role"]) {
    await expectRefused({ body: { prompt: "Hi", [field]: "x" } }, 400, "invalid_request");
  }
});

test("[B17] [B18] [B21] prompts without visible text, of another type, with NUL", async () => {
  for (const prompt of ["", "   ", "\u200b\u200d", 1, null, {}, [1], "a\u0000b"]) {
    await expectRefused({ body: { prompt } }, 400, "invalid_request");
  }
  await expectRefused({ body: {} }, 400, "invalid_request");
});

test("[B19] a prompt one character over the limit", () =>
  expectRefused({ body: { prompt: "a".repeat(100_001) } }, 400, "invalid_request"));

test("[B24] message lists that are no conversation of a user", async () => {
  const user = { role: "user", content: "Hi" };
  const lists = [
    [],
    Array.from({ length: 1_001 }, () => user),
    [{ role: "assistant", content: "Hi" }],
    [user, user],
    ...["system", "developer", "tool", "root"].map((role) => [{ role, content: "Hi" }, user]),
  ];
  for (const messages of lists) await expectRefused({ body: { messages } }, 400, "invalid_request");
});

test("[B25] [B26] numbers out of range or of another type", async () => {
  for (const temperature of [-0.1, 2.1, "0.7", null]) {
    await expectRefused({ body: { prompt: "Hi", temperature } }, 400, "invalid_request");
  }
  for (const max_tokens of [0, -1, 1.5, 1e9, "100"]) {
    await expectRefused({ body: { prompt: "Hi", max_tokens } }, 400, "invalid_request");
  }
});

test("[B28] [B29] [B30] flags of another type, parameters of other APIs, formats that are none", async () => {
  const branch = "/chat/sessions/01a208da-e947-7048-8025-8d0d150d1078/regenerate";
  for (const stream of ["true", 1, null]) await expectRefused({ body: { stream } }, 400, "invalid_request", branch);
  const recursive = { type: "object", properties: { self: { $ref: "#" } } };
  for (const more of [
    { stream: true },
    { n: 100 },
    { logit_bias: Object.fromEntries(Array.from({ length: 10_000 }, (_, token) => [token, 1])) },
    { stop: Array.from({ length: 100 }, () => "x") },
    { tools: [{ type: "function", function: { name: "mine", parameters: {} } }] },
    { response_format: "json" },
    { response_format: { type: "json_schema", json_schema: { name: "x", schema: recursive } } },
    { response_format: { type: "json_object", schema: "x".repeat(100_000) } },
  ]) {
    await expectRefused({ body: { prompt: "Hi", ...more } }, 400, "invalid_request");
  }
});

test("[B34] session ids that are no UUID, [B39] and one that nobody has", async () => {
  for (const session_id of ["' OR 1=1--", "../../x", "*", "a:b:c", "a".repeat(10_000)]) {
    await expectRefused({ body: { prompt: "Hi", session_id } }, 400, "invalid_request");
  }
  const session_id = "01a208da-e947-7048-8025-8d0d150d1078";
  await expectRefused({ body: { prompt: "Hi", session_id } }, 404, "not_found");
});

test("[B43] [B48] credentials that are missing, malformed or in the wrong place", async () => {
  const attempts = ["", "Bearer", "Bearer a b", `Basic ${as.apiKey}`, "Bearer eyJhbGciOiJub25lIn0.e30."];
  for (const authorization of attempts) {
    await expectRefused({ body: { prompt: "Hi" }, headers: { authorization } }, 401, "unauthorized");
  }
  const response = await house.call(`/chat?token=${as.apiKey}`, { body: { prompt: "Hi" } });
  expect(response.status).toBe(401);
  const lower = await house.call("/chat/turns/x/stream", { headers: { authorization: `bearer ${as.apiKey}` } });
  expect(lower.status).toBe(400);
});

test("[B57] event numbers that are none", async () => {
  const path = "/chat/turns/01a208da-e947-7048-8025-8d0d150d1078/stream";
  for (const id of ["-1", "abc", "1e30"]) {
    await expectRefused({ headers: { "last-event-id": id } }, 400, "invalid_request", path);
  }
  await expectRefused({}, 404, "not_found", path);
});

test("[S8] every reply has the security headers, errors and streams too", async () => {
  for (const [path, options] of [
    ["/health", {}],
    ["/nothing", {}],
    ["/chat", { body: "{" }],
  ] as const) {
    const { headers } = await house.call(path, { as, ...options });
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("strict-transport-security")).not.toBeNull();
    expect(headers.get("x-powered-by")).toBeNull();
  }
});
