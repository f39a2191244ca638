/**
 * Whether two questions that look alike ask for the same. Pure. Vectors cannot be asked that: they put a question beside its opposite,
 * and a year beside the next. So every word counts, in its order, with its numbers, names and letter case; only the way in which
 * English asks how something is done, articles, politeness and punctuation at a word's end are free. When in doubt: no.
 */

/** Of how a sentence begins or ends; what stands for it, so that "how to pay" is not "pay". */
const FRAMES: readonly (readonly [RegExp, string])[] = [
  [
    /^(?:(?:can|could|would|will) you )?(?:tell|show|explain to|teach) me how (?:to|(?:i|we|one) (?:can|could|should|must)) /i,
    "how-to ",
  ],
  [/^how (?:to|(?:do|can|could|should|would|must) (?:i|we|you|one)|does one) /i, "how-to "],
  [/^what(?: is|'s) the way to /i, "how-to "],
  [/^what are the steps to /i, "how-to "],
  [/^what (?:must|should|do|can) (?:i|we) do to /i, "how-to "],
];
/** A wish and then a question for its way. */
const WISH =
  /^(?:i|we)(?: want| need| would like|'d like) to (.+?)[.,;:]? +(?:how(?: (?:do|can|should|must) (?:i|we)(?: do (?:it|that|this))?)?|what (?:must|should|can|do) (?:i|we) do)$/i;

const FREE_WORDS = new Set(["a", "an", "the", "please", "kindly"]);
const GREETING = /^(?:hi|hello|hey)[,!. ]+/i;
const THANKS = /[,.!; ]+(?:please|thanks|thank you)$/i;

const NUMBER_WORDS = "zero one two three four five six seven eight nine ten eleven twelve".split(" ");

export function meansTheSame(one: string, other: string): boolean {
  const [words, others] = [wordsOf(one), wordsOf(other)];
  return words.length > 0 && words.length === others.length && words.every((word, at) => word === others[at]);
}

/** What of a question counts. */
export function wordsOf(question: string): string[] {
  const bare = trimAll(plain(question));
  const [, wish] = WISH.exec(bare) ?? [];
  const [frame, sign] = FRAMES.find(([begin]) => begin.test(bare)) ?? [];
  const framed = wish !== undefined ? `how-to ${wish}` : frame === undefined ? bare : bare.replace(frame, sign ?? "");
  return framed
    .split(" ")
    .map(trimEnd)
    .filter((word) => word !== "" && !FREE_WORDS.has(word))
    .map(asNumber);
}

/** One way to write what can be written in several. A sentence's first letter says nothing, unless its word has more capitals. */
function plain(question: string): string {
  return question
    .normalize("NFC")
    .replaceAll(/[‘’]/g, "'")
    .replaceAll(/\s+/g, " ")
    .trim()
    .replaceAll(
      /(^|[.?!] )(\p{Lu})(?=\p{Ll}*(?:[ ,.?!';:]|$))/gu,
      (_, before: string, letter: string) => before + letter.toLowerCase(),
    )
    .replaceAll(/\bcan(?:not|'t)\b/g, "can not")
    .replaceAll(/n't\b/g, " not");
}

function trimAll(text: string): string {
  let rest = text;
  for (;;) {
    const next = rest
      .replace(GREETING, "")
      .replace(THANKS, "")
      .replace(/^please /i, "")
      .replace(/[ .?!…]+$/u, "");
    if (next === rest) return rest;
    rest = next;
  }
}

/** A comma at a word's end parts sentences; one within it may be a number's. */
function trimEnd(word: string): string {
  return word.replace(/[,;:.?!]+$/, "");
}

function asNumber(word: string): string {
  const at = NUMBER_WORDS.indexOf(word);
  if (at >= 0) return String(at);
  return /^\d{1,3}(?:,\d{3})+$/.test(word) ? word.replaceAll(",", "") : word;
}
