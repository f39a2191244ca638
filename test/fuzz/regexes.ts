/**
 * The patterns in a source text, and whether one could take a time that grows without bounds: a group that is repeated and has repeated
 * parts. Pure. Reads literals only; a pattern with an alternative that overlaps another is not found.
 */
const LITERAL = /(?<=[=(,:!&|?{[;\n]\s*)\/(?![*/])((?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+)\/[dgimsuvy]*/g;

export function regexesOf(source: string): string[] {
  const code = source.replaceAll(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, "");
  return [...code.matchAll(LITERAL)].map(([, pattern = ""]) => pattern);
}

export function isNested(pattern: string): boolean {
  // What cannot open, close or repeat a group goes first.
  const bare = pattern.replaceAll(/\\./g, "x").replaceAll(/\[[^\]]*\]/g, "x");
  const repeats = [false];
  for (let at = 0; at < bare.length; at += 1) {
    const rest = bare.slice(at);
    if (bare[at] === "(") repeats.push(false);
    const isRepeated = /^\)?(?:[*+]|\{\d+,\})/.test(rest);
    if (bare[at] === ")") {
      const inner = repeats.pop() ?? false;
      if (inner && isRepeated) return true;
      if (inner || isRepeated) repeats[repeats.length - 1] = true;
    } else if (isRepeated) repeats[repeats.length - 1] = true;
  }
  return false;
}
