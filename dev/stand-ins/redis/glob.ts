/**
 * Redis's glob patterns: `*`, `?`, `[abc]`, `[^abc]`, `[a-z]`, and a backslash before anything taken literally. Pure.
 * Linear in the pattern times the text: no pattern can make it hang.
 */
export function matchesGlob(pattern: string, text: string): boolean {
  const tokens = parseGlob(pattern);
  const chars = [...text];
  // reach[i]: the tokens read so far can match exactly the first i characters.
  let reach = chars.map(() => false);
  reach.unshift(true);
  for (const token of tokens) {
    const next: boolean[] = [];
    for (let at = 0; at <= chars.length; at += 1) {
      const char = chars[at - 1];
      if (token === "any") next.push((reach[at] ?? false) || (next[at - 1] ?? false));
      else next.push(char !== undefined && (reach[at - 1] ?? false) && token(char));
    }
    reach = next;
  }
  return reach.at(-1) ?? false;
}

type Token = "any" | ((char: string) => boolean);

function parseGlob(pattern: string): Token[] {
  const tokens: Token[] = [];
  for (const [part = "", inside] of pattern.matchAll(/\[((?:\\[^]|[^\]\\])*)\]|\\?[^]|\\/gu)) {
    if (inside !== undefined) tokens.push(charClass(inside));
    else tokens.push(part === "*" ? "any" : part === "?" ? () => true : literal(part));
  }
  return tokens;
}

function literal(part: string): Token {
  const wanted = part.length > 1 && part.startsWith("\\") ? part.slice(1) : part;
  return (char) => char === wanted;
}

function charClass(inside: string): Token {
  const negated = inside.startsWith("^");
  const ranges = [...(negated ? inside.slice(1) : inside).matchAll(/(\\?[^])-(\\?[^])|\\?[^]/gu)].map(
    ([part = "", from, to]) => {
      const bare = (text: string): string => (text.length > 1 ? text.replace(/^\\/u, "") : text);
      return [bare(from ?? part), bare(to ?? part)] as const;
    },
  );
  return (char) => ranges.some(([from, to]) => char >= from && char <= to) !== negated;
}
