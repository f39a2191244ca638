/**
 * Traces of chats for the cache's workload, by chance from a seed: frequent questions, open chat, an agent that uses tools, and pairs of
 * requests that look alike and mean different things. Pure. Each turn says what a right answer of the demo model holds, in words that do
 * not come from the code under test.
 */
import { createHash } from "node:crypto";
import { png } from "./images.ts";

export interface Turn {
  prompt: string;
  /** Attached to the prompt; what the demo model calls it is its size and a mark of its bytes. */
  image?: Uint8Array;
  /** Of the request, besides the prompt. */
  more?: Record<string, unknown>;
  /** All of it is in a right answer. */
  holds: string[];
  /** Or all of one of these: other wordings of the same question. */
  alike?: string[][];
}

export interface Conversation {
  user: number;
  turns: Turn[];
}

export interface Trace {
  name: string;
  users: number;
  conversations: Conversation[];
}

export type Random = () => number;

const TASKS = ["reset", "change", "delete", "export", "share", "print", "find", "rename", "restore", "protect"];
const THINGS = ["my password", "an invoice", "a photo", "the calendar", "my profile", "a contact"];
const PHRASINGS = [
  (what: string) => `How do I ${what}?`,
  (what: string) => `how can i ${what}`,
  (what: string) => `What is the way to ${what}?`,
  (what: string) => `I want to ${what}. What must I do?`,
];
/** How often people choose the first phrasing, the second and so on. */
const PHRASING_SHARES = [0.5, 0.3, 0.12, 0.08];

/** Few users ask most: frequent questions, each in four phrasings, first turns only. */
export function faqTrace(random: Random, size: number): Trace {
  const tasks = shuffled(
    TASKS.flatMap((task) => THINGS.map((thing) => `${task} ${thing}`)),
    random,
  );
  const users = 40;
  const conversations = range(size).map((): Conversation => {
    const phrase = PHRASINGS[pickByShare(PHRASING_SHARES, random)] ?? String;
    const task = zipf(tasks, random);
    const prompt = phrase(task);
    // A stray space or line break around it is the same question.
    const around = random() < 0.1 ? "\n" : "";
    const alike = PHRASINGS.map((wording) => firstOf(wording(task)));
    return { user: Math.floor(random() * users), turns: [{ prompt: prompt + around, holds: firstOf(prompt), alike }] };
  });
  return { name: "frequent questions", users, conversations };
}

const OPENERS = ["Hi", "Hello", "Good morning", "Hey there", "Hello, who are you?", "Can you help me?"];
const SUBJECTS = ["rivers", "bread", "sailing", "novels", "gardens", "trains", "glass", "winter", "maps", "bees"];

/** A common opening at times, then words that nobody else says; one conversation in six is held once more by the same user. */
export function openChatTrace(random: Random, size: number): Trace {
  const users = 30;
  const conversations: Conversation[] = [];
  for (let at = 0; conversations.length < size; at += 1) {
    const opening =
      random() < 0.4 ? zipf(OPENERS, random) : `Let us talk of ${nameOf(at)} and ${pick(SUBJECTS, random)}`;
    const prompts = [opening];
    for (let turn = 1; turn < 1 + Math.floor(random() * 5); turn += 1) {
      prompts.push(`And what of ${pick(SUBJECTS, random)} ${nameOf(at)} ${"again ".repeat(turn).trim()}?`);
    }
    const conversation = { user: Math.floor(random() * users), turns: conversationOf(prompts) };
    conversations.push(conversation);
    if (random() < 1 / 6) conversations.push(conversation);
  }
  return { name: "open chat", users, conversations: conversations.slice(0, size) };
}

/** Sums that many ask for, in two phrasings; some ask for the time as well, so that their answer cannot be kept. */
export function agentTrace(random: Random, size: number): Trace {
  const users = 30;
  const sums = shuffled(
    range(12).flatMap((a) => range(5).map((b): [number, number] => [a + 11, b + 21])),
    random,
  );
  const conversations = range(size).map((): Conversation => {
    const [a, b] = zipf(sums, random);
    const asked = random() < 0.7 ? `what is ${a}*${b}` : `Please tell me ${a}*${b}`;
    const prompt = random() < 0.3 ? `${asked}, and what time is it now?` : `${asked}?`;
    return { user: Math.floor(random() * users), turns: [{ prompt, holds: [`answered: ${a * b}`] }] };
  });
  return { name: "agent with tools", users, conversations };
}

/** A request that makes an entry, and one that looks like it and must not be given it. */
export interface Pair {
  kind: string;
  users: number;
  first: Conversation;
  near: Conversation;
}

const single = (prompt: string, more?: Record<string, unknown>): Turn => ({
  ...{ prompt, holds: firstOf(prompt) },
  ...(more && { more }),
});

