/** Every route that caches: what it leaves carries its tag, and is purged by it. A house of its own: it purges everything. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { CachedRoute, EntryList, PurgeReply } from "../contracts/cache.ts";
import { ChatReply } from "../contracts/chat.ts";
import { MessagePage } from "../contracts/sessions.ts";
import { serveInternet } from "../dev/stand-ins/internet.ts";
import { brave, SEARCH_KEY } from "../dev/stand-ins/search.ts";
import type { StandIn } from "../dev/stand-ins/serve.ts";
import { type House, openHouse, type Tenant } from "./house.ts";

let internet: StandIn;
let house: House;
let admin: Tenant;
let as: Tenant;
beforeAll(async () => {
  internet = await serveInternet({ "api.search.brave.com": brave });
  house = await openHouse({ internet, settings: { BRAVE_API_KEY: SEARCH_KEY } });
  [admin, as] = [await house.newTenant("admin"), await house.newTenant()];
});
afterAll(async () => {
  await house.close();
  await internet.close();
});

async function post(path: string, body: object): Promise<string> {
  const response = await house.call(path, { as, body });
  const text = await response.text();
  expect([path, response.status]).toEqual([path, 200]);
  return text;
}

/** A session whose first turn has left nothing. */
async function openSession(): Promise<{ path: string; questionId: string | undefined }> {
  const first = { prompt: "Good morning", cache: { mode: "no-store" } };
  const { session_id: id } = ChatReply.parse(JSON.parse(await post("/chat", first)));
  const page = MessagePage.parse(await (await house.call(`/history/sessions/${id}/messages`, { as })).json());
  return { path: `/chat/sessions/${id}`, questionId: page.messages.find(({ role }) => role === "user")?.id };
}

const parts = [{ type: "text", text: "Tell me of the page" }];
/** What leaves an entry by each of them. */
const ASK: Record<CachedRoute, () => Promise<unknown>> = {
  chat: () => post("/chat", { prompt: "Tell me of the sea" }),
  "chat-stream": () => post("/chat/stream", { prompt: "Tell me of the stream" }),
  regenerate: async () => post(`${(await openSession()).path}/regenerate`, {}),
  async edit() {
    const { path, questionId } = await openSession();
    return post(`${path}/edit`, { message_id: questionId, prompt: "Tell me of edits" });
  },
  "with-history": () => post("/history/chat/with-history", { prompt: "Tell me of history" }),
  "mcp-tools-call": () => post("/mcp/tools/call", { tool_name: "web_search", input_data: { query: "tides" } }),
  "v1-chat-completions": () =>
    post("/v1/chat/completions", { model: "demo", messages: [{ role: "user", content: "Tell me of completions" }] }),
  "v1-responses": () => post("/v1/responses", { model: "demo", input: "Tell me of responses" }),
  "chat-ui": () => post("/chat/ui", { id: "a-page", messages: [{ id: "q", role: "user", parts }] }),
};

async function entriesOf(route: CachedRoute): Promise<EntryList["entries"]> {
  const response = await house.call(`/cache/keys?route=${route}`, { as: admin });
  return EntryList.parse(await response.json()).entries;
}

const counts = async () => Promise.all(CachedRoute.options.map(async (route) => (await entriesOf(route)).length));

test("[CACHE-9] what each route leaves carries its tag and no other route's, and is purged by it alone", async () => {
  for (const route of CachedRoute.options) {
    await ASK[route]();
    // Written behind the reply.
    await expect.poll(async () => (await entriesOf(route)).length, { timeout: 10_000 }).toBe(1);
    const tags = (await entriesOf(route)).flatMap((entry) => entry.tags.filter((tag) => tag.startsWith("route:")));
    expect(tags).toEqual([`route:${route}`]);
  }
  const left = CachedRoute.options.map(() => 1);
  expect(await counts()).toEqual(left);
  for (const [at, route] of CachedRoute.options.entries()) {
    const response = await house.call(`/cache/invalidate/route/${route}`, { as: admin, method: "DELETE" });
    expect([route, PurgeReply.parse(await response.json()).deleted_count]).toEqual([route, 1]);
    left[at] = 0;
    expect([route, await counts()]).toEqual([route, left]);
  }
});
