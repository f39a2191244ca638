/**
 * Sends a fuzz request as it is written, over plain sockets: fetch would mend paths and refuse methods. State: the people of the house and
 * what each of them has there. Rejects when the connection breaks or nothing comes for long.
 */
import { Agent, request as httpRequest } from "node:http";
import { ChatReply } from "../../contracts/chat.ts";
import { toResponseId } from "../../contracts/openai-responses.ts";
import { ErasedSession, MessagePage } from "../../contracts/sessions.ts";
import { NewApiKey } from "../../contracts/users.ts";
import type { House, Tenant } from "../house.ts";
import { signUp } from "../people.ts";
import type { FuzzRequest } from "./requests.ts";
import { imagePart } from "../../dev/house/images.ts";
import { IMAGE } from "./values.ts";

export interface FuzzReply {
  status: number;
  headers: Headers;
  text: string;
}

/** Far above what anything here takes: whoever waits so long waits for ever. */
const HANG_MS = 60_000;
/** So many sessions of a person are asked for: the first one and the newest. */
const KEPT = 3;
const NOBODYS = "01a208de-e947-7048-8025-8d0d150d1078";

interface Person extends Tenant {
  sessions: { session_id: string; turn_id: string; message_id: string; question_id?: string | undefined }[];
  keys: string[];
  /** Of the Model Context Protocol. */
  mcpSession?: string | undefined;
}

export class FuzzClient {
  readonly #house: House;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 32 });
  readonly #people: Person[] = [];
  #login: Record<string, string> = {};
  /** How often somebody had to be replaced who was erased, or whose key was revoked. */
  replaced = 0;
  /** How often a request was repeated, since the database was late. */
  late = 0;

  constructor(house: House) {
    this.#house = house;
  }

