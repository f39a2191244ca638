/**
 * A fleet under load: people who talk at once, each in a session of their own, about a long text that the first message brings. Tells
 * what they waited, which nodes they met, and what failed. State: the figures of one run. Used by bench/fleet.ts and its test.
 */
import { createEventDecoder, type NumberedEvent } from "../../contracts/events.ts";
import type { House, Tenant } from "../house.ts";

export interface FleetPlan {
  model: string;
  /** Who talk at once. */
  people: number;
  turns: number;
  /** Characters of the text that each of them talks about. */
  textChars: number;
  random: () => number;
  /** Called when so many turns have ended. */
  onEnded?(count: number): void;
}

export interface TurnFigures {
  /** Until the first delta that was not taken back. */
  firstTokenMs: number;
  wholeMs: number;
  /** The node that gave the answer, as the log of llm-agent names it. */
  node: string | undefined;
  rewinds: number;
  /** The code of its error; undefined of a whole answer. */
  failure: string | undefined;
}

/** The turns of each person, in order. */
export async function loadFleet(house: House, as: Tenant, plan: FleetPlan): Promise<TurnFigures[][]> {
  let ended = 0;
  const talk = async (): Promise<TurnFigures[]> => {
    const figures: TurnFigures[] = [];
    let sessionId: string | undefined;
    for (let turn = 0; turn < plan.turns; turn += 1) {
      const prompt = turn === 0 ? textOf(plan) : `And what of part ${"x".repeat(turn)}?`;
      const said = await sayOnce(house, as, { prompt, model: plan.model, ...(sessionId && { session_id: sessionId }) });
      sessionId ??= said.sessionId;
      figures.push(said.figures);
      ended += 1;
      plan.onEnded?.(ended);
    }
    return figures;
  };
  return Promise.all(Array.from({ length: plan.people }, talk));
}

async function sayOnce(house: House, as: Tenant, body: object): Promise<{ sessionId: string; figures: TurnFigures }> {
  const startedAt = performance.now();
  const response = await house.call("/chat/stream", { as, body: { ...body, cache: { mode: "no-store" } } });
  const decoder = createEventDecoder();
  let firstTokenMs: number | undefined;
  let last: NumberedEvent | undefined;
  let rewinds = 0;
  for await (const piece of (response.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream())) {
    for (const event of decoder.push(piece)) {
      last = event;
      if (event.event === "delta") firstTokenMs ??= performance.now() - startedAt;
      if (event.event !== "rewind") continue;
      rewinds += 1;
      firstTokenMs = undefined;
    }
  }
  const requestId = response.headers.get("x-request-id");
  const calls = house.lines.filter((line) => line["request_id"] === requestId && line["route"] === "llm.stream");
  const answered = calls.findLast((line) => line["status"] === "ok")?.["nodes"];
  const wholeMs = performance.now() - startedAt;
  return {
    sessionId: response.headers.get("x-session-id") ?? "",
    figures: {
      ...{ firstTokenMs: firstTokenMs ?? wholeMs, wholeMs, rewinds },
      node: Array.isArray(answered) ? String(answered.at(-1)) : undefined,
      failure: last?.event === "done" ? undefined : last?.event === "error" ? last.data.code : "cut",
    },
  };
}

/** Words by chance: no two people have the same text, so that only a session's own prompts begin alike. */
function textOf({ textChars, random }: FleetPlan): string {
  let text = "Tell me about this text:";
  while (text.length < textChars) text += ` ${Math.floor(random() * 36 ** 5).toString(36)}`;
  return text;
}

/** The share of turns, from each person's second on, that met the node of the turn before. */
export function stickiness(people: TurnFigures[][]): number {
  const pairs = people.flatMap((turns) => turns.slice(1).map((turn, at) => turn.node === turns[at]?.node));
  return pairs.filter(Boolean).length / pairs.length;
}
