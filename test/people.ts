/**
 * People of a house as the API makes them: signed up, signed in, with an API key and things of their own. State: the house's.
 * What cannot be made throws, with what the API said.
 */
import type * as z from "zod";
import { ChatReply, TurnView } from "../contracts/chat.ts";
import { MessagePage } from "../contracts/sessions.ts";
import { NewApiKey, type Scope, SCOPES, Tokens, UserView } from "../contracts/users.ts";
import type { CallOptions } from "../dev/house.ts";
import type { House, Tenant } from "./house.ts";
import type { Owned } from "./matrix.ts";
import { imagePart, png } from "../dev/house/images.ts";

export interface Person extends Tenant {
  accessToken: string;
  owned: Owned;
}

/** What a key may be used for that a user makes. */
const ALL_SCOPES = SCOPES.filter((scope) => scope !== "admin");
const PASSWORD = "a long pass phrase";
let made = 0;

/** Never the same twice in a test file, and a name that a user may have. */
export function unique(): string {
  made += 1;
  return `person-${made}-${crypto.randomUUID().slice(0, 8)}`;
}

/** Sign-ups and sign-ins are limited by address; in a test everybody has one of his own. */
export function fromAnywhere(): Record<string, string> {
  made += 1;
  return { "cf-connecting-ip": `2001:db8:0:${made.toString(16)}::1` };
}

/** Of what the API answers, as its schema makes it. */
export async function expectJson<T extends z.ZodType>(
  asked: Promise<Response>,
  schema: T,
  status = 200,
): Promise<z.output<T>> {
  const response = await asked;
  const text = await response.text();
  if (response.status !== status) throw new Error(`${response.status} instead of ${status}: ${text}`);
  return schema.parse(text === "" ? undefined : JSON.parse(text));
}

export async function signUp(house: House): Promise<Person> {
  const name = unique();
  const email = `${name}@example.test`;
  const body = { username: name, email, password: PASSWORD };
  const { id } = await expectJson(house.call("/history/users", { body, headers: fromAnywhere() }), UserView, 201);
  const { access_token: accessToken, refresh_token: refreshToken } = await signIn(house, email);
  const signedIn = { id, apiKey: accessToken };
  const { key: apiKey } = await makeKey(house, signedIn, ALL_SCOPES);
  const as = { id, apiKey };
  const owned = { ...(await makeThings(house, as)), email, password: PASSWORD, refreshToken, unique: name };
  return { ...as, accessToken, owned };
}

export function signIn(house: House, email: string): Promise<z.infer<typeof Tokens>> {
  const options = { body: { email, password: PASSWORD }, headers: fromAnywhere() };
  return expectJson(house.call("/auth/login", options), Tokens);
}

export function makeKey(house: House, as: Tenant, scopes: Scope[]): Promise<z.infer<typeof NewApiKey>> {
  return expectJson(house.call("/auth/api-keys", { as, body: { name: "A key", scopes } }), NewApiKey, 201);
}

type Things = Omit<Owned, "email" | "password" | "refreshToken" | "unique">;

/** A session with a turn, a turn that waits for a person where the house asks before the calculator runs, and a key. */
export async function makeThings(house: House, as: Tenant): Promise<Things> {
  const chat = (body: object): CallOptions => ({ as, body: { cache: { mode: "no-store" }, ...body } });
  const parts = [{ type: "text", text: "Hello" }, imagePart(png(1, 1))];
  const reply = await expectJson(house.call("/chat", chat({ parts, tools: "none" })), ChatReply);
  const { session_id, turn_id, message_id } = reply;
  const asked = await house.call("/chat", chat({ prompt: "what is 17*23?" }));
  const waiting = asked.status === 202 ? TurnView.parse(await asked.json()) : ChatReply.parse(await asked.json());
  const page = await expectJson(house.call(`/history/sessions/${session_id}/messages`, { as }), MessagePage);
  const question = page.messages.find(({ role }) => role === "user");
  const [attached] = question?.attachments ?? [];
  const { id: key_id } = await makeKey(house, as, ["chat"]);
  return {
    ...{ user_id: as.id, session_id, turn_id, message_id, key_id, waiting_turn_id: waiting.turn_id },
    question_id: question?.id ?? "",
    sha256: attached && "sha256" in attached ? attached.sha256 : "",
    call_id: ("approval" in waiting && waiting.approval?.calls[0]?.id) || "",
  };
}
