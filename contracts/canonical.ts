/** JSON data in one form: equal data, whatever the order it was built in, gives equal bytes. Pure. */

/** The same data with the keys of its objects in order, at any depth. */
export function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : Number(a > b)));
  return Object.fromEntries(entries.map(([key, member]) => [key, sortKeys(member)]));
}

export function canonicalJson(value: unknown): string {
  return JSON.stringify(sortKeys(value));
}
