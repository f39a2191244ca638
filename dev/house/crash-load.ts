/**
 * A load under which the runtime is killed: clients talk to their sessions as careful clients do, and whatever was
 * acknowledged to them is looked for in Postgres afterwards. State: one run. Chance comes from the caller.
 */
import { createEventDecoder, isTerminal, type NumberedEvent } from "../../contracts/events.ts";
import type { House, Tenant } from "../house.ts";

export interface CrashPlan {
  sessions: number;
  /** In each session, one after the other. */
  messages: number;
  /** The runtime is killed when so many messages are acknowledged. */
  killAt: number[];
  /** Called with their number for every acknowledged message. */
  onAcknowledged(count: number): void;
  /** 0 <= x < 1 */
  random(): number;
}

/** A message is acknowledged once its client holds the first event of its turn. */
interface Talk {
  name: string;
  sessionId: string | undefined;
  acknowledged: string[];
}

interface Saying {
  talk: Talk;
  text: string;
  turnId: string | undefined;
  /** The newest event that the client holds. */
  last: number;
  ended: boolean;
}

const MAX_TRIES = 30;
/** Longest wait for what is owed to Postgres: a little over the longest back-off of the drain. */
const DRAIN_DEADLINE_MS = 75_000;

export class CrashLoad {
  readonly #house: House;
  readonly #as: Tenant;
  readonly #plan: CrashPlan;
  readonly #talks: Talk[];
  readonly #refusals: string[] = [];
  #acknowledged = 0;
  #runtimeUp = Promise.resolve();

