/** What a source text holds that it should not: parts of queries that are no constants, and keys. Pure. */

/** A call that runs SQL, up to its first argument; a tagged template binds what is put into it and is none. */
const CALL = /\.(?:exec|query|execute|unsafe)(?:<[^>(]*>)?\(\s*(?=[`"'])/g;

export function findQueries(source: string): { count: number; parts: string[] } {
  const code = source.replaceAll(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, "");
  const calls = [...code.matchAll(CALL)].map(({ 0: call, index }) => code.slice(index + call.length));
  const parts = calls.flatMap((argument) => {
    const quote = argument.charAt(0);
    const end = argument.indexOf(quote, 1);
    const added = /^\s*\+\s*\w+/.exec(argument.slice(end + 1))?.[0] ?? "";
    const inside =
      quote === "`" ? [...argument.slice(0, end).matchAll(/\$\{([^}]*)\}/g)].map(([, part = ""]) => part) : [];
    return [...inside, ...(added === "" ? [] : [added.trim()])];
  });
  const raw = code.match(/\bsql\.(raw|identifier)\b/g) ?? [];
  return { count: calls.length, parts: [...new Set([...parts, ...raw])] };
}

const KNOWN =
  /\b(?:sk-[\w-]{20,}|AKIA[0-9A-Z]{16}|gh[pousr]_\w{30,}|xox[abp]-[\w-]{20,})|-----BEGIN [A-Z ]*PRIVATE KEY-----/g;
const LONG_WORD = /[\w+/=-]{32,}/g;
/** How a PNG begins in base64. */
const PICTURE = "iVBORw0KGgo";
/** Bits a character: text and names have fewer, random letters of both cases with digits more. */
const RANDOM_BITS = 4.2;

/** Keys by the form that vendors give them, or by how random they are. */
export function findKeys(text: string): string[] {
  const known = text.match(KNOWN) ?? [];
  const random = (text.match(LONG_WORD) ?? []).filter(
    (word) => isRandom(word) && !known.some((key) => word.includes(key)),
  );
  return [...known, ...random];
}

function isRandom(word: string): boolean {
  const hasAll = [/[a-z]/, /[A-Z]/, /\d/].every((kind) => kind.test(word));
  // A digit in the midst of letters, again and again: names of things have theirs at the end.
  const mixed = word.match(/[A-Za-z]\d[A-Za-z]|[a-z][A-Z]\d/g) ?? [];
  return hasAll && !word.startsWith(PICTURE) && mixed.length >= 2 && bitsOf(word) > RANDOM_BITS;
}

function bitsOf(word: string): number {
  const counts = Object.values(Object.groupBy([...word], (char) => char)).map((same) => same?.length ?? 0);
  return counts.reduce((sum, count) => sum - (count / word.length) * Math.log2(count / word.length), 0);
}
