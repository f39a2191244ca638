/**
 * Sessions that must be in the EU, as far as this machine can show: its workerd has no jurisdictions, so they are refused, not made elsewhere.
 * State: a house.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { withResidency } from "../contracts/ids.ts";
import { placeImported } from "../workers/main/history/import-ids.ts";
import { readConfig } from "../workers/main/env.ts";
import { type House, makeId, openHouse, type Tenant } from "./house.ts";

let house: House;
let as: Tenant;
beforeAll(async () => {
  house = await openHouse();
  as = await house.newTenant();
});
afterAll(() => house.close());

const codeOf = async (response: Response) => `${response.status} ${/"code":"(\w+)"/.exec(await response.text())?.[1]}`;

test("[REGION-2] who asks for the EU is refused where it cannot be had, and nothing is made elsewhere", async () => {
  const before = house.llm.stats().calls;
  for (const path of ["/chat", "/chat/stream", "/history/chat/with-history"]) {
    expect(await codeOf(await house.call(path, { as, body: { prompt: "Bonjour", residency: "eu" } }))).toBe(
      "503 not_configured",
    );
  }
  expect(await codeOf(await house.call("/history/sessions", { as, body: { residency: "eu" } }))).toBe(
    "503 not_configured",
  );
  const id = withResidency(makeId(), "eu");
  expect(await codeOf(await house.call(`/history/sessions/${id}`, { as }))).toBe("503 not_configured");
  expect(house.llm.stats().calls).toBe(before);
  expect(await house.sql`select id from chat_sessions where user_id = ${as.id}`).toEqual([]);
});

test("[REGION-2] the residency is decided when a session is made, and is one that we know", async () => {
  const body = { prompt: "And now?", session_id: makeId(), residency: "eu" };
  expect(await codeOf(await house.call("/chat", { as, body }))).toBe("400 invalid_request");
  expect(await codeOf(await house.call("/chat", { as, body: { prompt: "Hello", residency: "moon" } }))).toBe(
    "400 invalid_request",
  );
});

test("[REGION-2] an Idempotency-Key is one request, wherever its session would be", async () => {
  const headers = { "idempotency-key": `key-${makeId()}` };
  expect((await house.call("/chat", { as, body: { prompt: "Hello" }, headers })).status).toBe(200);
  const again = await house.call("/chat", { as, body: { prompt: "Hello", residency: "eu" }, headers });
  expect(await codeOf(again)).toBe("422 idempotency_mismatch");
});

test("[REGION-2] a malformed residency closes: it means the EU", () => {
  expect(readConfig({ RESIDENCY: "europe" })).toMatchObject({ RESIDENCY: "eu" });
  expect(readConfig({ RESIDENCY: "" }).RESIDENCY).toBeUndefined();
});

test("[REGION-1] an imported session is where the deployment makes its own; a copy of one in the EU stays there", () => {
  const place = (copyOf: string | undefined, residency: "eu" | undefined) =>
    placeImported({ session: { id: SESSION }, copyOf } as Parameters<typeof placeImported>[0], residency).session.id; // all that is read
  expect(place(undefined, undefined)).toBe(SESSION);
  expect(place(undefined, "eu")).toBe(IN_EU);
  expect(place(withResidency(makeId(), "eu"), undefined)).toBe(IN_EU);
  expect(place(makeId(), undefined)).toBe(SESSION);
});
const SESSION = makeId();
const IN_EU = withResidency(SESSION, "eu");