  constructor(house: House, as: Tenant, plan: CrashPlan) {
    this.#house = house;
    this.#as = as;
    this.#plan = plan;
    this.#talks = Array.from({ length: plan.sessions }, (_, at) => ({
      ...{ name: `Talk ${at}`, sessionId: undefined, acknowledged: [] },
    }));
  }

  /** Ends when every message is acknowledged and every client has seen the end of its turns. */
  async run(): Promise<void> {
    await Promise.all(
      this.#talks.map(async (talk) => {
        for (let at = 0; at < this.#plan.messages; at += 1) await this.#say(talk, `${talk.name}, message ${at}`);
      }),
    );
    await this.#runtimeUp;
  }

  /** Sends a message and sees its turn through, whatever breaks meanwhile. */
  async #say(talk: Talk, text: string): Promise<void> {
    const saying: Saying = { talk, text, turnId: undefined, last: 0, ended: false };
    const body = { prompt: text, ...this.#options(), on_busy: "enqueue", session_id: talk.sessionId };
    const start = { as: this.#as, body, headers: { "idempotency-key": text.replaceAll(" ", "-") } };
    for (let tries = 0; tries < MAX_TRIES && !saying.ended; tries += 1) {
      await this.#runtimeUp;
      const { turnId, last } = saying;
      const watch = { as: this.#as, headers: { "last-event-id": String(last) } };
      const asked =
        turnId === undefined
          ? this.#house.call("/chat/stream", start)
          : this.#house.call(`/chat/turns/${turnId}/stream`, watch);
      await asked.then((response) => this.#follow(response, saying)).catch(ignoreCut);
    }
    if (!saying.ended) throw new Error(`no end of "${text}" after ${MAX_TRIES} tries`);
  }

  async #follow(response: Response, saying: Saying): Promise<void> {
    if (!response.ok) {
      const refusal = await response.text();
      if (response.status < 500) this.#refusals.push(`${saying.text}, after event ${saying.last}: ${refusal}`);
      saying.last = 0;
      return;
    }
    const decoder = createEventDecoder();
    for await (const piece of (response.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream())) {
      for (const event of decoder.push(piece)) this.#note(event, saying);
    }
  }

  #note(event: NumberedEvent, saying: Saying): void {
    saying.last = event.id;
    saying.ended ||= isTerminal(event);
    if (event.event !== "meta" || saying.turnId !== undefined) return;
    saying.turnId = event.data.turn_id;
    saying.talk.sessionId = event.data.session_id;
    saying.talk.acknowledged.push(saying.text);
    this.#acknowledged += 1;
    this.#plan.onAcknowledged(this.#acknowledged);
    if (this.#plan.killAt.includes(this.#acknowledged)) this.#runtimeUp = this.#crash();
  }

  async #crash(): Promise<void> {
    await this.#house.kill();
    await this.#house.restart();
  }

  /** Answers of many lengths and paces, some of them with a tool. */
  #options(): { model: string; tools?: string[] } {
    const { random } = this.#plan;
    const tokens = 1 + Math.floor(random() * 30);
    const gapMs = Math.floor(random() * 20);
    // One that nobody is asked for first: there is no one to answer.
    if (random() < 0.2) return { model: "demo:toolcalls.plain", tools: ["calculator"] };
    return { model: `demo:tokens.${tokens}.gap.${gapMs}` };
  }

  /** What became of the acknowledged messages, once nothing is owed to Postgres any more or the wait for it is over. */
  async report(): Promise<CrashReport> {
    const report: CrashReport = {
      ...{ acknowledged: 0, found: 0, lost: [], doubled: [], outOfOrder: [], refusals: this.#refusals },
      ...{ turns: {}, resumed: 0 },
    };
    const deadline = AbortSignal.timeout(DRAIN_DEADLINE_MS);
    for (const talk of this.#talks) {
      const sessionId = talk.sessionId ?? "";
      for (const row of await this.#house.querySession(sessionId, "SELECT state, resumed FROM turns")) {
        const state = String(row["state"]);
        report.turns[state] = (report.turns[state] ?? 0) + 1;
        report.resumed += Number(row["resumed"]) > 0 ? 1 : 0;
      }
      compare(talk, await this.#rowsOf(sessionId, deadline), report);
    }
    return report;
  }

  /** The rows of a session in Postgres, as soon as they are as many as its object has. */
  async #rowsOf(sessionId: string, deadline: AbortSignal): Promise<Record<string, unknown>[]> {
    const [owed] = await this.#house.querySession(sessionId, "SELECT count(*) AS messages FROM messages");
    for (;;) {
      const queries = Number(this.#house.neon.stats()["queries"]);
      const rows = await this.#house.sql`
        select seq, role, content from messages where session_id = ${sessionId} order by seq`;
      if (rows.length >= Number(owed?.["messages"]) || deadline.aborted) return rows;
      const more = this.#house.neon.until((stats) => Number(stats["queries"]) > queries + 1);
      await Promise.race([more, new Promise((resolve) => deadline.addEventListener("abort", resolve, { once: true }))]);
    }
  }
}

export interface CrashReport {
  acknowledged: number;
  /** Acknowledged messages that are in Postgres. */
  found: number;
  lost: string[];
  doubled: string[];
  /** Talks whose rows have gaps or another order. */
  outOfOrder: string[];
  /** Requests that were answered with 4xx: none deserves it. */
  refusals: string[];
  /** Turns by their state in the objects. */
  turns: Record<string, number>;
  /** Turns that were taken up again after a cut. */
  resumed: number;
}

function compare(talk: Talk, rows: Record<string, unknown>[], report: CrashReport): void {
  const said = rows.filter((row) => row["role"] === "user").map((row) => String(row["content"]));
  for (const text of talk.acknowledged) {
    const times = said.filter((content) => content === text).length;
    report.acknowledged += 1;
    report.found += times > 0 ? 1 : 0;
    if (times === 0) report.lost.push(text);
    if (times > 1) report.doubled.push(text);
  }
  const known = said.filter((text) => talk.acknowledged.includes(text));
  const inOrder = known.every((text, at) => text === talk.acknowledged[at]);
  const withoutGaps = rows.every((row, at) => Number(row["seq"]) === at + 1);
  if (!inOrder || !withoutGaps) report.outOfOrder.push(talk.name);
}

/** A connection that broke is why there is a next try; anything else is a fault of the test. */
function ignoreCut(error: unknown): void {
  if (!(error instanceof TypeError)) throw error;
}
