/**
 * Long sessions, as people have them: questions of a few sentences, answers of a few paragraphs, now and then a tool or an image. Measures how much of
 * each prompt the model had seen before. Used by bench/prefix.ts and its test. State: none; chance is given.
 */
import type { House, Tenant } from "../house.ts";
import { imagePart, png } from "./images.ts";

export interface TalkPlan {
  turns: number;
  /** Tokens of an answer, from and below. */
  answerTokens: [number, number];
  /** The share of turns that call a tool. */
  toolShare: number;
  /** Turns that come with an image, from 0; left out: none. */
  images?: number[];
  random: () => number;
}

export interface Reuse {
  /** All prompts of the talk, in characters. */
  promptChars: number;
  /** Of them, what some earlier prompt of this server began with. */
  reusedChars: number;
  /** The prompts before each of them: what could have been seen before. */
  reusableChars: number;
  /** How often a prompt became shorter than the one before. */
  trims: number;
}

export async function holdTalk(house: House, as: Tenant, plan: TalkPlan): Promise<Reuse> {
  const before = countersOf(house);
  let sessionId: string | undefined;
  let trims = 0;
  let longest = 0;
  for (let turn = 0; turn < plan.turns; turn += 1) {
    const body = { ...say(plan, turn), cache: { mode: "no-store" }, ...(sessionId && { session_id: sessionId }) };
    const response = await house.call("/chat", { as, body });
    if (!response.ok) throw new Error(await response.text());
    await response.text();
    sessionId = response.headers.get("x-session-id") ?? undefined;
    const length = JSON.stringify(house.llm.stats().last_request).length;
    trims += length < longest ? 1 : 0;
    longest = length;
  }
  const after = countersOf(house);
  return {
    promptChars: after.promptChars - before.promptChars,
    reusedChars: after.reusedChars - before.reusedChars,
    reusableChars: after.reusableChars - before.reusableChars,
    trims,
  };
}

function say({ answerTokens: [from, below], toolShare, images = [], random }: TalkPlan, turn: number) {
  if (random() < toolShare) return { prompt: `what is ${turn + 2}*${Math.floor(random() * 90) + 10}?`, model: "demo" };
  const words = 20 + Math.floor(random() * 60);
  const prompt = Array.from({ length: words }, () => WORDS[Math.floor(random() * WORDS.length)]).join(" ");
  const tokens = from + Math.floor(random() * (below - from));
  const model = `demo:tokens.${tokens}`;
  if (!images.includes(turn)) return { prompt: `${prompt}?`, model };
  return { parts: [{ type: "text", text: `${prompt}?` }, imagePart(png(40, 30, { mark: turn }))], model };
}

const WORDS =
  "the of river and mountain to what about when light which stone never could before under again small why".split(" ");

function countersOf(house: House): Omit<Reuse, "trims"> {
  const stats = house.llm.stats();
  return {
    promptChars: Number(stats["prompt_chars"]),
    reusedChars: Number(stats["reused_chars"]),
    reusableChars: Number(stats["reusable_chars"]),
  };
}
