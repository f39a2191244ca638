/** Tables by name, where a name may end in `*` and then stands for all that begin so. Pure. */

/** The exact name counts, else the longest pattern that fits. */
export function lookUp<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  // A name never ends in "*": it could not name a pattern's own entry.
  if (Object.hasOwn(table, name) && !isPattern(name)) return table[name];
  let longest: string | undefined;
  for (const pattern of Object.keys(table)) {
    const isLonger = pattern.length > (longest?.length ?? 0);
    if (isLonger && isPattern(pattern) && name.startsWith(pattern.slice(0, -1))) longest = pattern;
  }
  return longest === undefined ? undefined : table[longest];
}

export function isPattern(name: string): boolean {
  return name.endsWith("*");
}