export function nearPairs(random: Random, size: number): Pair[] {
  const of = (kind: string, one: Turn[], two: Turn[], otherUser = false): Pair => {
    const [first, near] = [
      { user: 0, turns: one },
      { user: otherUser ? 1 : 0, turns: two },
    ];
    return { kind, users: 2, first, near };
  };
  return range(size).flatMap((at) => {
    const [thing, name, other] = [pick(SUBJECTS, random), nameOf(at), nameOf(at + size)];
    const about = `${name} of ${thing}`;
    const knows = (who: string): Turn[] => [
      single(`My name is ${who}`),
      { prompt: "What is my name?", holds: [`Your name is ${who}`] },
    ];
    const now = 2_000 + at;
    return [
      of("number", [single(`Is ${now} a good year for ${about}?`)], [single(`Is ${now}0 a good year for ${about}?`)]),
      of("negation", [single(`Should I sell ${about}?`)], [single(`Should I not sell ${about}?`)]),
      of("entity", [single(`Who made ${about}?`)], [single(`Who made ${other} of ${thing}?`)]),
      of("unit", [single(`How many km to ${about}?`)], [single(`How many m to ${about}?`)]),
      of("letter case", [single(`Is US ${about} known?`)], [single(`Is us ${about} known?`)]),
      of("direction", [single(`How far from ${name} to ${other}?`)], [single(`How far from ${other} to ${name}?`)]),
      of("opposite", [single(`How do I enable ${about}?`)], [single(`How do I disable ${about}?`)]),
      of("lower-case name", [single(`where is ${name.toLowerCase()}?`)], [single(`where is ${other.toLowerCase()}?`)]),
      of("question word", [single(`When was ${about} made?`)], [single(`Where was ${about} made?`)]),
      of("sum", [sum(at + 101, 7)], [sum(at + 101, 8)]),
      of("other image", [shows(about, at)], [shows(about, at + size)]),
      of("image or none", [shows(about, at)], [single(`What is this, ${about}?`)]),
      of("other user", knows(name), knows(other), true),
      of("other history", knows(`${name}a`), knows(`${name}b`)),
      of("other tools", [sum(at + 501, 3)], [single(`what is ${at + 501}*3?`, { tools: "none" })]),
      of(
        "other parameters",
        [single(`Say ${about}`)],
        [single(`Say ${about}`, { response_format: { type: "json_object" } })],
      ),
    ].map((pair) => (pair.kind === "other parameters" ? withForm(pair) : pair));
  });
}

/** In the other form an answer is JSON. */
function withForm(pair: Pair): Pair {
  const [turn] = pair.near.turns;
  return turn ? { ...pair, near: { ...pair.near, turns: [{ ...turn, holds: ['{"demo":true'] }] } } : pair;
}

function shows(about: string, mark: number): Turn {
  const image = png(3, 5, { mark });
  const hash = createHash("sha256").update(image).digest("hex").slice(0, 8);
  return {
    prompt: `What is this, ${about}?`,
    image,
    holds: [`You sent: an image of 3 x 5 px (${hash}). This is your first`],
  };
}

function sum(a: number, b: number): Turn {
  return { prompt: `what is ${a}*${b}?`, holds: [`answered: ${a * b}`] };
}

/** What the demo model says to a first message. */
function firstOf(prompt: string): string[] {
  return [`You asked: "${prompt}". This is your first message`];
}

/** And to later ones. */
function conversationOf(prompts: string[]): Turn[] {
  return prompts.map((prompt, at) => {
    const memory = at === 0 ? "This is your first message" : `I see ${at} earlier ${at === 1 ? "message" : "messages"}`;
    return {
      prompt,
      holds: [`You asked: "${prompt}"`, memory, ...(at === 0 ? [] : [`the last was "${prompts[at - 1]}"`])],
    };
  });
}

/** Letters only: digits would be arithmetic to the demo model. */
function nameOf(at: number): string {
  const letters = [...String(at)].map((digit) => "abcdefghij".charAt(Number(digit))).join("");
  return `Mo${letters}`;
}

/** Rank r is chosen as often as 1/r. */
function zipf<T>(ranked: readonly T[], random: Random): T {
  return ranked[
    pickByShare(
      ranked.map((_, at) => 1 / (at + 1)),
      random,
    )
  ] as T; // one of them
}

function pickByShare(shares: readonly number[], random: Random): number {
  let left = random() * shares.reduce((total, share) => total + share, 0);
  const at = shares.findIndex((share) => (left -= share) < 0);
  return at < 0 ? shares.length - 1 : at;
}

function pick<T>(values: readonly T[], random: Random): T {
  return values[Math.floor(random() * values.length)] as T; // one of them
}

function shuffled<T>(values: T[], random: Random): T[] {
  return values
    .map((value) => [random(), value] as const)
    .toSorted(([a], [b]) => a - b)
    .map(([, value]) => value);
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, at) => at);
}
