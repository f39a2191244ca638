/** What a user does to sessions, as calls of a house whose replies must fit. The house and the user are looked up at each call. */
import { expect } from "vitest";
import { ChatReply } from "../contracts/chat.ts";
import { MessagePage, MessageView, SessionView } from "../contracts/sessions.ts";
import type { House, Tenant } from "./house.ts";

/** A reply's JSON, which has this status and fits this schema. */
export async function json<T>(
  response: Response | Promise<Response>,
  schema: { parse(value: unknown): T },
  status = 200,
): Promise<T> {
  const reply = await response;
  expect(reply.status).toBe(status);
  return schema.parse(await reply.json());
}

export function sessionCalls(whose: () => { house: House; as: Tenant }) {
  const call = (path: string, options: { method?: string; body?: unknown } = {}): Promise<Response> => {
    const { house, as } = whose();
    return house.call(path, { as, ...options });
  };
  const cache = { mode: "no-store" };
  return {
    say: (session_id: string, prompt: string): Promise<ChatReply> =>
      json(call("/chat", { body: { prompt, session_id, cache } }), ChatReply),
    save: (session_id: string, content: string, role = "user"): Promise<MessageView> =>
      json(call("/history/messages", { body: { session_id, role, content } }), MessageView, 201),
    pageOf: (id: string, query = ""): Promise<MessagePage> =>
      json(call(`/history/sessions/${id}/messages${query}`), MessagePage),
    make: (): Promise<SessionView> => json(call("/history/sessions", { body: {} }), SessionView, 201),
    rename: (id: string, title: string): Promise<SessionView> =>
      json(call(`/history/sessions/${id}`, { method: "PATCH", body: { title } }), SessionView),
    view: (id: string): Promise<SessionView> => json(call(`/history/sessions/${id}`), SessionView),
  };
}