  /** An admin and users; and one who can sign in, and never asks for anything else. */
  async invite(count: number): Promise<void> {
    const { email, password, refreshToken } = (await signUp(this.#house)).owned;
    this.#login = { email, password, refresh_token: refreshToken };
    for (let at = 0; at < count; at += 1) this.#people[at] = await this.#newcomer(at);
  }

  /** With a session whose question and answer are known. */
  async #newcomer(at: number): Promise<Person> {
    const as = await this.#house.newTenant(at === 0 ? "admin" : "user");
    const body = { parts: [{ type: "text", text: "Hello" }, imagePart(IMAGE)], tools: "none" };
    const chat = ChatReply.parse(await (await this.#house.call("/chat", { as, body })).json());
    const page = await this.#house.call(`/history/sessions/${chat.session_id}/messages`, { as });
    const question = MessagePage.parse(await page.json()).messages.find(({ role }) => role === "user");
    return { ...as, sessions: [{ ...chat, question_id: question?.id }], keys: [] };
  }

  get credentials(): string[] {
    return this.#people.map(({ apiKey }) => apiKey);
  }

  close(): void {
    this.#agent.destroy();
  }

  async send(request: FuzzRequest): Promise<FuzzReply> {
    const person = this.#people[typeof request.as === "number" ? request.as : 0];
    const sent = this.#fill(request);
    const first = await this.#exchange(sent, person);
    const reply = isLate(first) ? await this.#again(sent, person) : first;
    if (typeof request.as !== "number" || person === undefined) return reply;
    if (reply.status < 300) learn(person, reply);
    if (reply.status === 401 && !request.isOpen && this.#people[request.as] === person) {
      this.replaced += 1;
      this.#people[request.as] = await this.#newcomer(request.as);
    }
    return reply;
  }

  /** Once more, when the database is free: on a busy machine the stand-in may be later than main waits for it. */
  async #again(sent: FuzzRequest, person?: Tenant): Promise<FuzzReply> {
    this.late += 1;
    await this.#house.neon.until(({ in_flight }) => in_flight < 2);
    return this.#exchange(sent, person);
  }

  /** What is there in the place of its mark. */
  #fill(request: FuzzRequest): FuzzRequest {
    const asker = typeof request.as === "number" ? request.as : 0;
    const fill = (text: string): string =>
      text.replaceAll(/\{\{(\w+) (own|other|nobodys) (\d)\}\}/gi, (_, name: string, whose: string, at: string) => {
        const person = this.#people[whose === "own" ? asker : (asker + 1) % this.#people.length];
        const mine = this.#login[name];
        if (mine !== undefined) return mine;
        return (whose !== "nobodys" && person && find(person, name.toLowerCase(), Number(at))) || NOBODYS;
      });
    const body = typeof request.body === "string" ? fill(request.body) : request.body;
    const headers = Object.entries(request.headers).map(([name, value]) => [name, fill(value)]);
    // Begins a session; and the stream of what a server says unasked would stay open.
    const hasNone = String(body).includes('"initialize"') || ["GET", "HEAD"].includes(request.method);
    const kept = headers.filter(([name]) => name !== "mcp-session-id" || !hasNone);
    return { ...request, path: fill(request.path), body, headers: Object.fromEntries(kept) };
  }

  #exchange({ method, path, headers, body, as, chunked }: FuzzRequest, person?: Tenant): Promise<FuzzReply> {
    const credential = typeof as === "number" ? `Bearer ${person?.apiKey}` : as;
    const size = body === undefined ? 0 : Buffer.byteLength(body);
    const framing = chunked ? { "transfer-encoding": "chunked" } : { "content-length": String(size) };
    const { promise, resolve, reject } = Promise.withResolvers<FuzzReply>();
    const { hostname, port } = this.#house.url;
    const sent = httpRequest({
      ...{ agent: this.#agent, hostname, port, method, path, timeout: HANG_MS },
      headers: {
        ...headers,
        ...(credential !== "" && { authorization: credential }),
        ...(body !== undefined && framing),
      },
    });
    sent.once("timeout", () => sent.destroy(new Error(`no answer in ${HANG_MS} ms`)));
    sent.once("error", reject);
    sent.once("response", (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.once("error", reject);
      response.once("end", () => {
        const names = Object.entries(response.headers).map(
          ([name, value]) => [name, String(value)] as [string, string],
        );
        const text = Buffer.concat(chunks).toString("utf8");
        resolve({ status: response.statusCode ?? 0, headers: new Headers(names), text });
      });
    });
    sent.end(body);
    return promise;
  }
}

function isLate({ status, text }: FuzzReply): boolean {
  return status === 503 && text.includes('"db_timeout"');
}

function find({ id, sessions, keys, mcpSession }: Person, name: string, at: number): string | undefined {
  if (name === "mcp_session") return mcpSession;
  if (name === "user_id") return id;
  if (name === "key_id") return keys.at(-1);
  const session = sessions[at % Math.max(sessions.length, 1)];
  if (name.endsWith("response_id")) return session && toResponseId(session.turn_id);
  const ids: Record<string, string | undefined> = { ...session };
  return ids[name];
}

/** Remembers the ids of a session that was made, and of a question that was read. */
function learn(person: Person, { headers, text }: FuzzReply): void {
  // Kept on the person: the one that was begun last.
  Object.assign(person, { mcpSession: headers.get("mcp-session-id") ?? person.mcpSession });
  if (text === "" || headers.get("content-type") !== "application/json") return;
  const body: unknown = JSON.parse(text);
  const chat = ChatReply.safeParse(body).data;
  if (chat !== undefined) person.sessions.push(chat);
  if (person.sessions.length > KEPT) person.sessions.splice(1, 1);
  const erased = ErasedSession.safeParse(body).data;
  if (erased !== undefined)
    person.sessions = person.sessions.filter(({ session_id }) => session_id !== erased.session_id);
  const page = MessagePage.safeParse(body).data;
  const question = page?.messages.find(({ role }) => role === "user");
  const session = person.sessions.find(({ session_id }) => session_id === page?.session_id);
  if (session !== undefined && question !== undefined) session.question_id = question.id;
  const key = NewApiKey.safeParse(body).data;
  if (key !== undefined) person.keys.push(key.id);
}
